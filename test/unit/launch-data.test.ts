import { mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { expect, test } from "vitest";
import { inspectDataFolder } from "../../container/local/launch/data.ts";

test("a database that is gone when its turn comes, as in a suite at work, is no damage", async () => {
  const folder = await mkdtemp(path.join(tmpdir(), "pincer-data-"));
  await writeFile(path.join(folder, "suite.lock"), "");
  await mkdir(path.join(folder, "state/do"), { recursive: true });
  // It is listed, and cannot be opened.
  await symlink(path.join(folder, "gone"), path.join(folder, "state/do/gone.sqlite"));
  expect(await inspectDataFolder(folder)).toBe(true);
  await writeFile(path.join(folder, "state/do/other.sqlite"), "garbage, garbage");
  await expect(inspectDataFolder(folder)).rejects.toThrow("other.sqlite is damaged");
  await rm(folder, { recursive: true });
});

import { mkdir, mkdtemp, readFile, rm, symlink } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { openLog } from "../../container/local/launch/log.ts";
import { startSandboxRuntime } from "../../container/local/launch/runtime.ts";
import { createDriverWithoutSnapshots } from "../support/no-snapshots.ts";
import { pick, processTree } from "../support/process-tree.ts";
import { run, startLocalSandboxes } from "./local-sandboxes.ts";
import { mapFiles } from "./map-files.ts";

test("a runtime that is started again is what it was, or not there: never quietly a simulated shell", async () => {
  const dataDir = await mkdtemp(join(tmpdir(), "pincer-launch-"));
  const tools = join(dataDir, "bin");
  await mkdir(tools);
  for (const name of ["mount", "mkdir"]) await symlink(`/usr/bin/${name}`, join(tools, name));
  const closers: (() => Promise<void>)[] = [];
  const env = { ...process.env };
  const log = openLog(dataDir);
  const secret = "s".repeat(40);
  try {
    const ground = { dataDir, tempDir: dataDir, allowedHosts: [], suiteOrigin: "http://localhost:1", env, log };
    const { url, description } = await startSandboxRuntime(
      { ...ground, report: () => undefined, closers: { add: (close) => void closers.push(close) } },
      { secret, insideSecret: "i".repeat(40), hostSecrets: [], driver: undefined },
    );
    expect(description).toMatch(/^local/);
    const sandbox = createDriverWithoutSnapshots({ runtimeUrl: url, secret }, fetch).open("x", mapFiles());
    await run(sandbox, "echo kept > kept");
    const found = process.env["PATH"];
    env["PATH"] = tools;
    for (const pid of await pick(await processTree(process.pid), /local\/runtime\.ts/)) process.kill(pid, "SIGKILL");
    const said = async () => await readFile(log.file, "utf8");
    await expect.poll(said).toContain("bubblewrap is missing");
    await expect(sandbox.status()).rejects.toMatchObject({ code: "unavailable" });
    env["PATH"] = found;
    const kept = async () => (await run(sandbox, "cat kept").catch(() => undefined))?.stdout.text;
    await expect.poll(kept).toBe("kept\n");
    expect(await sandbox.status()).toMatchObject({ driver: "local" });
  } finally {
    for (const close of closers.toReversed()) await close();
    await rm(dataDir, { recursive: true, force: true });
  }
});

test("a simulated shell that is started again gives the reason that was found first", async () => {
  const reason = "bubblewrap was missing.";
  await using sandboxes = await startLocalSandboxes({ driver: "simulated", simulatedBecause: reason });
  expect((await sandboxes.open().status()).notes).toContain(reason);
});

import { access, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { expect, test } from "vitest";
import * as z from "zod";
import { startChild } from "../../container/local/launch/child.ts";

const LOCAL = path.resolve(import.meta.dirname, "../../container/local");
/** Is ready at its first start; at the next it says that it has begun, and never is. */
const SCRIPT = `
  import { existsSync, writeFileSync } from "node:fs";
  const begun = import.meta.dirname + "/begun";
  const isFirst = !existsSync(begun);
  writeFileSync(isFirst ? begun : begun + "-again", "");
  if (isFirst) console.log(JSON.stringify({ pid: process.pid }));
  process.stdin.resume().on("end", () => process.exit());
`;

test("a part that is started again as the suite ends is ended too, and not waited for", async () => {
  const folder = await mkdtemp(path.join(tmpdir(), "pincer-child-"));
  const script = path.join(folder, "part.mjs");
  await writeFile(script, SCRIPT);
  const child = await startChild({
    script: path.relative(LOCAL, script),
    name: "The part",
    config: async () => ({}),
    ready: z.object({ pid: z.int() }),
    startTimeoutMs: 60_000,
    env: process.env,
    log: { file: "the log", write: () => undefined },
    report: () => undefined,
  });
  process.kill(child.ready.pid, "SIGKILL");
  await expect.poll(async () => await access(path.join(folder, "begun-again"))).toBeUndefined();
  await child.close();
  await rm(folder, { recursive: true });
});

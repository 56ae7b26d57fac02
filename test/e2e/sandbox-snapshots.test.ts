import { rm } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { expect, test } from "vitest";
import { connectOfficial, textOf } from "../support/mcp-clients.ts";
import { pick, processTree } from "../support/process-tree.ts";
import { startSuite } from "../support/suite.ts";

test("a workspace is there again after its sandbox was wiped from the disk", { timeout: 120_000 }, async () => {
  await using suite = await startSuite([], { SNAPSHOT_AFTER: "1s" });
  await using client = await connectOfficial(new URL("/mcp", suite.url), await suite.token(), "modern");
  const made =
    "git init -q project && cd project && echo text > a && git add a && git commit -qm first && echo more >> a";
  const wrote = await client.callTool("sandbox_exec", { command: `${made} && echo shared > ../files/shared.txt` });
  expect(wrote.structuredContent, textOf(wrote)).toMatchObject({ exit_code: 0 });
  const ageMs = async (): Promise<number> => {
    const { structuredContent } = await client.callTool("sandbox_status", {});
    // Rounded to seconds, and absent before the first.
    return 500 + 1_000 * Number(structuredContent?.["snapshot_age_s"] ?? Infinity);
  };
  // One that was begun in the middle of a change may have all of it, and then no other follows.
  for (let isSaved = false; !isSaved;) {
    await client.callTool("sandbox_exec", { command: "date > changed" });
    const changedMs = Date.now();
    while (!isSaved && Date.now() < changedMs + 15_000) {
      await sleep(200);
      isSaved = Date.now() - (await ageMs()) > changedMs;
    }
  }

  for (const pid of await pick(await processTree(suite.process.pid ?? 0), /\/runtime\.ts/))
    process.kill(pid, "SIGKILL");
  await rm(join(suite.dataDir, "sandboxes"), { recursive: true, force: true });

  const command = "cd project && git log --format=%s && git diff --stat && cat ../files/shared.txt";
  let found = await client.callTool("sandbox_exec", { command });
  // The launcher takes a moment to start the runtime again.
  for (let tries = 0; found.isError && tries < 40; tries += 1) {
    expect(textOf(found)).toMatch(/^unavailable: /);
    await sleep(500);
    found = await client.callTool("sandbox_exec", { command });
  }
  expect(found.structuredContent).toMatchObject({
    exit_code: 0,
    stdout: "first\n a | 1 +\n 1 file changed, 1 insertion(+)\nshared\n",
  });
});

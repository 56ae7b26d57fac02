import { readdir, readlink } from "node:fs/promises";
import { expect, test } from "vitest";
import { run, startLocalSandboxes } from "./local-sandboxes.ts";

/** The files of stored outputs that this process, the runtime's in these tests, has open. */
async function openSpools(dataDir: string): Promise<string[]> {
  const fds = await readdir("/proc/self/fd");
  const paths = await Promise.all(fds.map(async (fd) => await readlink(`/proc/self/fd/${fd}`).catch(() => "")));
  return paths.filter((path) => path.startsWith(dataDir) && path.includes("/spool/"));
}

test("a command that has ended holds no file open, and what its daemon writes later is kept all the same", async () => {
  await using sandboxes = await startLocalSandboxes();
  const sandbox = sandboxes.open();
  const daemon = "(sleep 0.7; echo late; sleep 0.3; echo later) & echo early; echo wrong >&2";
  const { processId } = await run(sandbox, daemon);
  for (let index = 0; index < 5; index++) await run(sandbox, "echo out; echo err >&2");
  expect(await openSpools(sandboxes.dataDir)).toEqual([]);
  const stored = async () => await new Response((await sandbox.readOutput(processId, "stdout")).body).text();
  await expect.poll(stored, { timeout: 5_000 }).toBe("early\nlate\nlater\n");
  expect(await openSpools(sandboxes.dataDir)).toEqual([]);
  const { processId: running } = await run(sandbox, "echo out; sleep 60", { waitMs: 200 });
  expect((await openSpools(sandboxes.dataDir)).map((path) => path.split("/").at(-1))).toEqual([`${running}.stdout`]);
});

import { readdir, readlink } from "node:fs/promises";
import { join } from "node:path";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { expect, test } from "vitest";
import { run, startLocalSandboxes } from "./local-sandboxes.ts";

/** The files of stored outputs that this process, the runtime's in these tests, has open. */
async function openSpools(dataDir: string): Promise<string[]> {
  const fds = await readdir("/proc/self/fd");
  const paths = await Promise.all(fds.map(async (fd) => await readlink(`/proc/self/fd/${fd}`).catch(() => "")));
  return paths.filter((path) => path.startsWith(dataDir) && path.includes("/spool/"));
}

/** What all that is still needed holds in buffers of its own. */
function heldBytes(): number {
  setFlagsFromString("--expose-gc");
  const collect: unknown = runInNewContext("gc");
  if (typeof collect !== "function") throw new Error("There is no gc.");
  Reflect.apply(collect, undefined, []);
  return process.memoryUsage().arrayBuffers;
}

test("outputs of which much was told are not held in memory, and their head and tail stay readable", async () => {
  await using sandboxes = await startLocalSandboxes();
  const sandbox = sandboxes.open();
  await run(sandbox, "true");
  const before = heldBytes();
  const size = 2_000_000;
  const ids: string[] = [];
  for (let index = 0; index < 4; index++) {
    const { processId, stdout } = await run(sandbox, "seq 1 2000000", { maxChars: size });
    expect(stdout.text.length).toBeGreaterThan(size);
    ids.push(processId);
  }
  // The first collection does not give everything back.
  await expect.poll(() => heldBytes() - before).toBeLessThan(8 * 1024 * 1024);
  const again = await sandbox.readProcess(
    ids[0] ?? "",
    { after: { stdout: 0, stderr: 0 }, waitMs: 0, maxChars: size },
    { signal: new AbortController().signal },
  );
  expect(again.stdout.text.length).toBeGreaterThan(size);
  expect(again.stdout.text).toMatch(/^1\n2\n[^]*\n2000000\n$/);
});

test("a tool's own look at the sandbox leaves no file behind, whether it ended in time or later", async () => {
  await using sandboxes = await startLocalSandboxes();
  const sandbox = sandboxes.open({ id: "looked-at" });
  const { processId } = await run(sandbox, "seq 1 1000; echo wrong >&2", { isInternal: true });
  await run(sandbox, "seq 1 1000; sleep 1", { isInternal: true, waitMs: 500 });
  const left = async () => await readdir(join(sandboxes.dataDir, "sandboxes/looked-at/spool"));
  await expect.poll(left).toEqual([]);
  await expect(sandbox.readOutput(processId, "stdout")).rejects.toMatchObject({ code: "not_found" });
});

test("a command that has ended holds no file open, and what its daemon writes later is kept all the same", async () => {
  await using sandboxes = await startLocalSandboxes();
  const sandbox = sandboxes.open();
  const daemon = "(sleep 0.7; echo late; sleep 0.3; echo later) & echo early; echo wrong >&2";
  const { processId } = await run(sandbox, daemon);
  for (let index = 0; index < 5; index++) await run(sandbox, "echo out; echo err >&2");
  expect(await openSpools(sandboxes.dataDir)).toEqual([]);
  const stored = async () => await new Response((await sandbox.readOutput(processId, "stdout")).body).text();
  await expect.poll(stored).toBe("early\nlate\nlater\n");
  expect(await openSpools(sandboxes.dataDir)).toEqual([]);
  const { processId: running } = await run(sandbox, "echo out; sleep 60", { waitMs: 0 });
  const open = async () => (await openSpools(sandboxes.dataDir)).map((path) => path.split("/").at(-1));
  await expect.poll(open).toEqual([`${running}.stdout`]);
});

import { expect, test } from "vitest";
import { Turns } from "../../container/local/sandbox/turns.ts";
import { run, startLocalSandboxes } from "./local-sandboxes.ts";

function busy(ms: number): void {
  for (const endMs = performance.now() + ms; performance.now() < endMs;);
}

test("work that holds everybody up comes one at a time, in its order, and leaves as much time as it takes", async () => {
  const turns = new Turns();
  const order: number[] = [];
  let served = 0;
  const others = setInterval(() => (served += 1), 10);
  const startedMs = performance.now();
  const work = async (index: number) =>
    await turns.take(() => {
      busy(60);
      order.push(index);
      if (index === 1) throw new Error("It failed.");
      return index;
    });
  const results = await Promise.allSettled([work(0), work(1), work(2), work(3)]);
  clearInterval(others);
  expect(performance.now() - startedMs).toBeGreaterThanOrEqual(4 * 60 + 3 * 59);
  expect(results.map(({ status }) => status)).toEqual(["fulfilled", "rejected", "fulfilled", "fulfilled"]);
  expect(order).toEqual([0, 1, 2, 3]);
  expect(served).toBeGreaterThanOrEqual(3);
});

test("a pattern is looked for from the beginning of the character that the cursor is in", async () => {
  await using sandboxes = await startLocalSandboxes();
  const sandbox = sandboxes.open();
  const find = async (processId: string, stdout: number, pattern: string) => {
    const read = { after: { stdout, stderr: 0 }, until: { pattern }, waitMs: 5_000, maxChars: 100 };
    return await sandbox.readProcess(processId, read, { signal: new AbortController().signal });
  };
  const whole = await run(sandbox, "printf 'aü😀z'");
  expect((await find(whole.processId, 2, "^ü😀z$")).isReached).toBe(true);
  expect((await find(whole.processId, 6, "^😀z$")).isReached).toBe(true);
  expect((await find(whole.processId, 7, "^z$")).isReached).toBe(true);
  const halves = String.raw`printf 'a\xf0\x9f'; until [[ -e go ]]; do sleep 0.1; done; printf '\x98\x80z'; sleep 30`;
  const { processId, stdout } = await run(sandbox, halves, { waitMs: 3_000 });
  expect(stdout.totalBytes).toBe(3);
  await run(sandbox, "touch go");
  expect((await find(processId, 3, "^😀z$")).isReached).toBe(true);
});

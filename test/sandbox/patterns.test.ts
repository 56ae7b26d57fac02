import { expect, test } from "vitest";
import { Turns } from "../../container/local/sandbox/turns.ts";

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

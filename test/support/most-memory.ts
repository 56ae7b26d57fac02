import { memoryMb } from "./process-tree.ts";

const SAMPLE_MS = 100;

/** By how many MB more than at the beginning those processes hold at most, each, while the work goes on. */
export async function mostMemory(
  groups: readonly (readonly number[])[],
  work: () => Promise<unknown>,
): Promise<readonly number[]> {
  const held = async (): Promise<number[]> => await Promise.all(groups.map(async (pids) => await memoryMb(pids)));
  const before = await held();
  const most = [...before];
  let isOver = false;
  const watching = (async () => {
    while (!isOver) {
      for (const [index, now] of (await held()).entries()) most[index] = Math.max(most[index] ?? 0, now);
      await new Promise((resolve) => setTimeout(resolve, SAMPLE_MS));
    }
  })();
  try {
    await work();
  } finally {
    isOver = true;
    await watching;
  }
  return most.map((now, index) => now - (before[index] ?? Number.NaN));
}

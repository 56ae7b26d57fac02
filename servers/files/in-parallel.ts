/** Workers keep six connections open at a time. */
const AT_A_TIME = 6;

/** Works on the items in order, some at a time, until the signal aborts: on how many of them. */
export async function inParallel<Item>(
  items: readonly Item[],
  signal: AbortSignal,
  work: (item: Item) => Promise<void>,
): Promise<number> {
  let reached = 0;
  while (reached < items.length && !signal.aborted) {
    const some = items.slice(reached, reached + AT_A_TIME);
    await Promise.all(some.map(work));
    reached += some.length;
  }
  return reached;
}

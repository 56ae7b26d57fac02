/** What a ranking of many keys in several periods stands on. */
interface Ranked<Row> {
  readonly limit: number;
  /** The months that the periods are part of. */
  readonly months: readonly string[];
  /** The first `depth` keys of a month by cost, the dearest first, each with its cost. */
  readonly dearestOf: (month: string, depth: number) => readonly Dear[];
  /** What those keys come to in the periods asked for, the dearest first; all keys where absent. */
  readonly sumsOf: (keys?: readonly string[]) => Row[];
  readonly costOf: (row: Row) => number;
}

export interface Dear {
  readonly key: string;
  readonly cost: number;
}

/** With so many a month, all of them are added up. */
const MAX_DEPTH = 2_000;

/**
 * The dearest keys of some days, without adding up everybody's (Fagin's threshold algorithm). Nobody costs more in the
 * days than in their whole months: who is behind the first so many of each month costs at most what the last of those
 * do together.
 */
export function dearest<Row>({ limit, months, dearestOf, sumsOf, costOf }: Ranked<Row>): Row[] {
  for (let depth = 2 * limit; depth <= MAX_DEPTH; depth *= 4) {
    const tops = months.map((month) => dearestOf(month, depth));
    const keys = new Set(tops.flatMap((top) => top.map(({ key }) => key)));
    const mostOfOthers = tops.reduce((sum, top) => sum + (top.length < depth ? 0 : (top.at(-1)?.cost ?? 0)), 0);
    const rows = sumsOf([...keys]).slice(0, limit);
    const last = rows.at(-1);
    const isAll = tops.every((top) => top.length < depth);
    if (isAll || (last !== undefined && rows.length === limit && costOf(last) >= mostOfOthers)) return rows;
  }
  return sumsOf().slice(0, limit);
}

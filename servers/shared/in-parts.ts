/** Durable Objects take no value of more than 2 MB into SQLite; a row of ours is some hundred bytes. */
const ROWS_A_PART = 500;

/** Rows that go into SQLite as JSON, in parts that it takes. */
export function inParts<Row>(rows: readonly Row[]): Row[][] {
  return Array.from({ length: Math.ceil(rows.length / ROWS_A_PART) }, (_, index) =>
    rows.slice(index * ROWS_A_PART, (index + 1) * ROWS_A_PART),
  );
}

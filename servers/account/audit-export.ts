import { auditPrefix } from "../shared/paths.ts";
import type { AuditRecord, BookTable } from "./book-table.ts";
import type { Chore } from "./chores.ts";
import { dayOf } from "./figures.ts";

const DAY_MS = 24 * 60 * 60 * 1_000;
/** What one alarm takes from the table: two megabytes or so. */
const ROWS_A_RUN = 5_000;

/**
 * Hands audit rows that are old enough over to R2, as JSON lines: whole days (UTC), each a folder, with an object for
 * every few thousand rows. An object is named after its first row, and rows are deleted only once it is there: whoever
 * dies in between writes the same object again.
 */
export class AuditExport implements Chore {
  readonly name = "export old audit rows";
  readonly #books: BookTable;
  readonly #bucket: R2Bucket;
  readonly #keepDays: () => number;

  constructor(books: BookTable, bucket: R2Bucket, keepDays: () => number) {
    this.#books = books;
    this.#bucket = bucket;
    this.#keepDays = keepDays;
  }

  /** When the day of the oldest row has been over for long enough. */
  dueAtMs(): number | undefined {
    const oldestMs = this.#books.oldestAuditMs();
    // Rows from before accounts knew whose they are wait for the next one.
    if (oldestMs === undefined || this.#books.userId() === undefined) return undefined;
    return endOfDayMs(oldestMs) + this.#keepDays() * DAY_MS;
  }

  async run(): Promise<void> {
    const [userId, oldestMs] = [this.#books.userId(), this.#books.oldestAuditMs()];
    if (userId === undefined || oldestMs === undefined) return;
    const rows = this.#books.auditBefore(endOfDayMs(oldestMs), ROWS_A_RUN);
    const key = `${auditPrefix(userId)}${dayOf(oldestMs)}/${rows[0]?.id}.jsonl`;
    await this.#bucket.put(key, rows.map(lineOf).join(""), { httpMetadata: { contentType: "application/jsonl" } });
    this.#books.dropAudit(rows);
  }
}

function lineOf({ at_ms: atMs, parent_run_id: runId, ...row }: AuditRecord): string {
  const run = runId === null ? {} : { parent_run_id: runId };
  return `${JSON.stringify({ at: new Date(atMs).toISOString(), ...row, ...run })}\n`;
}

function endOfDayMs(atMs: number): number {
  return (Math.floor(atMs / DAY_MS) + 1) * DAY_MS;
}

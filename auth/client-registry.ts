import { DurableObject } from "cloudflare:workers";
import * as z from "zod";

const SCHEMA = `
  CREATE TABLE IF NOT EXISTS documents (
    url TEXT PRIMARY KEY, body TEXT NOT NULL, fetched_at_ms INTEGER NOT NULL
  ) WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS allowed (
    url TEXT PRIMARY KEY, allowed_at_ms INTEGER NOT NULL
  ) WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS registrations (
    origin TEXT PRIMARY KEY, count INTEGER NOT NULL, until_ms INTEGER NOT NULL
  ) WITHOUT ROWID;
`;

/** Of those that somebody has allowed, and of all others. */
const MAX_DOCUMENTS = 1_000;
const WINDOW_MS = 60 * 60 * 1000;
/** A whole office may come from one address, and Claude and ChatGPT register from few for everybody. */
const PER_ORIGIN = 100;
const OVERALL = 1_000;
/** The row that counts every registration. */
const EVERYWHERE = "*";

const documentRecord = z.object({ body: z.string(), fetched_at_ms: z.number() });
const countRecord = z.object({ count: z.number(), until_ms: z.number() });

/** A client's document as it was last fetched. */
export interface KeptDocument {
  readonly body: string;
  readonly fetchedAtMs: number;
}

/** How many clients have registered of late, and what the documents of those that need not say. One per deployment. */
export class ClientRegistry extends DurableObject<object> {
  readonly #sql: SqlStorage;

  constructor(state: DurableObjectState, env: object) {
    super(state, env);
    this.#sql = state.storage.sql;
    this.#sql.exec(SCHEMA);
  }

  /** Admits a registration from that origin, or says from when on there may be another. Parallel ones share no place. */
  admitRegistration(origin: string, nowMs: number): { isAllowed: boolean; retryAtMs: number } {
    this.#sql.exec("DELETE FROM registrations WHERE until_ms <= ?", nowMs);
    const own = this.#countOf(origin, nowMs);
    const all = this.#countOf(EVERYWHERE, nowMs);
    if (own.count >= PER_ORIGIN) return { isAllowed: false, retryAtMs: own.until_ms };
    if (all.count >= OVERALL) return { isAllowed: false, retryAtMs: all.until_ms };
    this.#keepCount(origin, own.count + 1, own.until_ms);
    this.#keepCount(EVERYWHERE, all.count + 1, all.until_ms);
    return { isAllowed: true, retryAtMs: nowMs };
  }

  findDocument(url: string): KeptDocument | undefined {
    const [row] = this.#sql.exec("SELECT body, fetched_at_ms FROM documents WHERE url = ?", url).toArray();
    if (row === undefined) return undefined;
    const { body, fetched_at_ms: fetchedAtMs } = documentRecord.parse(row);
    return { body, fetchedAtMs };
  }

  /**
   * Keeps the document, and the thousand that were fetched last. Strangers may open as many as they like, so those of
   * clients that somebody has allowed do not count: without its document a client cannot refresh.
   */
  keepDocument(url: string, { body, fetchedAtMs }: KeptDocument): void {
    this.#sql.exec("INSERT OR REPLACE INTO documents VALUES (?, ?, ?)", url, body, fetchedAtMs);
    this.#sql.exec(
      `DELETE FROM documents WHERE url IN (
        SELECT url FROM documents WHERE url NOT IN (SELECT url FROM allowed) ORDER BY fetched_at_ms DESC LIMIT -1 OFFSET ?
      )`,
      MAX_DOCUMENTS,
    );
  }

  /** Somebody has allowed the client of that document. */
  allowDocument(url: string, nowMs: number): void {
    this.#sql.exec("INSERT OR REPLACE INTO allowed VALUES (?, ?)", url, nowMs);
    this.#sql.exec(
      "DELETE FROM allowed WHERE url IN (SELECT url FROM allowed ORDER BY allowed_at_ms DESC LIMIT -1 OFFSET ?)",
      MAX_DOCUMENTS,
    );
  }

  forgetDocument(url: string): void {
    this.#sql.exec("DELETE FROM documents WHERE url = ?", url);
  }

  #countOf(origin: string, nowMs: number): z.output<typeof countRecord> {
    const [row] = this.#sql.exec("SELECT count, until_ms FROM registrations WHERE origin = ?", origin).toArray();
    return row === undefined ? { count: 0, until_ms: nowMs + WINDOW_MS } : countRecord.parse(row);
  }

  #keepCount(origin: string, count: number, untilMs: number): void {
    this.#sql.exec("INSERT OR REPLACE INTO registrations VALUES (?, ?, ?)", origin, count, untilMs);
  }
}

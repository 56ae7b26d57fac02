import * as z from "zod";

/** A port of a sandbox that its person has exposed. */
export interface StoredPreview {
  readonly id: string;
  readonly sandbox: string;
  readonly port: number;
  readonly madeAtMs: number;
  /** The link by which anybody may open it; absent where there is none. */
  readonly share?: {
    /** SHA-256 of what the link holds, hex. */
    readonly hash: string;
    readonly expiresAtMs: number;
  };
}

/** What a browser that is signed in is sent to a preview with. */
export interface PreviewCode {
  /** SHA-256, hex. */
  readonly hash: string;
  readonly previewId: string;
  readonly expiresAtMs: number;
}

/** A person's previews at one time. */
export const MAX_PREVIEWS = 100;

const SCHEMA = `
  CREATE TABLE IF NOT EXISTS previews (
    id TEXT PRIMARY KEY, sandbox TEXT NOT NULL, port INTEGER NOT NULL, made_at_ms INTEGER NOT NULL,
    share_hash TEXT, share_expires_at_ms INTEGER, UNIQUE (sandbox, port)
  ) WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS preview_codes (
    hash TEXT PRIMARY KEY, preview_id TEXT NOT NULL, expires_at_ms INTEGER NOT NULL
  ) WITHOUT ROWID`;

const previewRecord = z
  .object({
    id: z.string(),
    sandbox: z.string(),
    port: z.number(),
    made_at_ms: z.number(),
    share_hash: z.string().nullable(),
    share_expires_at_ms: z.number().nullable(),
  })
  .transform(
    ({
      id,
      sandbox,
      port,
      made_at_ms: madeAtMs,
      share_hash: hash,
      share_expires_at_ms: expiresAtMs,
    }): StoredPreview => ({
      ...{ id, sandbox, port, madeAtMs },
      ...(hash === null || expiresAtMs === null ? {} : { share: { hash, expiresAtMs } }),
    }),
  );

/** The previews of one person. One without a row is dead: withdrawing it is forgetting it. */
export class PreviewTable {
  readonly #sql: SqlStorage;

  constructor(sql: SqlStorage) {
    this.#sql = sql;
    sql.exec(SCHEMA);
  }

  /** The preview of that port, this one where there was none; nothing where there are too many. */
  expose({ id, sandbox, port, madeAtMs }: StoredPreview): StoredPreview | undefined {
    const known = this.#findPort(sandbox, port);
    if (known !== undefined) return known;
    const { count } = this.#sql.exec("SELECT count(*) AS count FROM previews").one();
    if (Number(count) >= MAX_PREVIEWS) return undefined;
    this.#sql.exec("INSERT INTO previews VALUES (?, ?, ?, ?, NULL, NULL)", id, sandbox, port, madeAtMs);
    return this.#findPort(sandbox, port);
  }

  /** Puts this link in the place of the one before; without one there is none. */
  setShare(id: string, share: StoredPreview["share"]): void {
    this.#sql.exec(
      "UPDATE previews SET share_hash = ?, share_expires_at_ms = ? WHERE id = ?",
      ...[share?.hash ?? null, share?.expiresAtMs ?? null, id],
    );
  }

  /** Expiry is for the caller to check, against its own clock. */
  find(id: string): StoredPreview | undefined {
    return this.#read("SELECT * FROM previews WHERE id = ?", id)[0];
  }

  /** Newest first. */
  list(): StoredPreview[] {
    return this.#read("SELECT * FROM previews ORDER BY made_at_ms DESC, id");
  }

  /** What it was, or nothing where there was none. */
  withdraw(sandbox: string, port: number): StoredPreview | undefined {
    const known = this.#findPort(sandbox, port);
    this.#sql.exec("DELETE FROM previews WHERE sandbox = ? AND port = ?", sandbox, port);
    if (known !== undefined) this.#sql.exec("DELETE FROM preview_codes WHERE preview_id = ?", known.id);
    return known;
  }

  /** Whether there is that preview to open. */
  addCode({ hash, previewId, expiresAtMs }: PreviewCode, nowMs: number): boolean {
    this.#sql.exec("DELETE FROM preview_codes WHERE expires_at_ms <= ?", nowMs);
    if (this.find(previewId) === undefined) return false;
    this.#sql.exec("INSERT INTO preview_codes VALUES (?, ?, ?)", hash, previewId, expiresAtMs);
    return true;
  }

  /** Whether that code opens that preview; it does so once. */
  takeCode(hash: string, previewId: string, nowMs: number): boolean {
    const taken = this.#sql.exec(
      "DELETE FROM preview_codes WHERE hash = ? AND preview_id = ? AND expires_at_ms > ? RETURNING hash",
      ...[hash, previewId, nowMs],
    );
    return taken.toArray().length > 0;
  }

  #findPort(sandbox: string, port: number): StoredPreview | undefined {
    return this.#read("SELECT * FROM previews WHERE sandbox = ? AND port = ?", sandbox, port)[0];
  }

  #read(query: string, ...bound: readonly (string | number)[]): StoredPreview[] {
    return this.#sql
      .exec(query, ...bound)
      .toArray()
      .map((row) => previewRecord.parse(row));
  }
}

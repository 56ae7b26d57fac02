import * as z from "zod";
import type { Caller } from "../../auth/caller.ts";
import type { Figures } from "../account/figures.ts";

export interface NotedPerson {
  readonly userId: string;
  readonly displayName: string;
  readonly role: Caller["role"];
}

export interface KnownPerson {
  readonly userId: string;
  /** Empty for somebody who has worked and not signed in since there is a directory. */
  readonly displayName: string;
  /** As it was at the last sign-in. */
  readonly role: Caller["role"];
  readonly firstSeenMs: number;
  readonly lastSeenMs: number;
  /** What the present month (UTC) has come to. */
  readonly month: Figures;
  readonly isPaused: boolean;
  readonly hasLimits: boolean;
}

export interface PeopleQuery {
  /** Part of a name or the beginning of an id. */
  readonly query?: string;
  /** Where an earlier page ended. One that is none begins at the first. */
  readonly cursor?: string;
  readonly limit: number;
}

export interface PeoplePage {
  /** Those seen last come first. */
  readonly people: readonly KnownPerson[];
  readonly cursor?: string;
}

const SCHEMA = `
  CREATE TABLE IF NOT EXISTS people (
    user_id TEXT PRIMARY KEY, display_name TEXT NOT NULL, role TEXT NOT NULL, first_seen_ms INTEGER NOT NULL,
    last_seen_ms INTEGER NOT NULL, sequence INTEGER NOT NULL, is_paused INTEGER NOT NULL, has_limits INTEGER NOT NULL
  ) WITHOUT ROWID;
  CREATE INDEX IF NOT EXISTS people_by_last_seen ON people (last_seen_ms);
`;

const NEWEST_FIRST = "ORDER BY last_seen_ms DESC, user_id DESC";

const NOTE = `
  INSERT INTO people VALUES (?1, ?2, ?3, ?4, ?4, 0, 0, 0)
  ON CONFLICT DO UPDATE SET display_name = excluded.display_name, role = excluded.role,
    last_seen_ms = max(last_seen_ms, excluded.last_seen_ms)`;

const NOTE_WORK = `
  INSERT INTO people VALUES (?1, '', 'reader', ?2, ?2, ?3, 0, 0)
  ON CONFLICT DO UPDATE SET sequence = excluded.sequence, last_seen_ms = max(last_seen_ms, excluded.last_seen_ms)`;

/** Somebody who was never told of is seen now. */
const NOTE_RULES = `
  INSERT INTO people VALUES (?1, '', 'reader', ?2, ?2, 0, ?3, ?4)
  ON CONFLICT DO UPDATE SET is_paused = excluded.is_paused, has_limits = excluded.has_limits`;

const personRecord = z.object({
  user_id: z.string(),
  display_name: z.string(),
  role: z.enum(["admin", "member", "reader"]),
  first_seen_ms: z.number(),
  last_seen_ms: z.number(),
  is_paused: z.number(),
  has_limits: z.number(),
});
const sequenceRecord = z.object({ sequence: z.number() });
const nameRecord = z.object({ user_id: z.string(), display_name: z.string() });
const idRecord = z.object({ user_id: z.string() });

/** Everybody who has signed in or worked. */
export class PeopleTable {
  readonly #sql: SqlStorage;
  readonly #monthOf: (userId: string) => Figures;

  constructor(sql: SqlStorage, monthOf: (userId: string) => Figures) {
    this.#sql = sql;
    this.#monthOf = monthOf;
    sql.exec(SCHEMA);
  }

  note({ userId, displayName, role }: NotedPerson, nowMs: number): void {
    this.#sql.exec(NOTE, userId, displayName, role, nowMs);
  }

  /** The last batch that was taken in of that person; 0 before the first. */
  sequenceOf(userId: string): number {
    const [row] = this.#sql.exec("SELECT sequence FROM people WHERE user_id = ?", userId).toArray();
    return row === undefined ? 0 : sequenceRecord.parse(row).sequence;
  }

  noteWork(userId: string, sequence: number, lastAtMs: number): void {
    this.#sql.exec(NOTE_WORK, userId, lastAtMs, sequence);
  }

  noteRules(userId: string, { isPaused, hasLimits }: Pick<KnownPerson, "isPaused" | "hasLimits">, nowMs: number): void {
    this.#sql.exec(NOTE_RULES, userId, nowMs, Number(isPaused), Number(hasLimits));
  }

  find(userId: string): KnownPerson | undefined {
    const [row] = this.#sql.exec("SELECT * FROM people WHERE user_id = ?", userId).toArray();
    return row === undefined ? undefined : this.#read(row);
  }

  list({ query, cursor, limit }: PeopleQuery): PeoplePage {
    const conditions = ["true"];
    const values: (string | number)[] = [];
    const [, lastSeenMs, userId] = /^(\d{1,15})\.([\w-]{1,100})$/.exec(cursor ?? "") ?? [];
    if (lastSeenMs !== undefined && userId !== undefined) {
      conditions.push("(last_seen_ms, user_id) < (?, ?)");
      values.push(Number(lastSeenMs), userId);
    }
    if (query !== undefined) {
      conditions.push("(instr(lower(display_name), ?) > 0 OR substr(user_id, 1, ?) = ?)");
      values.push(query.toLowerCase(), query.length, query);
    }
    const where = conditions.join(" AND ");
    const rows = this.#sql
      .exec(`SELECT * FROM people WHERE ${where} ${NEWEST_FIRST} LIMIT ?`, ...values, limit)
      .toArray();
    const people = rows.map((row) => this.#read(row));
    const last = people.at(-1);
    if (last === undefined || people.length < limit) return { people };
    return { people, cursor: `${last.lastSeenMs}.${last.userId}` };
  }

  /** How people are called; of whom nothing is known, nothing. */
  names(userIds: readonly string[]): Record<string, string> {
    const query = "SELECT user_id, display_name FROM people WHERE user_id IN (SELECT value FROM json_each(?))";
    const rows = this.#sql.exec(query, JSON.stringify(userIds)).toArray();
    return Object.fromEntries(
      rows.map((row) => {
        const { user_id: userId, display_name: name } = nameRecord.parse(row);
        return [userId, name];
      }),
    );
  }

  /** Those seen last come first. */
  activeSince(sinceMs: number, limit: number): string[] {
    const query = `SELECT user_id FROM people WHERE last_seen_ms >= ? ${NEWEST_FIRST} LIMIT ?`;
    return this.#sql
      .exec(query, sinceMs, limit)
      .toArray()
      .map((row) => idRecord.parse(row).user_id);
  }

  #read(row: unknown): KnownPerson {
    const person = personRecord.parse(row);
    return {
      userId: person.user_id,
      displayName: person.display_name,
      role: person.role,
      firstSeenMs: person.first_seen_ms,
      lastSeenMs: person.last_seen_ms,
      month: this.#monthOf(person.user_id),
      isPaused: person.is_paused !== 0,
      hasLimits: person.has_limits !== 0,
    };
  }
}

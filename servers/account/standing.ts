import * as z from "zod";
import { type Hit, type LimitName, type Limits, type Pause, type Standing, limitsSchema } from "../shared/limits.ts";
import type { BooksEntry } from "./book-table.ts";
import { dayOf } from "./figures.ts";

/** What the calls of one isolate go by: the standing, and what other isolates are doing. */
export interface StandingNow extends Standing {
  /** Of the minute that began then. */
  readonly minuteMs: number;
  readonly callsThisMinute: number;
  /** Calls under way in other isolates, as each of them last said. */
  readonly inFlightElsewhere: number;
  /** What storage the account believes the person's role to allow. */
  readonly roleStorageMb?: number;
}

/** A change of a person's rules; what is absent stays as it is. */
export interface RuleChange {
  /** `false` lifts the pause. */
  readonly paused?: Pause | false;
  readonly own?: Limits;
}

const MINUTE_MS = 60_000;
/** An isolate that has calls under way asks every two seconds. */
const IN_FLIGHT_KNOWN_MS = 5_000;
const MAX_HITS = 30;
/** What pages do, what links do, and how somebody stands: no limit of calls holds for them. */
const IS_NO_CALL = /^(account|admin|files_share)\//;

const SCHEMA = `
  CREATE TABLE IF NOT EXISTS rules (
    id INTEGER PRIMARY KEY CHECK (id = 1), paused_at_ms INTEGER, pause_reason TEXT NOT NULL, own TEXT NOT NULL,
    role_storage_mb INTEGER
  );
  INSERT OR IGNORE INTO rules VALUES (1, NULL, '', '{}', NULL);
  CREATE TABLE IF NOT EXISTS limit_hits (
    day TEXT NOT NULL, name TEXT NOT NULL, hits INTEGER NOT NULL, last_at_ms INTEGER NOT NULL, PRIMARY KEY (day, name)
  ) WITHOUT ROWID;
`;

const ADD_HIT = `
  INSERT INTO limit_hits VALUES (?, ?, 1, ?)
  ON CONFLICT DO UPDATE SET hits = hits + 1, last_at_ms = max(last_at_ms, excluded.last_at_ms)`;
const FORGET_OLD_HITS = `
  DELETE FROM limit_hits WHERE (day, name) IN
    (SELECT day, name FROM limit_hits ORDER BY day DESC, name LIMIT -1 OFFSET ${MAX_HITS})`;

const rulesRecord = z.object({
  paused_at_ms: z.number().nullable(),
  pause_reason: z.string(),
  own: z.string(),
  role_storage_mb: z.number().nullable(),
});
const hitRecord = z
  .object({ day: z.string(), name: limitsSchema.keyof(), hits: z.number(), last_at_ms: z.number() })
  .transform(({ day, name: limit, hits: count, last_at_ms: lastAtMs }): Hit => ({ day, limit, count, lastAtMs }));

interface Rules {
  readonly paused?: Pause;
  readonly own: Limits;
  readonly roleStorageMb?: number;
}

/** What holds for one person alone, and how their calls stand to it. */
export class StandingTable {
  readonly #sql: SqlStorage;
  #rules: Rules;
  #minuteMs = 0;
  /** Of an object that was evicted the minute begins anew. */
  #callsThisMinute = 0;
  readonly #inFlight = new Map<string, { readonly calls: number; readonly atMs: number }>();

  constructor(sql: SqlStorage) {
    this.#sql = sql;
    sql.exec(SCHEMA);
    this.#rules = this.#read();
  }

  get rules(): Rules {
    return this.#rules;
  }

  /** What the person's files may take: their own limit, else their role's. */
  get storageMb(): number | undefined {
    return this.#rules.own.storageMb ?? this.#rules.roleStorageMb;
  }

  setRules({ paused, own }: RuleChange): void {
    if (paused !== undefined) {
      const { sinceMs, reason } = paused === false ? { sinceMs: null, reason: "" } : paused;
      this.#sql.exec("UPDATE rules SET paused_at_ms = ?, pause_reason = ?", sinceMs, reason);
    }
    if (own !== undefined) this.#sql.exec("UPDATE rules SET own = ?", JSON.stringify(limitsSchema.parse(own)));
    this.#rules = this.#read();
  }

  setRoleStorage(storageMb: number | undefined): void {
    this.#sql.exec("UPDATE rules SET role_storage_mb = ?", storageMb ?? null);
    this.#rules = this.#read();
  }

  /** Takes in calls that are new to the books: how many the minute has, and which limits refused some. */
  noteCalls(entries: readonly BooksEntry[]): void {
    for (const { audit, hit } of entries) {
      if (hit !== undefined) this.#addHit(hit, audit.atMs);
      else if (!IS_NO_CALL.test(audit.tool)) this.#countCall(audit.atMs);
    }
  }

  /** Newest first. */
  hits(): Hit[] {
    const rows = this.#sql.exec("SELECT * FROM limit_hits ORDER BY last_at_ms DESC").toArray();
    return rows.map((row) => hitRecord.parse(row));
  }

  /** Says what an isolate's calls go by, and remembers how many it has under way. */
  atGate(isolate: string, inFlight: number, nowMs: number): Omit<StandingNow, keyof Standing> {
    this.#inFlight.set(isolate, { calls: inFlight, atMs: nowMs });
    let inFlightElsewhere = 0;
    for (const [other, { calls, atMs }] of this.#inFlight) {
      if (nowMs - atMs > IN_FLIGHT_KNOWN_MS) this.#inFlight.delete(other);
      else if (other !== isolate) inFlightElsewhere += calls;
    }
    const { roleStorageMb } = this.#rules;
    return {
      minuteMs: this.#minuteMs,
      callsThisMinute: this.#callsThisMinute,
      inFlightElsewhere,
      ...(roleStorageMb === undefined ? {} : { roleStorageMb }),
    };
  }

  #countCall(calledAtMs: number): void {
    // Another's clock that is ahead would begin a minute for everybody.
    const atMs = Math.min(calledAtMs, Date.now());
    const minuteMs = atMs - (atMs % MINUTE_MS);
    if (minuteMs > this.#minuteMs) {
      this.#minuteMs = minuteMs;
      this.#callsThisMinute = 0;
    }
    if (minuteMs === this.#minuteMs) this.#callsThisMinute += 1;
  }

  #addHit(limit: LimitName, atMs: number): void {
    this.#sql.exec(ADD_HIT, dayOf(atMs), limit, Math.round(atMs));
    this.#sql.exec(FORGET_OLD_HITS);
  }

  #read(): Rules {
    const {
      paused_at_ms: sinceMs,
      pause_reason: reason,
      own,
      role_storage_mb: roleStorageMb,
    } = rulesRecord.parse(this.#sql.exec("SELECT * FROM rules").one());
    return {
      own: limitsSchema.parse(JSON.parse(own)),
      ...(sinceMs === null ? {} : { paused: { sinceMs, reason } }),
      ...(roleStorageMb === null ? {} : { roleStorageMb }),
    };
  }
}

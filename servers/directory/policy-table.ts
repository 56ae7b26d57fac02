import * as z from "zod";
import { type Limits, type Policy, ROLES, type Role, limitsSchema } from "../shared/limits.ts";

const SCHEMA = `
  CREATE TABLE IF NOT EXISTS role_limits (role TEXT PRIMARY KEY, limits TEXT NOT NULL) WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS pause_of_all (
    id INTEGER PRIMARY KEY CHECK (id = 1), since_ms INTEGER NOT NULL, reason TEXT NOT NULL
  );
`;

const roleRecord = z.object({ role: z.enum(ROLES), limits: z.string() });
const pauseRecord = z.object({ since_ms: z.number(), reason: z.string() });

/** What holds for everybody: the limits of each role, and whether anybody may go on at all. */
export class PolicyTable {
  readonly #sql: SqlStorage;
  readonly #settings: () => Policy["ofRole"];
  #policy: Policy | undefined;

  /** `settings`: what holds for a role for which nobody has said otherwise. */
  constructor(sql: SqlStorage, settings: () => Policy["ofRole"]) {
    this.#sql = sql;
    this.#settings = settings;
    sql.exec(SCHEMA);
  }

  get policy(): Policy {
    return (this.#policy ??= this.#read());
  }

  /** Puts these in the place of all that the settings say of the role; without any, the settings hold again. */
  setRoleLimits(role: Role, limits: Limits | undefined): void {
    if (limits === undefined) this.#sql.exec("DELETE FROM role_limits WHERE role = ?", role);
    else {
      const json = JSON.stringify(limitsSchema.parse(limits));
      this.#sql.exec("INSERT OR REPLACE INTO role_limits VALUES (?, ?)", role, json);
    }
    this.#policy = undefined;
  }

  /** One that is there keeps its beginning. */
  pauseAll(reason: string, nowMs: number): void {
    const pause = "INSERT INTO pause_of_all VALUES (1, ?, ?) ON CONFLICT DO UPDATE SET reason = excluded.reason";
    this.#sql.exec(pause, nowMs, reason);
    this.#policy = undefined;
  }

  resumeAll(): void {
    this.#sql.exec("DELETE FROM pause_of_all");
    this.#policy = undefined;
  }

  #read(): Policy {
    const rows = this.#sql.exec("SELECT * FROM role_limits").toArray();
    const said = rows.map((row) => {
      const { role, limits } = roleRecord.parse(row);
      return [role, limitsSchema.parse(JSON.parse(limits))] as const;
    });
    const ofRole = { ...this.#settings(), ...Object.fromEntries(said) };
    const [pause] = this.#sql.exec("SELECT * FROM pause_of_all").toArray();
    if (pause === undefined) return { ofRole };
    const { since_ms: sinceMs, reason } = pauseRecord.parse(pause);
    return { ofRole, pausedAll: { sinceMs, reason } };
  }
}

import * as z from "zod";
import { type Scope, isScope } from "../../auth/scopes.ts";

const SCHEMA = `
  CREATE TABLE IF NOT EXISTS consents (
    client_id TEXT NOT NULL, resource TEXT NOT NULL, left_out TEXT NOT NULL, decided_at_ms INTEGER NOT NULL,
    PRIMARY KEY (client_id, resource)
  ) WITHOUT ROWID;
`;

const KEPT_MS = 366 * 24 * 60 * 60 * 1000;

const consentRecord = z.object({ left_out: z.string() });

/** What a person left out, of all that a client was offered at an endpoint, when they last allowed it something. */
export interface RememberedConsent {
  readonly clientId: string;
  readonly resource: string;
  readonly leftOut: readonly Scope[];
  readonly nowMs: number;
}

/** One person's last answers on the consent page. */
export class ConsentTable {
  readonly #sql: SqlStorage;

  constructor(sql: SqlStorage) {
    this.#sql = sql;
    sql.exec(SCHEMA);
  }

  remember({ clientId, resource, leftOut, nowMs }: RememberedConsent): void {
    this.#sql.exec("DELETE FROM consents WHERE decided_at_ms < ?", nowMs - KEPT_MS);
    this.#sql.exec("INSERT OR REPLACE INTO consents VALUES (?, ?, ?, ?)", clientId, resource, leftOut.join(" "), nowMs);
  }

  leftOut(clientId: string, resource: string): Scope[] {
    const [row] = this.#sql
      .exec("SELECT left_out FROM consents WHERE client_id = ? AND resource = ?", clientId, resource)
      .toArray();
    return row === undefined ? [] : consentRecord.parse(row).left_out.split(" ").filter(isScope);
  }
}

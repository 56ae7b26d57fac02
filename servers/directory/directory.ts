import { DurableObject } from "cloudflare:workers";
import { dayOf } from "../account/figures.ts";
import type { UsageBatch } from "../account/outbox.ts";
import type { UsageRow } from "../account/usage-table.ts";
import { ErrorTable, type KnownError } from "./error-table.ts";
import { type KnownPerson, type NotedPerson, type PeoplePage, type PeopleQuery, PeopleTable } from "./people-table.ts";
import { monthOf } from "./periods.ts";
import { type EverybodysQuery, RollupTable } from "./rollup-table.ts";

/** Who there is, and what everybody's work comes to. One per deployment; the truth about a person is in `Account`. */
export class Directory<Env extends object = object> extends DurableObject<Env> {
  protected readonly peopleTable: PeopleTable;
  readonly #rollup: RollupTable;
  readonly #errors: ErrorTable;

  constructor(state: DurableObjectState, env: Env) {
    super(state, env);
    const { sql } = state.storage;
    this.#rollup = new RollupTable(sql);
    this.peopleTable = new PeopleTable(sql, (userId) => this.#rollup.monthOf(userId, monthOf(dayOf(Date.now()))));
    this.#errors = new ErrorTable(sql);
  }

  /** Takes a batch of somebody's usage in, all of it or nothing; one that came before changes nothing. */
  tell(userId: string, { sequence, lastAtMs, deltas, broken }: UsageBatch): void {
    const nowMs = Date.now();
    this.ctx.storage.transactionSync(() => {
      if (sequence <= this.peopleTable.sequenceOf(userId)) return;
      // A clock that is ahead puts nobody in front of everybody else.
      this.peopleTable.noteWork(userId, sequence, Math.min(lastAtMs, nowMs));
      this.#rollup.add(userId, deltas);
      this.#errors.add(userId, broken);
    });
  }

  /** Called when somebody signs in. */
  notePerson(person: NotedPerson, nowMs: number): void {
    this.peopleTable.note(person, nowMs);
  }

  people(query: PeopleQuery): PeoplePage {
    return this.peopleTable.list(query);
  }

  person(userId: string): KnownPerson | undefined {
    return this.peopleTable.find(userId);
  }

  names(userIds: readonly string[]): Record<string, string> {
    return this.peopleTable.names(userIds);
  }

  usage(query: EverybodysQuery, limit: number): UsageRow[] {
    return this.#rollup.query(query, limit);
  }

  /** Who has signed in or worked since then. */
  activeSince(sinceMs: number, limit: number): string[] {
    return this.peopleTable.activeSince(sinceMs, limit);
  }

  /** The last calls that broke inside Pincer. */
  errors(limit: number): KnownError[] {
    return this.#errors.list(limit);
  }
}

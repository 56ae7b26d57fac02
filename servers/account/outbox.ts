import * as z from "zod";
import { inParts } from "../shared/in-parts.ts";
import { within } from "../shared/within.ts";
import type { Chore } from "./chores.ts";
import { ADD_FIGURES, FIGURE_COLUMNS, FIGURE_SCHEMA, FIGURES_FROM_JSON, readFigures } from "./figures.ts";
import { USAGE_KEY, USAGE_KEY_FROM_JSON, USAGE_KEY_SCHEMA, type UsageDelta } from "./usage-table.ts";

/** A call that broke inside Pincer: whoever made it was told the reference. */
export interface BrokenCall {
  readonly reference: string;
  readonly atMs: number;
  readonly tool: string;
}

/** What one person's books have that the deployment's do not. */
export interface UsageBatch {
  /** Counts up from 1; what came already is not added again. */
  readonly sequence: number;
  /** When the person was last at work, by the account's clock. */
  readonly lastAtMs: number;
  readonly deltas: readonly UsageDelta[];
  readonly broken: readonly BrokenCall[];
}

/** As much of `Directory` as is told of usage. */
export interface ToldDirectory extends Rpc.DurableObjectBranded {
  tell(userId: string, batch: UsageBatch): Promise<void>;
}

/** Long enough to gather the calls of a busy moment, short enough for a page that somebody looks at. */
export const TELL_AFTER_MS = 5_000;
const RETRY_MS = 60_000;
const TIMEOUT_MS = 20_000;
const MAX_BROKEN = 200;

// What is added goes to the open batch. Once a batch is sent it is sealed, and never changed.
const SCHEMA = `
  CREATE TABLE IF NOT EXISTS outbox (
    sequence INTEGER NOT NULL, ${USAGE_KEY_SCHEMA}, ${FIGURE_SCHEMA}, PRIMARY KEY (sequence, ${USAGE_KEY})
  ) WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS outbox_broken (
    sequence INTEGER NOT NULL, reference TEXT NOT NULL, at_ms INTEGER NOT NULL, tool TEXT NOT NULL,
    PRIMARY KEY (sequence, reference)
  ) WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS outbox_state (
    id INTEGER PRIMARY KEY CHECK (id = 1), open_sequence INTEGER NOT NULL, due_at_ms INTEGER,
    last_at_ms INTEGER NOT NULL
  );
  INSERT OR IGNORE INTO outbox_state VALUES (1, 1, NULL, 0);
`;

const ADD = `
  INSERT INTO outbox (sequence, ${USAGE_KEY}, ${FIGURE_COLUMNS})
  SELECT (SELECT open_sequence FROM outbox_state), ${USAGE_KEY_FROM_JSON}, ${FIGURES_FROM_JSON} FROM json_each(?)
  WHERE true ON CONFLICT DO UPDATE SET ${ADD_FIGURES}`;

const ADD_BROKEN = `
  INSERT OR IGNORE INTO outbox_broken
  SELECT (SELECT open_sequence FROM outbox_state), value->>'$.reference', value->>'$.atMs', value->>'$.tool'
  FROM json_each(?)`;
/** The directory shows so many of everybody's together. */
const FORGET_BROKEN = `
  DELETE FROM outbox_broken WHERE (sequence, reference) IN
    (SELECT sequence, reference FROM outbox_broken ORDER BY at_ms DESC LIMIT -1 OFFSET ${MAX_BROKEN})`;

const keyRecord = z.object({
  day: z.string(),
  server: z.string(),
  tool: z.string(),
  model: z.string(),
  client_id: z.string(),
});
const brokenRecord = z
  .object({ reference: z.string(), at_ms: z.number(), tool: z.string() })
  .transform(({ reference, at_ms: atMs, tool }): BrokenCall => ({ reference, atMs, tool }));
const stateRecord = z.object({ open_sequence: z.number(), due_at_ms: z.number().nullable(), last_at_ms: z.number() });

/** Tells the directory what has been added to one person's usage: at least once, in order, off everybody's path. */
export class Outbox implements Chore {
  readonly name = "tell the directory of usage";
  readonly #storage: DurableObjectStorage;
  readonly #sql: SqlStorage;
  readonly #userId: () => string | undefined;
  readonly #directory: () => Pick<ToldDirectory, "tell">;

  constructor(
    storage: DurableObjectStorage,
    userId: () => string | undefined,
    directory: () => Pick<ToldDirectory, "tell">,
  ) {
    this.#storage = storage;
    this.#sql = storage.sql;
    this.#userId = userId;
    this.#directory = directory;
    this.#sql.exec(SCHEMA);
  }

  add(deltas: readonly UsageDelta[], broken: readonly BrokenCall[], nowMs: number): void {
    for (const part of inParts(deltas)) this.#sql.exec(ADD, JSON.stringify(part));
    if (broken.length > 0) {
      this.#sql.exec(ADD_BROKEN, JSON.stringify(broken));
      this.#sql.exec(FORGET_BROKEN);
    }
    this.#sql.exec(
      "UPDATE outbox_state SET due_at_ms = coalesce(due_at_ms, ?), last_at_ms = max(last_at_ms, ?)",
      nowMs + TELL_AFTER_MS,
      nowMs,
    );
  }

  dueAtMs(): number | undefined {
    return this.#userId() === undefined ? undefined : (this.#state().due_at_ms ?? undefined);
  }

  async run(nowMs: number): Promise<void> {
    const userId = this.#userId();
    if (userId === undefined) return;
    // Also where the directory never answers.
    this.#setDue(nowMs + RETRY_MS);
    // What is added while a batch is on its way waits until something has gathered again.
    const sequence = this.#oldest();
    if (sequence === undefined) return this.#setDue(null);
    await within(TIMEOUT_MS, this.#directory().tell(userId, this.#seal(sequence)));
    this.#drop(sequence);
    this.#setDue(this.#oldest() === undefined ? null : Date.now() + TELL_AFTER_MS);
  }

  /** The first batch that is not acknowledged; there are two where one was sent and another has begun. */
  #oldest(): number | undefined {
    const { oldest } = this.#sql.exec("SELECT min(sequence) AS oldest FROM outbox").one();
    return oldest === null ? undefined : Number(oldest);
  }

  /** The batch, which from now on stays what it is. */
  #seal(sequence: number): UsageBatch {
    this.#sql.exec("UPDATE outbox_state SET open_sequence = max(open_sequence, ?)", sequence + 1);
    const deltas = this.#sql.exec("SELECT * FROM outbox WHERE sequence = ?", sequence).toArray();
    const broken = this.#sql.exec("SELECT * FROM outbox_broken WHERE sequence = ?", sequence).toArray();
    return {
      sequence,
      lastAtMs: this.#state().last_at_ms,
      deltas: deltas.map(readDelta),
      broken: broken.map((row) => brokenRecord.parse(row)),
    };
  }

  #drop(sequence: number): void {
    this.#storage.transactionSync(() => {
      this.#sql.exec("DELETE FROM outbox WHERE sequence = ?", sequence);
      this.#sql.exec("DELETE FROM outbox_broken WHERE sequence = ?", sequence);
    });
  }

  #setDue(atMs: number | null): void {
    this.#sql.exec("UPDATE outbox_state SET due_at_ms = ?", atMs);
  }

  #state(): z.output<typeof stateRecord> {
    return stateRecord.parse(this.#sql.exec("SELECT * FROM outbox_state").one());
  }
}

function readDelta(row: unknown): UsageDelta {
  const { client_id: clientId, ...key } = keyRecord.parse(row);
  return { ...key, clientId, ...readFigures(row) };
}

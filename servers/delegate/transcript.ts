import { type ModelMessage, modelMessageSchema } from "ai";
import * as z from "zod";
import { isScope } from "../../auth/scopes.ts";
import { budgetInput, ledgerSchema } from "./budget.ts";

export const RUN_STATES = ["running", "completed", "failed", "cancelled", "budget_exhausted"] as const;
export type RunState = (typeof RUN_STATES)[number];

const runRecord = z.object({
  /** Grows with every change, so that whoever waits can say what it has seen. */
  version: z.int(),
  runId: z.string(),
  caller: z.object({
    userId: z.string(),
    role: z.enum(["admin", "member", "reader"]),
    scopes: z.array(z.string()).transform((scopes) => scopes.filter(isScope)),
    clientId: z.string(),
  }),
  model: z.string(),
  budget: budgetInput,
  limitField: z.enum(["max_tokens", "max_completion_tokens"]),
  state: z.enum(RUN_STATES),
  startedAtMs: z.number(),
  endedAtMs: z.number().optional(),
  /** What it did last, for whoever watches. */
  activity: z.string(),
  ledger: ledgerSchema,
  /** Model calls that were answered. */
  steps: z.int(),
  /** Model calls in a row that were not. */
  failedAttempts: z.int(),
  /** Set before a call to the model or a tool and cleared after it: what an eviction cut off. */
  inFlight: z.enum(["none", "model", "tool"]),
  toolCalls: z.record(z.string(), z.int()),
  answer: z.string().optional(),
  /** `code: sentence`, where the run did not complete. */
  error: z.string().optional(),
});

const storedMessage = z.object({ message: z.string() });

export type RunRecord = Readonly<z.output<typeof runRecord>>;

/** A call that the model asked for and nobody has answered yet. */
export interface ToolRequest {
  readonly id: string;
  readonly name: string;
  readonly input: unknown;
}

/** One run on its Durable Object's disk: a record, and the messages between model and tools. */
export class Transcript {
  readonly #storage: DurableObjectStorage;
  readonly #onChange: () => void;

  constructor(storage: DurableObjectStorage, onChange: () => void) {
    this.#storage = storage;
    this.#onChange = onChange;
  }

  /** `undefined` before the run was started, and after it was forgotten. */
  find(): RunRecord | undefined {
    const stored = this.#storage.kv.get("run");
    return stored === undefined ? undefined : runRecord.parse(stored);
  }

  read(): RunRecord {
    const record = this.find();
    if (record === undefined) throw new Error("The run was never started.");
    return record;
  }

  create(record: RunRecord, task: string): void {
    this.#storage.transactionSync(() => {
      this.#storage.sql.exec("CREATE TABLE messages (number INTEGER PRIMARY KEY, message TEXT NOT NULL)");
      this.#storage.kv.put("run", record);
      this.#append([{ role: "user", content: task }]);
    });
  }

  /** Changes the record and appends messages, both or neither. */
  update(change: Partial<Omit<RunRecord, "version">>, messages: readonly ModelMessage[] = []): RunRecord {
    const after = this.#storage.transactionSync(() => {
      const before = this.read();
      const changed = { ...before, ...change, version: before.version + 1 };
      this.#storage.kv.put("run", changed);
      this.#append(messages);
      return changed;
    });
    this.#onChange();
    return after;
  }

  messages(): ModelMessage[] {
    const rows = this.#storage.sql.exec("SELECT message FROM messages ORDER BY number").toArray();
    return rows.map((row) => modelMessageSchema.parse(JSON.parse(storedMessage.parse(row).message)));
  }

  #append(messages: readonly ModelMessage[]): void {
    for (const message of messages) {
      this.#storage.sql.exec("INSERT INTO messages (message) VALUES (?)", JSON.stringify(message));
    }
  }
}

/** The calls of the model's last reply that have no result yet, in order. */
export function openRequests(messages: readonly ModelMessage[]): ToolRequest[] {
  const last = messages.findLastIndex(({ role }) => role === "assistant");
  const reply = messages[last];
  if (reply?.role !== "assistant" || typeof reply.content === "string") return [];
  const answered = new Set(
    messages
      .slice(last + 1)
      .flatMap((message) =>
        message.role === "tool"
          ? message.content.flatMap((part) => (part.type === "tool-result" ? [part.toolCallId] : []))
          : [],
      ),
  );
  return reply.content.flatMap((part) =>
    part.type === "tool-call" && !answered.has(part.toolCallId)
      ? [{ id: part.toolCallId, name: part.toolName, input: part.input }]
      : [],
  );
}

/** What the model is shown of a call's result. */
export function toolResult(request: ToolRequest, text: string, isError: boolean): ModelMessage {
  return {
    role: "tool",
    content: [
      {
        type: "tool-result",
        toolCallId: request.id,
        toolName: request.name,
        output: { type: isError ? "error-text" : "text", value: text },
      },
    ],
  };
}

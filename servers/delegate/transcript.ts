import { type ModelMessage, modelMessageSchema } from "ai";
import * as z from "zod";
import { isScope } from "../../auth/scopes.ts";
import { settledModelCall } from "../account/model-spend.ts";
import { budgetSchema, ledgerSchema } from "./budget.ts";

/** `input_required` waits for an answer; all but it and `running` are ends. */
export const RUN_STATUSES = [
  "running",
  "input_required",
  "completed",
  "failed",
  "cancelled",
  "budget_exhausted",
  "loop_detected",
] as const;
export type RunStatus = (typeof RUN_STATUSES)[number];

export const SANDBOX_MODES = ["share", "fork", "none"] as const;

const keptFile = z.object({ path: z.string(), mimeType: z.string(), sizeBytes: z.int() });

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
  /** The run that started this one; absent where a client did. */
  parentId: z.string().optional(),
  /** 1 for a run that a client started. */
  depth: z.int(),
  /** The tools that it is held to; absent where it may use all that its caller may. */
  tools: z.array(z.string()).optional(),
  sandboxMode: z.enum(SANDBOX_MODES),
  /** The sandbox that it works in; its own in mode `fork`, a copy of `forkOf`. */
  sandbox: z.string(),
  forkOf: z.string(),
  /** Whether the run's own sandbox is there, in mode `fork`. */
  isForked: z.boolean(),
  /** What the model call under way has set aside: whoever finds it closes its day's books. */
  reserved: z.object({ callId: z.string(), tokens: z.int(), answerTokens: z.int(), nanoUsd: z.int() }).optional(),
  /** What the last model call came to: the person's account is told with the next reservation, or a moment later. */
  unsettled: settledModelCall.extend({ callId: z.string() }).optional(),
  /** Commands of the run that went on after their call, by handle. */
  processes: z.array(z.string()),
  /** In the order in which they are asked: each is the fallback of the one before. */
  models: z.array(z.string()).min(1),
  /** Which of them is asked now. */
  modelIndex: z.int(),
  /** JSON Schema of the result, as JSON; absent where the result is a text. */
  outputSchema: z.string().optional(),
  /** Whether a result that does not fit the schema was sent back once. */
  isRepairing: z.boolean(),
  budget: budgetSchema,
  limitField: z.enum(["max_tokens", "max_completion_tokens"]),
  /** What the start was asked, hashed: the same key for something else is a mistake. */
  requestDigest: z.string(),
  status: z.enum(RUN_STATUSES),
  startedAtMs: z.number(),
  endedAtMs: z.number().optional(),
  /** What it did last, for whoever watches. */
  activity: z.string(),
  ledger: ledgerSchema,
  /** Model calls that were answered. */
  turns: z.int(),
  /** Model calls in a row that were not. */
  failedAttempts: z.int(),
  /** Set before a call to the model or a tool and cleared after it: what an eviction cut off. */
  inFlight: z.enum(["none", "model", "tool"]),
  toolCalls: z.record(z.string(), z.int()),
  /** The last tool call, and how many times in a row it was asked for. */
  lastCall: z.object({ digest: z.string(), count: z.int() }).optional(),
  /** What it waits to be told. */
  question: z.string().optional(),
  /** What its calls left in files. */
  artifacts: z.array(keptFile),
  /** The models that answered, in order. */
  modelsUsed: z.array(z.string()),
  /** Sentences for its caller: what was fallen back from, where ZDR does not hold. */
  notes: z.array(z.string()),
  /** A text, or JSON that fits `outputSchema` where the run has completed. */
  result: z.string().optional(),
  /** `code: sentence`, where the run did not complete. */
  error: z.string().optional(),
  /** Where the conversation is kept. */
  conversation: keptFile.optional(),
});

const storedMessage = z.object({ message: z.string() });

export type RunRecord = Readonly<z.output<typeof runRecord>>;
export type SandboxMode = RunRecord["sandboxMode"];
export type KeptFile = Readonly<z.output<typeof keptFile>>;

/** Whether nothing more happens in a run. */
export function hasEnded({ status }: { readonly status: RunStatus }): boolean {
  return status !== "running" && status !== "input_required";
}

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
  /** What is on the disk, read once in the object's life: to read it for each step would take longer than the step. */
  #record: RunRecord | undefined;
  #messages: readonly ModelMessage[] | undefined;

  constructor(storage: DurableObjectStorage, onChange: () => void) {
    this.#storage = storage;
    this.#onChange = onChange;
  }

  /** `undefined` before the run was started, and after it was forgotten. */
  find(): RunRecord | undefined {
    const stored = this.#record === undefined ? this.#storage.kv.get("run") : undefined;
    if (stored !== undefined) this.#record = runRecord.parse(stored);
    return this.#record;
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
    this.#record = record;
  }

  /** Changes the record and appends messages, both or neither. */
  update(change: Partial<Omit<RunRecord, "version">>, messages: readonly ModelMessage[] = []): RunRecord {
    const before = this.read();
    const after = { ...before, ...change, version: before.version + 1 };
    // One write needs no transaction, which takes as long as the write.
    if (messages.length === 0) this.#storage.kv.put("run", after);
    else
      this.#storage.transactionSync(() => {
        this.#storage.kv.put("run", after);
        this.#append(messages);
      });
    this.#record = after;
    if (messages.length > 0) this.#messages = this.#messages && [...this.#messages, ...messages];
    this.#onChange();
    return after;
  }

  messages(): ModelMessage[] {
    this.#messages ??= this.#storage.sql
      .exec("SELECT message FROM messages ORDER BY number")
      .toArray()
      .map((row) => modelMessageSchema.parse(JSON.parse(storedMessage.parse(row).message)));
    return [...this.#messages];
  }

  /** Nothing is left of the run. */
  async forget(): Promise<void> {
    await this.#storage.deleteAll();
    this.#record = undefined;
    this.#messages = undefined;
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

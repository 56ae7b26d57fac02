import type { CallDelta, Chunk } from "./chunks.ts";

/** A call of a tool, as far as a stream has told of it. */
export interface WrittenCall {
  id: string;
  name: string;
  arguments: string;
  /** What else an endpoint says of it, and may want back. */
  readonly extra: Record<string, unknown>;
}

/**
 * The calls in a stream, in the order in which they begin. One is told from the next by its index, and by its id and name
 * where an endpoint gives all of them the same index; some give each piece of a call another id.
 */
export class CallList {
  readonly all: WrittenCall[] = [];
  readonly #byIndex = new Map<number, WrittenCall>();

  /** Takes in a delta, and says whose it is. */
  take(delta: CallDelta, position: number): WrittenCall {
    const { index, id, type: _, function: said, ...extra } = delta;
    const at = index ?? position;
    let call = this.#byIndex.get(at);
    if (call === undefined || (id && said?.name && call.id !== id)) {
      call = { id: id || `call_${crypto.randomUUID()}`, name: "", arguments: "", extra: {} };
      this.#byIndex.set(at, call);
      this.all.push(call);
    }
    call.name += said?.name ?? "";
    call.arguments += said?.arguments ?? "";
    Object.assign(call.extra, extra);
    return call;
  }
}

/** The answer that the chunks of a stream say together, as OpenAI's `chat.completion`. */
export function assembledCompletion(chunks: readonly Chunk[], usage: unknown, model: string): unknown {
  const calls = new CallList();
  const message: Record<string, unknown> = { role: "assistant", content: null };
  const logprobs: unknown[] = [];
  let finishReason: string | undefined;
  for (const {
    choices: [choice],
  } of chunks) {
    const { tool_calls, role: _, ...said } = choice?.delta ?? {};
    tool_calls?.forEach((delta, position) => calls.take(delta, position));
    for (const [field, value] of Object.entries(said)) {
      if (value === null) continue;
      const before = message[field];
      message[field] = typeof before === "string" && typeof value === "string" ? before + value : value;
    }
    logprobs.push(...logprobsIn(choice));
    finishReason = choice?.finish_reason ?? finishReason;
  }
  const [first] = chunks;
  return {
    id: first?.["id"] ?? `chatcmpl-${crypto.randomUUID()}`,
    object: "chat.completion",
    created: first?.["created"] ?? 0,
    model: first?.model ?? model,
    choices: [
      {
        index: 0,
        message: { ...message, ...(calls.all.length === 0 ? {} : { tool_calls: calls.all.map(toolCall) }) },
        logprobs: logprobs.length === 0 ? null : { content: logprobs },
        finish_reason: finishReason ?? "stop",
      },
    ],
    ...(usage === undefined ? {} : { usage }),
  };
}

function toolCall({ id, name, arguments: input, extra }: WrittenCall): unknown {
  return { ...extra, id, type: "function", function: { name, arguments: input } };
}

function logprobsIn(choice: Readonly<Record<string, unknown>> | undefined): unknown[] {
  const found = choice?.["logprobs"];
  if (typeof found !== "object" || found === null || !("content" in found)) return [];
  return Array.isArray(found.content) ? found.content : [];
}

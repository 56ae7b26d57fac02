import * as z from "zod";
import { MAX_STREAM_BYTES, asChunk } from "../../delegate/model/answer-stream.ts";
import { UNREADABLE } from "../../delegate/model/failure.ts";
import { ModelFailed } from "./refusal.ts";
import { parseJson } from "../../shared/parse-json.ts";

const callDelta = z.looseObject({
  index: z.int().min(0).nullish(),
  id: z.string().nullish(),
  function: z.looseObject({ name: z.string().nullish(), arguments: z.string().nullish() }).nullish(),
});

const chunkSchema = z.looseObject({
  model: z.string().nullish(),
  usage: z.unknown().optional(),
  choices: z
    .array(
      z.looseObject({
        delta: z.looseObject({ content: z.string().nullish(), tool_calls: z.array(callDelta).nullish() }).nullish(),
        finish_reason: z.string().nullish(),
      }),
    )
    .default([]),
  error: z.never().optional(),
});

/** One event of a model's answer. */
export type Chunk = Readonly<z.output<typeof chunkSchema>>;
export type CallDelta = Readonly<z.output<typeof callDelta>>;

/** The chunks of an answer, also of one that came whole. Throws `ModelFailed` at what is none, and where it breaks off. */
export async function* chunksOf(response: Response, signal: AbortSignal): AsyncGenerator<Chunk> {
  const isWhole = /\bjson\b/i.test(response.headers.get("content-type") ?? "");
  let hasEnded = false;
  for await (const data of isWhole ? wholeText(response, signal) : eventsIn(response, signal)) {
    if (data === "[DONE]") {
      hasEnded = true;
      continue;
    }
    const json = parseJson(data);
    const chunk = chunkSchema.safeParse(isWhole ? asChunk(json) : json).data;
    if (chunk === undefined) throw new ModelFailed(UNREADABLE);
    if (typeof chunk.choices[0]?.finish_reason === "string") hasEnded = true;
    yield chunk;
  }
  if (!hasEnded) throw new ModelFailed(UNREADABLE);
}

async function* wholeText(response: Response, signal: AbortSignal): AsyncGenerator<string> {
  let text = "";
  for await (const piece of textIn(response, signal)) text += piece;
  yield text;
}

/** What the events of a stream hold. */
async function* eventsIn(response: Response, signal: AbortSignal): AsyncGenerator<string> {
  let rest = "";
  for await (const piece of textIn(response, signal)) {
    rest += piece;
    if (!piece.includes("\n")) continue;
    const lines = rest.split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) if (line.startsWith("data:")) yield line.slice("data:".length).trim();
  }
  if (rest.startsWith("data:")) yield rest.slice("data:".length).trim();
}

async function* textIn(response: Response, signal: AbortSignal): AsyncGenerator<string> {
  const body: ReadableStream<Uint8Array> | null = response.body;
  if (body === null) return;
  const reader = body.getReader();
  signal.addEventListener("abort", () => void reader.cancel().catch(() => undefined), { once: true });
  const read = async (): ReturnType<typeof reader.read> =>
    await reader.read().catch(() => {
      throw new ModelFailed(UNREADABLE);
    });
  const decoder = new TextDecoder();
  let bytes = 0;
  try {
    for (let piece = await read(); !piece.done; piece = await read()) {
      bytes += piece.value.length;
      if (bytes > MAX_STREAM_BYTES) throw new ModelFailed(UNREADABLE);
      yield decoder.decode(piece.value, { stream: true });
    }
  } finally {
    // Whoever stops listening leaves nothing behind that is still sent.
    await reader.cancel().catch(() => undefined);
  }
}

import * as z from "zod";
import { parseJson } from "../../shared/parse-json.ts";

declare global {
  interface ReadableStreamBYOBReader {
    // Both workerd and Node have it; the types of neither know.
    read<View extends ArrayBufferView>(
      view: View,
      options: { readonly min: number },
    ): Promise<ReadableStreamReadResult<View>>;
  }
}

/** Each token comes in an event of its own, a hundred times as long. */
export const MAX_STREAM_BYTES = 16 * 1024 * 1024;

/**
 * A model's answer as a stream of one event that says what all of its events say: the library takes longer over an
 * event than over a long text. Only a whole answer is of use, so that it is read to its end first, and rejected where
 * it breaks off or is too long. A server that knows no streams answers with JSON instead.
 */
export async function asEventStream(response: Response): Promise<Response> {
  const body: ReadableStream<Uint8Array> | null = response.body;
  if (body === null) return response;
  const text = await readText(body);
  if (!response.ok) return new Response(text, response);
  const isPlain = /\bjson\b/i.test(response.headers.get("content-type") ?? "");
  const chunk = isPlain ? asChunk(JSON.parse(text)) : joinChunks(text);
  // What is no stream of chunks is left to whoever reads it, who knows why it is wrong.
  return new Response(chunk === undefined ? text : `data: ${JSON.stringify(chunk)}\n\n`, EVENT_STREAM);
}

const EVENT_STREAM = { headers: { "content-type": "text/event-stream" } };

/** So many at a time: to take a piece from workerd takes longer than to read what it says. */
const READ_BYTES = 64 * 1024;

async function readText(body: ReadableStream<Uint8Array>): Promise<string> {
  const reader = body.getReader({ mode: "byob" });
  const decoder = new TextDecoder();
  let bytes = 0;
  let text = "";
  for (let isWhole = false; !isWhole;) {
    const piece = await reader.read(new Uint8Array(READ_BYTES), { min: READ_BYTES });
    bytes += piece.value?.length ?? 0;
    if (bytes > MAX_STREAM_BYTES) {
      const failure = new Error("The answer is too long.");
      await reader.cancel(failure);
      throw failure;
    }
    text += decoder.decode(piece.value, { stream: true });
    isWhole = piece.done || piece.value.length < READ_BYTES;
  }
  return text + decoder.decode();
}

const completion = z.looseObject({
  choices: z.array(z.object({ message: z.unknown(), finish_reason: z.string().nullish() })),
});

/** A whole answer as the one chunk of a stream; what is none as it is. */
export function asChunk(body: unknown): unknown {
  const parsed = completion.safeParse(body);
  if (!parsed.success) return body;
  const choices = parsed.data.choices.map(({ message, finish_reason }) => ({
    delta: message,
    // It came whole, so it came to an end.
    finish_reason: finish_reason ?? "stop",
  }));
  return { ...parsed.data, choices };
}

const chunkSchema = z.object({
  model: z.string().nullish(),
  usage: z.unknown().optional(),
  // Workers AI tells the usage of the whole at the end, in an event without choices.
  choices: z
    .array(z.object({ delta: z.record(z.string(), z.unknown()).nullish(), finish_reason: z.string().nullish() }))
    .default([]),
  error: z.never().optional(),
});

/** What the chunks of a stream say together; `undefined` where they are not all chunks that can be put together. */
function joinChunks(stream: string): unknown {
  const delta = new Map<string, unknown>();
  let model: string | undefined;
  let usage: unknown;
  let finishReason: string | undefined;
  // Not by a pattern: what a model writes may hold line ends that are none of the stream's.
  for (const line of stream.split(/\r\n|\n|\r/)) {
    if (!line.startsWith("data:") || line === "data: [DONE]") continue;
    const chunk = chunkSchema.safeParse(parseJson(line.slice("data:".length))).data;
    if (chunk === undefined) return undefined;
    const [choice] = chunk.choices;
    if (!append(delta, choice?.delta ?? {})) return undefined;
    // Some begin with an event that is empty but for its form.
    model ||= chunk.model ?? undefined;
    usage = chunk.usage ?? usage;
    finishReason = choice?.finish_reason ?? finishReason;
  }
  return { model, usage, choices: [{ delta: Object.fromEntries(delta), finish_reason: finishReason }] };
}

/** Texts are lengthened, and so are lists, as calls of tools are. `false`: the two do not go together. */
function append(whole: Map<string, unknown>, delta: Readonly<Record<string, unknown>>): boolean {
  for (const [field, value] of Object.entries(delta)) {
    if (value === null) continue;
    const begun = whole.get(field);
    if (begun === undefined || field === "role") whole.set(field, value);
    else if (typeof begun === "string" && typeof value === "string") whole.set(field, begun + value);
    else if (isList(begun) && isList(value)) begun.push(...value);
    else return false;
  }
  return true;
}

function isList(value: unknown): value is unknown[] {
  return Array.isArray(value);
}

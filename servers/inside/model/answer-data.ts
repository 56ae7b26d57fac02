import { MAX_STREAM_BYTES } from "../../delegate/model/answer-stream.ts";
import { UNREADABLE } from "../../delegate/model/failure.ts";
import { ModelFailed } from "./refusal.ts";

/** Whether a server that knows no streams answered. */
export function isWholeAnswer({ headers }: Response): boolean {
  return /\bjson\b/i.test(headers.get("content-type") ?? "");
}

/** What the events of an answer hold, or all of one that came whole. Throws `ModelFailed` where it breaks off. */
export async function* dataIn(response: Response, signal: AbortSignal): AsyncGenerator<string> {
  if (!isWholeAnswer(response)) {
    yield* eventsIn(response, signal);
    return;
  }
  let text = "";
  for await (const piece of textIn(response, signal)) text += piece;
  yield text;
}

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

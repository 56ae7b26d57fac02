import { ToolError } from "../../shared/errors.ts";
import type { Answer } from "./ask.ts";
import type { StreamEvent } from "./dialect.ts";
import { PacedBody } from "./paced-body.ts";
import { refusalOf } from "./refusal.ts";

/** That a client has gone is noticed when it is written to. */
const HEARTBEAT_MS = 3_000;
/** How long a client may take to hear why its answer breaks off. */
const LAST_WORDS_MS = 1_000;

export const GONE = new ToolError("cancelled", "The client closed the connection.");
const BROKEN = new ToolError("internal", "Something broke in Pincer; try again.");

/**
 * Streams the answer as events to whoever reads the response that `begin` is given, and says how many bytes these were.
 * Where the client goes `stop` is aborted; where the answer breaks off for another reason the client is told.
 */
export async function streamAnswer(
  { events, writer, usage }: Answer,
  stop: AbortController,
  begin: (response: Response) => void,
): Promise<number> {
  const body = new PacedBody(() => stop.abort(GONE));
  // A client that takes nothing must not be waited for.
  const hangUp = (): unknown => setTimeout(() => body.breakOff(GONE), LAST_WORDS_MS);
  stop.signal.addEventListener("abort", hangUp, { once: true });
  const encoder = new TextEncoder();
  let bytes = 0;
  const send = async (text: string): Promise<void> => {
    const piece = encoder.encode(text);
    bytes += piece.length;
    await body.write(piece);
  };
  const sendAll = async (told: readonly StreamEvent[]): Promise<void> => {
    if (told.length > 0) await send(told.map(eventText).join(""));
  };
  // A write that fails ends the stream, which is noticed above.
  const beat = setInterval(() => void send(": keepalive\n\n").catch(() => undefined), HEARTBEAT_MS);
  begin(new Response(body.readable, { headers: { "content-type": "text/event-stream", "cache-control": "no-store" } }));
  try {
    for await (const each of events) await sendAll(each);
    await sendAll(writer.end(usage()));
    return bytes;
  } catch (failure) {
    const reason: unknown = stop.signal.aborted ? stop.signal.reason : failure;
    const refusal = refusalOf(reason instanceof ToolError ? reason : BROKEN, Date.now());
    await sendAll(writer.fail(refusal)).catch(() => undefined);
    throw failure;
  } finally {
    clearInterval(beat);
    body.close();
  }
}

function eventText({ name, data }: StreamEvent): string {
  const text = typeof data === "string" ? data : JSON.stringify(data);
  return `${name === undefined ? "" : `event: ${name}\n`}data: ${text}\n\n`;
}

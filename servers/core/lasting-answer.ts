/** How long a call may go on in silence. */
export const SILENCE_MS = 1_000;

/**
 * A call of 2026-07-28, whose client cancels it by closing the connection. The 2025 revisions have no such header, and
 * say that a closed connection cancels nothing.
 */
export function isModernCall({ headers }: Request): boolean {
  return headers.get("Mcp-Method") === "tools/call";
}

/**
 * The answer to such a call, as it is where it is there in a moment; else as a stream, with comments until it is there.
 * They are for our own sake: that a client has closed its connection the runtime notices only when it writes to it.
 */
export async function answerLasting(request: Request, answer: Promise<Response>): Promise<Response> {
  const takesStream = request.headers.get("Accept")?.includes("text/event-stream") === true;
  if (!takesStream || !isModernCall(request)) return await answer;
  const soon = await within(answer, SILENCE_MS);
  if (soon !== undefined) return soon;
  return new Response(streamOf(eventsUntil(answer)), {
    headers: {
      "Content-Type": "text/event-stream",
      "Cache-Control": "no-cache, no-transform",
      "X-Accel-Buffering": "no",
    },
  });
}

async function* eventsUntil(answer: Promise<Response>): AsyncGenerator<Uint8Array> {
  const encoder = new TextEncoder();
  for (;;) {
    yield encoder.encode(": keepalive\n\n");
    const response = await within(answer, SILENCE_MS);
    if (response === undefined) continue;
    const isStream = response.headers.get("Content-Type") === "text/event-stream";
    if (isStream && response.body !== null) yield* response.body;
    else yield encoder.encode(`event: message\ndata: ${await response.text()}\n\n`);
    return;
  }
}

function streamOf(pieces: AsyncGenerator<Uint8Array>): ReadableStream<Uint8Array> {
  return new ReadableStream({
    pull: async (controller) => {
      const piece = await pieces.next();
      if (piece.done === true) controller.close();
      else controller.enqueue(piece.value);
    },
    cancel: async () => void (await pieces.return(undefined)),
  });
}

async function within(answer: Promise<Response>, limitMs: number): Promise<Response | undefined> {
  const late = Promise.withResolvers<undefined>();
  const timer = setTimeout(() => late.resolve(undefined), limitMs);
  return await Promise.race([answer, late.promise]).finally(() => clearTimeout(timer));
}

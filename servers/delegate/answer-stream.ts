import * as z from "zod";

/** Each token comes in an event of its own, a hundred times as long. */
const MAX_STREAM_BYTES = 16 * 1024 * 1024;

/**
 * A model's answer as the stream of events that was asked for, broken off where it is too long. A server that knows
 * no streams answers with JSON instead, which becomes a stream of one event.
 */
export async function asEventStream(response: Response): Promise<Response> {
  if (response.body === null) return response;
  const isPlain = /\bjson\b/i.test(response.headers.get("content-type") ?? "");
  if (response.ok && !isPlain) {
    return new Response(response.body.pipeThrough(limited(mendLine)), EVENT_STREAM);
  }
  const body = response.body.pipeThrough(limited((line) => line));
  if (!response.ok) return new Response(body, response);
  const chunk = asChunk(await new Response(body).json());
  return new Response(`data: ${JSON.stringify(chunk)}\n\n`, EVENT_STREAM);
}

const EVENT_STREAM = { headers: { "content-type": "text/event-stream" } };

/** Line by line, each as `mend` leaves it, up to the longest answer. One step for all: each costs as much as a chunk. */
function limited(mend: (line: string) => string): TransformStream<Uint8Array, Uint8Array> {
  const decoder = new TextDecoder();
  const encoder = new TextEncoder();
  let bytes = 0;
  let rest = "";
  return new TransformStream({
    transform: (chunk, controller) => {
      bytes += chunk.length;
      if (bytes > MAX_STREAM_BYTES) return controller.error(new Error("The answer is too long."));
      rest += decoder.decode(chunk, { stream: true });
      const end = rest.lastIndexOf("\n");
      if (end < 0) return;
      const lines = rest.slice(0, end).split("\n");
      rest = rest.slice(end + 1);
      controller.enqueue(encoder.encode(`${lines.map(mend).join("\n")}\n`));
    },
    flush: (controller) => controller.enqueue(encoder.encode(mend(rest + decoder.decode()))),
  });
}

const completion = z.looseObject({
  choices: z.array(z.object({ message: z.unknown(), finish_reason: z.string().nullish() })),
});

/** What is no completion is left to whoever reads the stream, who knows why it is wrong. */
function asChunk(body: unknown): unknown {
  const parsed = completion.safeParse(body);
  if (!parsed.success) return body;
  const choices = parsed.data.choices.map(({ message, finish_reason }) => ({
    delta: message,
    // It came whole, so it came to an end.
    finish_reason: finish_reason ?? "stop",
  }));
  return { ...parsed.data, choices };
}

/** Workers AI tells the usage of the whole at the end, in an event without the choices that a chunk must have. */
function mendLine(line: string): string {
  const isChunk = line.startsWith("data: {") && !/"(?:choices|error)":/.test(line);
  return isChunk ? line.replace("{", '{"choices":[],') : line;
}

import * as z from "zod";

/** Each token comes in an event of its own, a hundred times as long. */
const MAX_STREAM_BYTES = 16 * 1024 * 1024;

/**
 * A model's answer as the stream of events that was asked for, broken off where it is too long. A server that knows
 * no streams answers with JSON instead, which becomes a stream of one event.
 */
export async function asEventStream(response: Response): Promise<Response> {
  const answer: ReadableStream<Uint8Array> | null = response.body;
  if (answer === null) return response;
  const isPlain = /\bjson\b/i.test(response.headers.get("content-type") ?? "");
  if (response.ok && !isPlain) {
    return new Response(limited(answer, mendLine), EVENT_STREAM);
  }
  const body = limited(answer, (line) => line);
  if (!response.ok) return new Response(body, response);
  const chunk = asChunk(await new Response(body).json());
  return new Response(`data: ${JSON.stringify(chunk)}\n\n`, EVENT_STREAM);
}

const EVENT_STREAM = { headers: { "content-type": "text/event-stream" } };

/** Line by line, each as `mend` leaves it, up to the longest answer. */
function limited(body: ReadableStream<Uint8Array>, mend: (line: string) => string): ReadableStream<Uint8Array> {
  const reader = body.getReader();
  const decoder = new TextDecoder();
  const encoder = new TextEncoder();
  let bytes = 0;
  let rest = "";
  return new ReadableStream({
    pull: async (controller) => {
      for (;;) {
        const { done, value } = await reader.read();
        if (done) {
          controller.enqueue(encoder.encode(mend(rest + decoder.decode())));
          return controller.close();
        }
        bytes += value.length;
        if (bytes > MAX_STREAM_BYTES) {
          const failure = new Error("The answer is too long.");
          controller.error(failure);
          return await reader.cancel(failure);
        }
        rest += decoder.decode(value, { stream: true });
        const end = rest.lastIndexOf("\n");
        if (end < 0) continue;
        controller.enqueue(encoder.encode(`${rest.slice(0, end).split("\n").map(mend).join("\n")}\n`));
        rest = rest.slice(end + 1);
        return;
      }
    },
    cancel: async (reason) => await reader.cancel(reason),
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

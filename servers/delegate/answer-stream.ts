import * as z from "zod";

/** Each token comes in an event of its own, a hundred times as long. */
const MAX_STREAM_BYTES = 16 * 1024 * 1024;

/**
 * A model's answer as the stream of events that was asked for, broken off where it is too long. A server that knows
 * no streams answers with JSON instead, which becomes a stream of one event.
 */
export async function asEventStream(response: Response): Promise<Response> {
  if (response.body === null) return response;
  const body = response.body.pipeThrough(limitBytes());
  if (!response.ok) return new Response(body, response);
  const isPlain = /\bjson\b/i.test(response.headers.get("content-type") ?? "");
  const events = isPlain
    ? `data: ${JSON.stringify(asChunk(await new Response(body).json()))}\n\n`
    : body.pipeThrough(new TextDecoderStream()).pipeThrough(mendLines()).pipeThrough(new TextEncoderStream());
  return new Response(events, { headers: { "content-type": "text/event-stream" } });
}

function limitBytes(): TransformStream<Uint8Array, Uint8Array> {
  let bytes = 0;
  return new TransformStream({
    transform: (chunk, controller) => {
      bytes += chunk.length;
      if (bytes > MAX_STREAM_BYTES) controller.error(new Error("The answer is too long."));
      else controller.enqueue(chunk);
    },
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

function mendLines(): TransformStream<string, string> {
  let rest = "";
  return new TransformStream({
    transform: (text, controller) => {
      rest += text;
      if (!text.includes("\n")) return;
      const lines = rest.split("\n");
      rest = lines.pop() ?? "";
      controller.enqueue(`${lines.map(mendLine).join("\n")}\n`);
    },
    flush: (controller) => controller.enqueue(mendLine(rest)),
  });
}

/** Workers AI tells the usage of the whole at the end, in an event without the choices that a chunk must have. */
function mendLine(line: string): string {
  const isChunk = line.startsWith("data: {") && !/"(?:choices|error)":/.test(line);
  return isChunk ? line.replace("{", '{"choices":[],') : line;
}

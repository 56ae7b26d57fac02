import { ToolError } from "../../shared/errors.ts";
import { type InsideModels, askModel } from "./ask.ts";
import type { Dialect } from "./dialect.ts";
import { type ModelVisit, recorded } from "./recorded.ts";
import { GONE, streamAnswer } from "./stream.ts";

/** A model may think for so long before it says anything. */
const SILENCE_MS = 300_000;

const TOO_SLOW = new ToolError(
  "timeout",
  "The model endpoint did not answer in time; try later, or name another model.",
);

/** Asks a model in the shape that the client speaks. The answer goes on, and is paid for, under `waitUntil`. */
export async function answerModelCall(dialect: Dialect, visit: ModelVisit, models: InsideModels): Promise<Response> {
  const { request, pipeline, waitUntil } = visit;
  const begun = Promise.withResolvers<Response>();
  const refused = recorded(dialect.name, dialect.refuse, visit, async (body, onPause) => {
    const asked = dialect.read(body, request.headers);
    const stop = new AbortController();
    onPause((error) => stop.abort(error));
    request.signal.addEventListener("abort", () => stop.abort(GONE), { once: true });
    const silence = startSilence(stop, models.silenceMs ?? SILENCE_MS);
    const context = { ...models, pipeline, signal: stop.signal };
    return await askModel(asked, context, async ({ events, writer, usage }) => {
      const heard = silence.brokenBy(events);
      if (asked.isStream) return await streamAnswer({ events: heard, writer, usage }, stop, begun.resolve);
      for await (const _ of heard);
      writer.end(usage());
      const text = JSON.stringify(writer.whole());
      begun.resolve(new Response(text, { headers: JSON_HEADERS }));
      return text.length;
    }).finally(silence.end);
  });
  waitUntil(refused);
  return await Promise.race([begun.promise, refused.then(async (refusal) => refusal ?? (await begun.promise))]);
}

const JSON_HEADERS = { "content-type": "application/json", "cache-control": "no-store" };

/** Gives up once nothing has come, or nobody has taken it, for so long. */
function startSilence(
  stop: AbortController,
  limitMs: number,
): { readonly brokenBy: <Heard>(heard: AsyncIterable<Heard>) => AsyncGenerator<Heard>; readonly end: () => void } {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const restart = (): void => {
    clearTimeout(timer);
    timer = setTimeout(() => stop.abort(TOO_SLOW), limitMs);
  };
  restart();
  return {
    brokenBy: async function* (heard) {
      for await (const each of heard) {
        restart();
        yield each;
      }
    },
    end: () => clearTimeout(timer),
  };
}

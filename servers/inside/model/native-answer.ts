import * as z from "zod";
import { UNREADABLE } from "../../delegate/model/failure.ts";
import { parseJson } from "../../shared/parse-json.ts";
import { anthropicError } from "./anthropic-error.ts";
import type { AnswerWriter, StreamEvent, Told } from "./dialect.ts";
import { assembledMessage } from "./native-message.ts";
import { readNativeUsage, toldCounts } from "./native-usage.ts";
import { ModelFailed, type Refusal } from "./refusal.ts";

const usage = z.record(z.string(), z.unknown()).nullish().catch(undefined);
const event = z.looseObject({
  // It becomes a line of its own.
  type: z.string().regex(/^\w+$/),
  message: z.looseObject({ model: z.string().catch(""), usage }).optional(),
  usage,
});

/** One event of Anthropic's stream. */
export type MessageEvent = Readonly<z.output<typeof event>>;

/** Passes on what Anthropic answers as it is, thoughts with their signatures among it, and notes what it used. */
export class NativeAnswer implements AnswerWriter {
  readonly #isStream: boolean;
  readonly #keepsLong: boolean;
  /** For an answer that is told in one piece. */
  readonly #events: MessageEvent[] = [];
  #model = "";
  #usage: Record<string, unknown> = {};
  #hasEnded = false;

  /** `keepsLong`: the request may have had something kept in the cache for longer. */
  constructor(isStream: boolean, keepsLong: boolean) {
    this.#isStream = isStream;
    this.#keepsLong = keepsLong;
  }

  take(data: string, isWhole: boolean): readonly StreamEvent[] {
    const said = isWhole ? undefined : event.safeParse(parseJson(data)).data;
    // Its own words for an error may hold parts of the key.
    if (said === undefined || said.type === "error") throw new ModelFailed(UNREADABLE);
    if (!this.#isStream) this.#events.push(said);
    if (said.type === "message_start") this.#model = said.message?.model ?? "";
    // The end tells sums, that take the place of what the beginning told; how long the answer is only the end can know.
    const { output_tokens: _, ...begun } = toldCounts(said.message?.usage);
    this.#usage = { ...this.#usage, ...begun, ...toldCounts(said.usage) };
    this.#hasEnded ||= said.type === "message_stop";
    return [{ name: said.type, data }];
  }

  told(): Told {
    const used = readNativeUsage(this.#usage, this.#keepsLong);
    return { model: this.#model, usage: used, hasEnded: this.#hasEnded };
  }

  end(): readonly StreamEvent[] {
    return [];
  }

  fail(refusal: Refusal): readonly StreamEvent[] {
    return [{ name: "error", data: anthropicError(refusal) }];
  }

  whole(): unknown {
    return assembledMessage(this.#events);
  }
}

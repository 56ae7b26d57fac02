import { ToolError } from "../shared/errors.ts";
import { cancelled } from "./container-failures.ts";
import type { Watch } from "./driver.ts";
import { type Frame, FrameReader } from "./guest.ts";
import { Unrestored } from "./workspace.ts";

const STOP_IS_SENT_WITHIN_MS = 1_000;
/** The stream ends with its program's last word; whoever kept it open inside is not waited for. */
const ENDS_WITHIN_MS = 1_000;

/**
 * A container takes seconds to start: who is cancelled meanwhile does not wait for that, only until `stop`, which finds
 * what starts late, has left for the Durable Object; it would be lost with this Worker.
 */
export async function orAborted(
  started: Promise<ReadableStream<Uint8Array>>,
  signal: AbortSignal,
  stop: () => Promise<void>,
): Promise<ReadableStream<Uint8Array>> {
  const { promise: aborted, reject } = Promise.withResolvers<never>();
  const onAbort = (): void => {
    const sent = new Promise((resolve) => setTimeout(resolve, STOP_IS_SENT_WITHIN_MS));
    void Promise.race([stop(), sent]).then(() => reject(cancelled()));
    started.then(
      async (stream) => await stream.cancel(),
      () => undefined,
    );
  };
  signal.addEventListener("abort", onAbort);
  if (signal.aborted) onAbort();
  try {
    const stream = await Promise.race([started, aborted]);
    return signal.aborted ? await aborted : stream;
  } finally {
    signal.removeEventListener("abort", onAbort);
  }
}

export interface LastWord {
  readonly value: unknown;
  /** What the Durable Object had to add. */
  readonly notes: readonly string[];
}

/**
 * Nothing where the stream ends before, or `signal` aborts; what the program failed with is thrown. What follows the
 * last word is heard where there is a `mark` for it.
 */
export async function lastWord(
  stream: ReadableStream<Uint8Array>,
  { watch, signal, mark }: { readonly watch?: Watch; readonly signal?: AbortSignal; readonly mark?: string } = {},
): Promise<LastWord | undefined> {
  const frames = new FrameReader();
  const decoder = new TextDecoder();
  const reader = stream.getReader();
  const leave = (): void => void reader.cancel().catch(() => undefined);
  signal?.addEventListener("abort", leave);
  if (signal?.aborted === true) leave();
  let word: LastWord | undefined;
  let timer: ReturnType<typeof setTimeout> | undefined;
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return word;
      for (const frame of frames.read(decoder.decode(value, { stream: true }))) {
        if ("notes" in frame) {
          if (word !== undefined && frame.mark === mark) return { ...word, notes: frame.notes };
          continue;
        }
        const end = endOf(frame, watch);
        if (end === undefined || word !== undefined) continue;
        word = { ...end, notes: [] };
        if (mark === undefined) return word;
        timer = setTimeout(leave, ENDS_WITHIN_MS);
      }
    }
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener("abort", leave);
    leave();
  }
}

/** What a frame that is the last one says; refusals are thrown, output is told. */
function endOf(
  frame: Exclude<Frame, { readonly notes: unknown }>,
  watch: Watch | undefined,
): { readonly value: unknown } | undefined {
  if ("output" in frame) {
    watch?.onOutput?.(frame.output);
    return undefined;
  }
  if ("failed" in frame) throw new Error(frame.failed);
  if ("refused" in frame) throw new ToolError(frame.refused.code, frame.refused.message);
  if ("unrestored" in frame) throw new Unrestored("The container's disk is fresh.");
  return { value: "unmounted" in frame ? "unmounted" : frame.result };
}

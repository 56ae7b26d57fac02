import { ToolError } from "../shared/errors.ts";
import { cancelled } from "./container-failures.ts";
import type { Watch } from "./driver.ts";
import { type Frame, FrameReader } from "./guest.ts";

const STOP_IS_SENT_WITHIN_MS = 1_000;

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

/** Nothing where the stream ends before, or `signal` aborts; what the program failed with is thrown. */
export async function lastWord(
  stream: ReadableStream<Uint8Array>,
  watch?: Watch,
  signal?: AbortSignal,
): Promise<{ readonly value: unknown } | undefined> {
  const frames = new FrameReader();
  const decoder = new TextDecoder();
  const reader = stream.getReader();
  const leave = (): void => void reader.cancel().catch(() => undefined);
  signal?.addEventListener("abort", leave);
  if (signal?.aborted === true) leave();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return undefined;
      for (const frame of frames.read(decoder.decode(value, { stream: true }))) {
        const end = endOf(frame, watch);
        if (end !== undefined) return end;
      }
    }
  } finally {
    signal?.removeEventListener("abort", leave);
    leave();
  }
}

/** What a frame that is the last one says; refusals are thrown, output is told. */
function endOf(frame: Frame, watch: Watch | undefined): { readonly value: unknown } | undefined {
  if ("output" in frame) {
    watch?.onOutput?.(frame.output);
    return undefined;
  }
  if ("failed" in frame) throw new Error(frame.failed);
  if ("refused" in frame) throw new ToolError(frame.refused.code, frame.refused.message);
  return { value: "unmounted" in frame ? "unmounted" : frame.result };
}

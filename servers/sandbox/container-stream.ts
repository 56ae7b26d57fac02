import { parseSSEStream } from "@cloudflare/sandbox";
import * as z from "zod";
import { ToolError } from "../shared/errors.ts";
import { cancelled } from "./container-failures.ts";
import type { Watch } from "./driver.ts";
import { type Frame, FrameReader, parseGuest } from "./guest.ts";

/** A container takes seconds to start: who is cancelled meanwhile does not wait, and what starts late is ended. */
export async function orAborted(
  started: Promise<ReadableStream<Uint8Array>>,
  signal: AbortSignal,
  stop: () => Promise<void>,
): Promise<ReadableStream<Uint8Array>> {
  const { promise: aborted, reject } = Promise.withResolvers<never>();
  const onAbort = (): void => {
    reject(cancelled());
    started.then(
      async (stream) => await Promise.all([stream.cancel(), stop()]),
      () => undefined,
    );
  };
  signal.addEventListener("abort", onAbort);
  if (signal.aborted) onAbort();
  try {
    return await Promise.race([started, aborted]);
  } finally {
    signal.removeEventListener("abort", onAbort);
  }
}

/** What the SDK says of a stream: output in pieces, then its end. */
const streamEvent = z.object({ type: z.string(), data: z.string().optional() });

/** Nothing where the stream ends before; what the program complained of is thrown then. */
export async function lastWord(
  stream: ReadableStream<Uint8Array>,
  watch: Watch,
  signal: AbortSignal,
): Promise<{ readonly value: unknown } | undefined> {
  const frames = new FrameReader();
  let complaint = "";
  for await (const event of parseSSEStream<unknown>(stream, signal)) {
    const { type, data = "" } = parseGuest(streamEvent, event);
    if (type === "stderr") complaint = (complaint + data).slice(-2_000);
    if (type !== "stdout") continue;
    for (const frame of frames.read(data)) {
      const end = endOf(frame, watch);
      if (end !== undefined) return end;
    }
  }
  if (complaint !== "") throw new Error(complaint);
  return undefined;
}

/** What a frame that is the last one says; refusals are thrown, output is told. */
export function endOf(frame: Frame, watch: Watch | undefined): { readonly value: unknown } | undefined {
  if ("output" in frame) {
    watch?.onOutput?.(frame.output);
    return undefined;
  }
  if ("refused" in frame) throw new ToolError(frame.refused.code, frame.refused.message);
  return { value: "unmounted" in frame ? "unmounted" : frame.result };
}

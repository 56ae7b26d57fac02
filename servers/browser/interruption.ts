import * as z from "zod";
import { ToolError } from "../shared/errors.ts";

/**
 * What the runtime says of an object that was moved, updated or cut off while it worked
 * (developers.cloudflare.com/durable-objects/best-practices/error-handling); a defect of ours says neither.
 */
const interruption = z.union([
  z.looseObject({ durableObjectReset: z.literal(true) }),
  z.looseObject({ retryable: z.literal(true) }),
]);

/** The failure of a call on a session, in words where it is the platform's: the browser itself outlives its session. */
export function explainInterruption(failure: unknown): unknown {
  if (!interruption.safeParse(failure).success) return failure;
  return new ToolError(
    "unavailable",
    "The call was interrupted, and the browser goes on; look with browser_snapshot how far it came.",
    { cause: failure },
  );
}

export function busy(): ToolError {
  return new ToolError("timeout", "The page is busy and does not answer; try again in a moment, or open another page.");
}

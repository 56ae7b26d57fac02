import type { ErrorCode } from "../../../servers/shared/errors.ts";

/** A call that the runtime refuses; the driver makes a `ToolError` of it. `message` is a sentence for the client. */
export class Problem extends Error {
  readonly code: ErrorCode | "stale_files" | "unrestored";

  constructor(code: ErrorCode | "stale_files" | "unrestored", message: string) {
    super(message);
    this.name = "Problem";
    this.code = code;
  }
}

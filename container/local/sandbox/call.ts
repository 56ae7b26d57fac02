import type { IncomingMessage, ServerResponse } from "node:http";
import * as z from "zod";
import type { LocalSandbox } from "./sandbox.ts";

/** One request about one sandbox. */
export interface Call {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly query: URLSearchParams;
  readonly sandbox: LocalSandbox;
}

export type Route = (call: Call) => Promise<void>;

export const MAX_FILE_BYTES = 1024 * 1024 * 1024;
export const MAX_COMMAND_BODY_BYTES = 64 * 1024 * 1024;

export const pathSchema = z
  .string()
  .min(1)
  .max(4_096)
  .refine((path) => !path.includes("\0"));

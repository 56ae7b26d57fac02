import * as z from "zod";

/** What a sandbox, code context or browser is called when the caller gives no name. */
export const DEFAULT_HANDLE = "main";

/** The name of a sandbox, code context or browser: part of an id, so short and plain. */
export const handleName = z
  .string()
  .regex(/^[\w-]{1,40}$/)
  .default(DEFAULT_HANDLE);

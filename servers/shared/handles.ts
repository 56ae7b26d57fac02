import * as z from "zod";

/** What a sandbox, code context or browser is called when the caller gives no name. */
export const DEFAULT_HANDLE = "main";

const HANDLE = /^[\w-]{1,40}$/;

/** What to tell whoever gives another name. */
export const HANDLE_RULE = "use at most 40 letters, digits, - and _";

export function isHandleName(name: string): boolean {
  return HANDLE.test(name);
}

/** The name of a sandbox, code context or browser: part of an id, so short and plain. */
export const handleName = z.string().refine(isHandleName, HANDLE_RULE).default(DEFAULT_HANDLE);

const RUN_ID = /^run-[0-9a-f]{16}$/;

/** Whether that is how delegated runs, and the sandboxes that are theirs alone, are called. */
export function isRunId(name: string): boolean {
  return RUN_ID.test(name);
}

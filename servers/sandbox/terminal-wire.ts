import * as z from "zod";
import { handleName } from "../shared/handles.ts";
import { terminalSize } from "./shell.ts";
import { parseJson } from "../shared/parse-json.ts";

/** What a page asks for: a new shell, or one that it knows, from where it has seen it. */
export const terminalOrder = terminalSize.extend({
  sandbox: handleName,
  shell: z.string().min(1).max(64).exactOptional(),
  at: z.coerce.number().int().nonnegative().exactOptional(),
});
export type TerminalOrder = z.output<typeof terminalOrder>;

/** What the page says. `seen` is how far it has shown what came. */
const said = z.union([
  z.strictObject({ input: z.string() }),
  z.strictObject({ size: terminalSize }),
  z.strictObject({ seen: z.int().nonnegative() }),
]);

/** What the page is told, one of these at a time. `at` is how many bytes the shell had written by then. */
export type Told =
  | { readonly starting: string }
  /** `isReset`: what the page has of it does not join what comes. */
  | { readonly shell: string; readonly isReset: boolean }
  | { readonly output: string; readonly at: number }
  /** Another WebSocket is to be opened in the place of this one. */
  | { readonly again: true }
  | { readonly over: string };

/** Nothing where it is none of that. */
export function readSaid(data: unknown): z.output<typeof said> | undefined {
  return said.safeParse(typeof data === "string" ? parseJson(data) : undefined).data;
}

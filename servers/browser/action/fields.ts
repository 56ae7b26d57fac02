import * as z from "zod";
import { ToolError } from "../../shared/errors.ts";
import { type Field, PageElement } from "./element.ts";
import { CHOOSE, FOCUS, REPLACE_TEXT, SET_VALUE } from "./element-scripts.ts";
import type { LivePage } from "../chrome/live-page.ts";
import { usePointer } from "./pointer.ts";
import type { RemoteFiles } from "../session.ts";
import { putFiles } from "./uploads.ts";

const ON: ReadonlySet<string> = new Set(["true", "on", "yes", "1", "checked"]);
const OFF: ReadonlySet<string> = new Set(["false", "off", "no", "0", ""]);

export interface FieldValue {
  readonly ref: string;
  /**
   * The text; `true` or `false` for what can be checked; an option's label or value; paths in the caller's files. Of
   * several options or files, one a line.
   */
  readonly value: string;
}

/** Gives a field its value, in the way that a person would where the page can tell. */
export async function fillField(
  live: LivePage,
  { ref, value }: FieldValue,
  files: RemoteFiles,
  signal: AbortSignal,
): Promise<void> {
  const element = await PageElement.find(live, ref);
  const field = await element.field();
  switch (field.kind) {
    case "text":
      return await fillText(element, field, value);
    case "check":
      return await check(live, element, field, value, signal);
    case "choice":
      if (await element.call(CHOOSE, [linesOf(value)], z.boolean())) return;
      throw new ToolError("invalid_input", `${element.ref} has no such option to choose; browser_snapshot lists them.`);
    case "value":
      if (await element.call(SET_VALUE, [value], z.boolean())) return;
      throw new ToolError(
        "invalid_input",
        `${element.ref} does not take that value; give dates as 2026-01-31, times as 13:45, colors as #ff8800, numbers within its range.`,
      );
    case "file":
      return await putFiles(element, linesOf(value), files);
    case "none":
    case "gone":
      throw new ToolError("invalid_input", `${element.ref} is no field to fill; use browser_click on it.`);
  }
}

/** Puts text in place of what is there. */
export async function fillText(element: PageElement, { isFull }: Field, text: string): Promise<void> {
  if (text === "" && !isFull) return void (await element.call(FOCUS, [], z.unknown()));
  if (await element.call(REPLACE_TEXT, [text], z.boolean())) return;
  throw new ToolError("conflict", `${element.ref} does not take the focus; see with browser_snapshot what has it.`);
}

async function check(
  live: LivePage,
  element: PageElement,
  { isOn, isRadio }: Field,
  value: string,
  signal: AbortSignal,
): Promise<void> {
  const wanted = ON.has(value.toLowerCase());
  if (!wanted && !OFF.has(value.toLowerCase())) {
    throw new ToolError("invalid_input", `${element.ref} is checked or not; give "true" or "false".`);
  }
  if (wanted === isOn) return;
  if (isRadio && !wanted) {
    throw new ToolError("invalid_input", `${element.ref} is one of several; check another one of them.`);
  }
  await usePointer(live.session, "click", await element.point(signal));
}

function linesOf(value: string): string[] {
  return value.split("\n").filter((line) => line !== "");
}

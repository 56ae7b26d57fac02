import type { CDPEvents } from "@cloudflare/puppeteer";
import { clip, tidy } from "../snapshot/snapshot-writer.ts";

const MAX_CHARS = 300;
/** No more is looked at, however much a page logs. */
const MAX_READ_CHARS = 1_000;

type ConsoleCall = CDPEvents["Runtime.consoleAPICalled"];
type Value = ConsoleCall["args"][number];
type Exception = CDPEvents["Runtime.exceptionThrown"]["exceptionDetails"];
type LogEntry = CDPEvents["Log.entryAdded"]["entry"];

/** What a script said, as `error: no such item 7 (app.js:12)`. */
export function consoleLine({ type, args, stackTrace }: ConsoleCall): string {
  const level = type === "warning" || type === "error" || type === "debug" || type === "info" ? type : "log";
  const text = type === "assert" ? `assertion failed: ${textOf(args)}` : textOf(args);
  const [frame] = stackTrace?.callFrames ?? [];
  return line(type === "assert" ? "error" : level, text, frame?.url, frame?.lineNumber);
}

export function exceptionLine({ text, exception, url, lineNumber, stackTrace }: Exception): string {
  const [frame] = stackTrace?.callFrames ?? [];
  const thrown = exception === undefined ? "" : ` ${valueText(exception)}`;
  return line("error", `${text}${thrown}`, frame?.url ?? url, frame?.lineNumber ?? lineNumber);
}

/** What Chrome itself has to say of the page. */
export function entryLine({ level, text, url, lineNumber }: LogEntry): string {
  return line(level === "verbose" ? "debug" : level, text, url, lineNumber);
}

/** What we run in a page is no file of its own. Lines are counted from 0 in the protocol, and from 1 by people. */
function line(level: string, text: string, url = "", lineNumber?: number): string {
  const file = /^(https?|blob):/.test(url) && URL.canParse(url) ? (new URL(url).pathname.split("/").pop() ?? "") : "";
  const place = file === "" ? "" : ` (${tidy(file.slice(-60))}${lineNumber === undefined ? "" : `:${lineNumber + 1}`})`;
  return `${level}: ${clip(tidy(text.slice(0, MAX_READ_CHARS)), MAX_CHARS - place.length)}${place}`;
}

/** Placeholders in the first argument take the ones that follow it, as in a console. */
function textOf(args: readonly Value[]): string {
  const [first, ...rest] = args;
  if (first === undefined) return "";
  const head = valueText(first).replace(/%([%csdifoO])/g, (placeholder, kind: string) => {
    if (kind === "%") return "%";
    const value = rest.shift();
    return kind === "c" ? "" : value === undefined ? placeholder : valueText(value);
  });
  return [head, ...rest.slice(0, 20).map(valueText)].join(" ");
}

function valueText(value: Value): string {
  if (typeof value.value === "string") return value.value.slice(0, MAX_READ_CHARS);
  if (value.preview !== undefined && value.subtype !== "error") return previewText(value.preview);
  const text = value.unserializableValue ?? value.description ?? String(value.value);
  // The stack of an error follows its message.
  return text.slice(0, MAX_READ_CHARS).split("\n    at ")[0] ?? "";
}

function previewText({ subtype, description, properties, overflow }: NonNullable<Value["preview"]>): string {
  if (subtype !== undefined && subtype !== "array") return description ?? subtype;
  const isArray = subtype === "array";
  const shown = properties.slice(0, 10).map(({ name, type, value = type }) => {
    const text = type === "string" ? `"${value}"` : value;
    return isArray ? text : `${name}: ${text}`;
  });
  const more = overflow || properties.length > shown.length ? ", …" : "";
  return isArray ? `[${shown.join(", ")}${more}]` : `{${shown.join(", ")}${more}}`;
}

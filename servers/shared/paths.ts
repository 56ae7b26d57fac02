import { ToolError } from "./errors.ts";

const MAX_PATH_BYTES = 900;
const encoder = new TextEncoder();

/**
 * The one spelling of a workspace path: relative, `/` between names, Unicode NFC, no `.` or `..`, no empty names.
 * A leading `/` is dropped. R2 keys end at 1,024 bytes; 900 leave room for the caller's prefix.
 */
export function normalizePath(input: string): string {
  const path = input.normalize("NFC").replace(/^\/+/, "");
  const refusal = pathRefusal(path);
  if (refusal !== undefined)
    throw new ToolError("invalid_input", `${refusal} Give a path such as reports/summary.html.`);
  return path;
}

/** A folder as a key prefix: empty for the root, otherwise a normal path with a slash at its end. */
export function normalizeFolder(input: string): string {
  const trimmed = input.replace(/^\/+|\/+$/g, "");
  return trimmed === "" ? "" : `${normalizePath(trimmed)}/`;
}

function pathRefusal(path: string): string | undefined {
  if (path === "") return "The path is empty.";
  if (encoder.encode(path).length > MAX_PATH_BYTES) return `The path is longer than ${MAX_PATH_BYTES} bytes.`;
  // eslint-disable-next-line no-control-regex
  if (/[\u0000-\u001f\u007f-\u009f\u2028\u2029\ufeff]/.test(path)) return "The path holds a control character.";
  if (path.includes("\\")) return "The path holds a backslash.";
  if (!path.isWellFormed()) return "The path is not well-formed Unicode.";
  for (const name of path.split("/")) {
    if (name === "") return "The path has an empty name between two slashes.";
    if (name === "." || name === "..") return "The path has a . or .. in it.";
    if (/^(%2e|\.){1,2}$/i.test(name)) return "The path has an encoded . or .. in it.";
  }
  return undefined;
}

import { ToolError } from "./errors.ts";

export const MAX_PATH_BYTES = 900;
/** What a disk takes: a longer name could not exist in a sandbox. */
export const MAX_NAME_BYTES = 255;
/**
 * What is not seen makes one name look like another, and spells words for a model alone: zero-width spaces, fillers,
 * marks of direction, tags. Joiners and variation selectors are part of words and emoji.
 */
export const INVISIBLE =
  /[[\p{Default_Ignorable_Code_Point}\p{Noncharacter_Code_Point}]--[\p{Join_Control}\p{Variation_Selector}]]/v;
/** What stands before a path that is written as a command in a sandbox would write it. */
const SANDBOX_FOLDER = /^\/+(workspace\/files\/+)?/;
const encoder = new TextEncoder();

/** The prefix of everything that a caller keeps; ends in a slash, so that `u1` never reaches into `u10`. */
export function filesPrefix(userId: string): string {
  return `users/${userId}/files/`;
}

/** Whose files `prefix`, as `filesPrefix` made it, begins. */
export function filesOwner(prefix: string): string {
  const [, userId] = /^users\/([^/]+)\/files\/$/.exec(prefix) ?? [];
  if (userId === undefined) throw new Error("That is nobody's prefix.");
  return userId;
}

/** Where the caller's replaced and deleted versions are: beside the files, for sandboxes mount those. */
export function trashPrefix(userId: string): string {
  return `users/${userId}/trash/`;
}

/** Where what comes in to the caller's files in parts is until it is whole: beside them, where nothing lists it. */
export function uploadsPrefix(userId: string): string {
  return `users/${userId}/uploads/`;
}

/** Where what was done for the caller is told of once the account no longer keeps it: beside the files as well. */
export function auditPrefix(userId: string): string {
  return `users/${userId}/audit/`;
}

/**
 * The one spelling of a workspace path: relative, `/` between names, Unicode NFC, no `.` or `..`, no empty names.
 * A leading `/` is dropped, and the name that the workspace has in a sandbox with it. R2 keys end at 1,024 bytes; 900
 * leave room for the caller's prefix.
 */
export function normalizePath(input: string): string {
  const path = input.normalize("NFC").replace(SANDBOX_FOLDER, "");
  const refusal = pathRefusal(path);
  if (refusal !== undefined)
    throw new ToolError("invalid_input", `${refusal} Give a path such as reports/summary.html.`);
  return path;
}

/** A folder as a key prefix: empty for the root, otherwise a normal path with a slash at its end. */
export function normalizeFolder(input: string): string {
  const trimmed = input.replace(/\/+$/, "");
  return /^(\/+workspace\/files)?$/.test(trimmed) ? "" : `${normalizePath(trimmed)}/`;
}

function pathRefusal(path: string): string | undefined {
  if (path === "") return "The path is empty.";
  if (encoder.encode(path).length > MAX_PATH_BYTES) return `The path is longer than ${MAX_PATH_BYTES} bytes.`;
  if (!path.isWellFormed()) return "The path is not well-formed Unicode.";
  if (/[\p{Cc}\u2028\u2029\ufeff]/u.test(path)) return "The path holds a control character.";
  if (INVISIBLE.test(path)) return "The path holds an invisible character.";
  if (path.includes("\\")) return "The path holds a backslash.";
  if (path.endsWith("/")) return "The path ends in a slash, so it names a folder and no file.";
  for (const name of path.split("/")) {
    const refusal = nameRefusal(name);
    if (refusal !== undefined) return refusal;
  }
  return undefined;
}

function nameRefusal(name: string): string | undefined {
  if (name === "") return "The path has an empty name between two slashes.";
  if (name === "." || name === "..") return "The path has a . or .. in it.";
  // Full-width dots and slashes and the like: whatever folds compatible forms would take them for the real ones.
  const folded = name.normalize("NFKC");
  if (folded === "." || folded === ".." || /[/\\]/.test(folded)) {
    return "The path has a character that passes for a dot or a slash in it.";
  }
  if (/^(%2e|\.){1,2}$|%(2f|5c|00)/i.test(folded)) return "The path has an encoded dot, slash or NUL in it.";
  if (encoder.encode(name).length > MAX_NAME_BYTES) return `The path has a name longer than ${MAX_NAME_BYTES} bytes.`;
  return undefined;
}

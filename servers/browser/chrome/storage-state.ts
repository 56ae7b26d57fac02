import * as z from "zod";
import { ToolError } from "../../shared/errors.ts";
import { parseJson } from "../../shared/parse-json.ts";

/** As JSON. A browser that keeps more is not worth carrying about. */
export const MAX_STATE_BYTES = 5_000_000;
const MAX_COOKIES = 5_000;
export const MAX_ORIGINS = 50;
const MAX_ITEMS = 10_000;

const itemsSchema = z.array(z.object({ name: z.string(), value: z.string() })).max(MAX_ITEMS);

const cookieSchema = z.object({
  name: z.string(),
  value: z.string(),
  /** With a dot in front where its subdomains get it too. */
  domain: z.string().min(1),
  path: z.string().default("/"),
  /** Seconds since 1970; -1 where it goes with the browser. */
  expires: z.number().default(-1),
  httpOnly: z.boolean().default(false),
  secure: z.boolean().default(false),
  sameSite: z.enum(["Strict", "Lax", "None"]).exactOptional(),
  /** Playwright's: the one site within whose pages it is used. */
  partitionKey: z.unknown().exactOptional(),
});

const originSchema = z.object({
  origin: z
    .string()
    .refine(
      (origin) =>
        URL.canParse(origin) && /^https?:$/.test(new URL(origin).protocol) && new URL(origin).origin === origin,
    ),
  localStorage: itemsSchema.default([]),
  sessionStorage: itemsSchema.exactOptional(),
});

const stateSchema = z.object({
  cookies: z.array(cookieSchema).max(MAX_COOKIES).default([]),
  origins: z.array(originSchema).max(MAX_ORIGINS).default([]),
});

/**
 * What a browser keeps for its sites, in the shape of Playwright's `storageState`, so that either reads the other's;
 * `sessionStorage` is ours. Databases, caches, service workers and what a site keeps within another's pages alone are
 * not in it. All of it is secret: it goes into the
 * caller's files and nowhere else.
 */
export type StorageState = z.output<typeof stateSchema>;
export type StoredCookie = z.output<typeof cookieSchema>;
export type StoredOrigin = z.output<typeof originSchema>;

/** Rejects with `too_large` or `invalid_input`; no value is repeated in what it says. */
export function parseStorageState(json: string): StorageState {
  if (new TextEncoder().encode(json).length > MAX_STATE_BYTES) {
    throw storageTooLarge();
  }
  const parsed = stateSchema.safeParse(parseJson(json));
  if (parsed.success) {
    const { cookies, origins } = parsed.data;
    // One for a single site's pages would be used everywhere.
    return { cookies: cookies.filter(({ partitionKey }) => partitionKey === undefined), origins };
  }
  const at = parsed.error.issues[0]?.path.join(".") ?? "";
  throw new ToolError(
    "invalid_input",
    `That file holds no browser's storage${at === "" ? "" : ` (${at} is not as it should be)`}; give one that save_storage has written, or Playwright's storageState.`,
  );
}

export function storageTooLarge(): ToolError {
  return new ToolError("too_large", "A browser's storage may have 5 MB at most; give another file.");
}

/** Rejects with `too_large`. */
export function formatStorageState(state: StorageState): string {
  const json = JSON.stringify(state, undefined, 1);
  if (new TextEncoder().encode(json).length <= MAX_STATE_BYTES) return json;
  throw new ToolError(
    "too_large",
    "The browser keeps more than the 5 MB that can be saved; close it without saving, and sign in again next time.",
  );
}

/** All that may be said of it to a model. */
export function describeStorage({ cookies, origins }: StorageState): string {
  const items = origins.reduce((sum, each) => sum + each.localStorage.length + (each.sessionStorage?.length ?? 0), 0);
  return `${count(cookies.length, "cookie")} and ${count(items, "item")} of ${count(origins.length, "site")}`;
}

function count(number: number, noun: string): string {
  return `${number} ${noun}${number === 1 ? "" : "s"}`;
}

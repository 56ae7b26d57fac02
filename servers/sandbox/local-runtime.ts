import * as z from "zod";
import { ToolError } from "../shared/errors.ts";
import { Unrestored } from "./workspace.ts";

export interface LocalRuntimeSettings {
  readonly runtimeUrl: string;
  readonly secret: string;
}

export type Fetch = (input: string, init?: RequestInit) => Promise<Response>;

const problem = z.object({
  error: z.object({
    code: z.enum([
      ...["invalid_input", "not_found", "conflict", "too_large", "forbidden", "limit_reached"],
      ...["timeout", "cancelled", "unavailable", "internal", "stale_files", "unrestored"],
    ] as const),
    message: z.string().max(2_000),
  }),
});

const MAX_LINE_CHARS = 64 * 1024 * 1024;
const MAX_PROBLEM_CHARS = 10_000;

/** The sandbox's folder has to be brought in line with the caller's files before the call can begin. */
export class StaleFiles extends Error {}

/** One sandbox of the local runtime, as HTTP requests. */
export interface RuntimeSandbox {
  /** Throws `ToolError`, `StaleFiles` or `Unrestored`. */
  request(route: string, init: RequestInit & { readonly query?: Readonly<Record<string, string>> }): Promise<Response>;
  post(route: string, body: object, signal?: AbortSignal): Promise<Response>;
}

export function connectRuntime(settings: LocalRuntimeSettings, fetch: Fetch, id: string): RuntimeSandbox {
  const base = `${settings.runtimeUrl}/sandboxes/${encodeURIComponent(id)}`;
  const request: RuntimeSandbox["request"] = async (route, { query = {}, ...init }) => {
    const url = `${base}/${route}?${new URLSearchParams(query).toString()}`;
    const headers = { authorization: `Bearer ${settings.secret}`, "content-type": "application/json" };
    const response = await fetch(url, { ...init, headers, redirect: "manual" }).catch((cause: unknown) => {
      throw init.signal?.aborted === true ? cancelled(cause) : unreachable(cause);
    });
    if (response.ok) return response;
    throw parseProblem(await response.text().catch(() => ""));
  };
  return {
    request,
    post: async (route, body, signal) =>
      await request(route, { method: "POST", body: JSON.stringify(body), ...(signal !== undefined && { signal }) }),
  };
}

/** The lines of an answer as they come, each of them JSON. Throws the error that one of them tells. */
export async function* readLines(response: Response, signal: AbortSignal): AsyncGenerator {
  // Joined once a line is whole: joining at each piece would copy a long one again and again.
  let rest: string[] = [];
  let restChars = 0;
  const decoder = new TextDecoder();
  const reader = bodyOf(response).getReader();
  try {
    for (;;) {
      const piece = await reader.read();
      if (piece.done) break;
      const parts = decoder.decode(piece.value, { stream: true }).split("\n");
      const last = parts.pop() ?? "";
      for (const part of parts) {
        yield parseLine([...rest, part].join(""));
        rest = [];
        restChars = 0;
      }
      rest.push(last);
      if ((restChars += last.length) > MAX_LINE_CHARS) throw unreadable();
    }
  } catch (cause) {
    if (cause instanceof ToolError) throw cause;
    throw signal.aborted ? cancelled(cause) : unreachable(cause);
  }
  throw signal.aborted ? cancelled() : unreachable();
}

/** An answer's body whole. The runtime may end in the middle of it. */
export async function readBody(response: Response): Promise<Uint8Array> {
  return await response.bytes().catch((cause: unknown) => {
    throw unreachable(cause);
  });
}

/** An answer's body as JSON; whoever asked parses it. */
export async function readJsonBody(response: Response): Promise<unknown> {
  return parseJson(new TextDecoder().decode(await readBody(response)));
}

/** The bytes of an answer; some runtimes give an empty one no body. */
export function bodyOf(response: Response): ReadableStream<Uint8Array> {
  const body: unknown = response.body;
  return isByteStream(body) ? body : new ReadableStream({ start: (controller) => controller.close() });
}

function isByteStream(value: unknown): value is ReadableStream<Uint8Array> {
  return value instanceof ReadableStream;
}

/** What the runtime says, checked: it passes on what came out of a sandbox. */
export function parseRuntime<Schema extends z.ZodType>(schema: Schema, value: unknown): z.output<Schema> {
  const parsed = schema.safeParse(value);
  if (!parsed.success) throw unreadable(parsed.error);
  return parsed.data;
}

function parseLine(line: string): unknown {
  const value = parseJson(line);
  if (problem.safeParse(value).success) throw parseProblem(line);
  return value;
}

function parseProblem(text: string): Error {
  const parsed = problem.safeParse(text.length > MAX_PROBLEM_CHARS ? undefined : parseJson(text));
  if (!parsed.success) return unreadable(text.slice(0, MAX_PROBLEM_CHARS));
  const { code, message } = parsed.data.error;
  if (code === "stale_files") return new StaleFiles(message);
  return code === "unrestored" ? new Unrestored(message) : new ToolError(code, message);
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw unreadable(cause);
  }
}

export function throwIfCancelled(signal: AbortSignal | undefined): void {
  if (signal?.aborted === true) throw cancelled();
}

function cancelled(cause?: unknown): ToolError {
  return new ToolError("cancelled", "The call was cancelled by its client.", { cause });
}

function unreachable(cause?: unknown): ToolError {
  return new ToolError(
    "unavailable",
    "The local sandbox runtime does not answer; it is started again at once, so try again.",
    { cause },
  );
}

function unreadable(cause?: unknown): ToolError {
  return new ToolError("unavailable", "The sandbox answered with something unreadable; try again.", { cause });
}

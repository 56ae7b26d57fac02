import type { IncomingMessage, ServerResponse } from "node:http";
import { pipeline } from "node:stream/promises";
import * as z from "zod";
import { concatBytes, decode, encode, release } from "./bytes.ts";
import { Problem } from "./problem.ts";

/** A request's body, refused beyond `maxBytes`. */
export async function* readBytes(request: IncomingMessage, maxBytes: number): AsyncGenerator<Uint8Array> {
  let total = 0;
  for await (const chunk of request) {
    const bytes: unknown = chunk;
    if (!(bytes instanceof Uint8Array)) throw new Error("The request was read as text.");
    total += bytes.length;
    if (total > maxBytes) throw new Problem("too_large", `The request is larger than ${maxBytes} bytes; send less.`);
    yield bytes;
  }
  // A client that went away in the middle must not leave half a file that looks whole.
  if (!request.complete) throw new Problem("cancelled", "The request ended before its body did.");
}

export async function readJson<Schema extends z.ZodType>(
  request: IncomingMessage,
  schema: Schema,
  maxBytes: number,
): Promise<z.output<Schema>> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of readBytes(request, maxBytes)) chunks.push(chunk);
  try {
    return schema.parse(JSON.parse(decode(concatBytes(chunks))));
  } catch (error) {
    const issue = error instanceof z.ZodError ? error.issues[0] : undefined;
    if (issue === undefined) throw new Problem("invalid_input", "The sandbox runtime does not understand the request.");
    throw new Problem(
      "invalid_input",
      `The sandbox does not take ${issue.path.at(-1)?.toString() ?? "this"}: ${issue.message}.`,
    );
  }
}

export function sendJson(response: ServerResponse, content: object): void {
  const body = encode(JSON.stringify(content));
  response.writeHead(200, { "content-type": "application/json", "content-length": body.length });
  response.end(body);
}

/** Sends bytes as they come; what has left is gone. */
export async function sendBytes(response: ServerResponse, body: AsyncIterable<Uint8Array>): Promise<void> {
  await pipeline(async function* () {
    let given: Uint8Array[] = [];
    for await (const bytes of body) {
      given.push(bytes);
      yield bytes;
      if (response.writableLength > 0) continue;
      given.forEach(release);
      given = [];
    }
  }, response);
}

const STATUS: Readonly<Partial<Record<Problem["code"], number>>> = {
  invalid_input: 400,
  forbidden: 403,
  not_found: 404,
  conflict: 409,
  stale_files: 409,
  unrestored: 409,
  too_large: 413,
  limit_reached: 429,
};

/** The error as an answer, or as the last line of one that has begun. */
export function sendProblem(response: ServerResponse, error: unknown): void {
  const problem = error instanceof Problem ? { code: error.code, message: error.message } : unexpected(error);
  const text = `${JSON.stringify({ error: problem })}\n`;
  if (!response.headersSent) {
    response.writeHead(STATUS[problem.code] ?? 500, { "content-type": "application/json" });
    response.end(text);
  } else if (response.getHeader("content-type") === "application/x-ndjson") {
    response.end(text);
  } else {
    // Bytes of a file were under way: only a broken connection says that they are not all.
    response.destroy();
  }
}

const GONE: ReadonlySet<string> = new Set(["ERR_STREAM_PREMATURE_CLOSE", "ECONNRESET"]);

function unexpected(error: unknown): { code: Problem["code"]; message: string } {
  if (error instanceof z.ZodError)
    return { code: "invalid_input", message: "The sandbox runtime does not understand the request." };
  // Whoever went away in the middle of a request or an answer knows that it is not whole.
  const isGone = error instanceof Error && "code" in error && GONE.has(String(error.code));
  if (!isGone)
    process.stderr.write(
      `sandbox runtime: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`,
    );
  return { code: "internal", message: "The sandbox runtime failed; its log says why." };
}

export interface Lines {
  send(line: object): void;
  end(line: object): void;
}

/** An answer of JSON lines, begun when the first is sent, and a signal that fires when its reader goes away. */
export function answerLines(response: ServerResponse): { lines: Lines; signal: AbortSignal } {
  const controller = new AbortController();
  response.on("close", () => {
    if (!response.writableFinished) controller.abort();
  });
  const begin = (): void => {
    if (!response.headersSent) response.writeHead(200, { "content-type": "application/x-ndjson" });
  };
  const lines = {
    send: (line: object) => {
      if (response.writableEnded || response.destroyed) return;
      begin();
      // Whoever reads slowly misses some of it.
      if (!response.writableNeedDrain) response.write(`${JSON.stringify(line)}\n`);
    },
    end: (line: object) => {
      begin();
      response.end(`${JSON.stringify(line)}\n`);
    },
  };
  return { lines, signal: controller.signal };
}

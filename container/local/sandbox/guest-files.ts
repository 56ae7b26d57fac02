import * as z from "zod";
import { type Bytes, copyBytes, NO_BYTES } from "./bytes.ts";
import { AgentRefusal, type AgentLink, parseJson, refusal, SILENT } from "./agent-link.ts";
import { FROM_AGENT, TO_AGENT } from "./inside/frames.mjs";
import { Problem } from "./problem.ts";

const TIMEOUT_MS = 30_000;
const HASH_TIMEOUT_MS = 60_000;
/** Millions of files take their time. */
const EMPTY_TIMEOUT_MS = 300_000;
const CHUNK_BYTES = 256 * 1024;
/** The agent waits for its reader long before this. */
const MAX_QUEUED_BYTES = 16 * 1024 * 1024;

const scanSchema = z.object({ digest: z.string().max(64), leftOut: z.int(), isFull: z.boolean() });
const pageSchema = z.array(z.tuple([z.string().max(4_096), z.int().nonnegative(), z.string().max(200)])).max(1_000);
const writtenSchema = z.object({ stamp: z.string().max(200), isAside: z.boolean() });

/** What may be there before. */
export interface Over {
  /** Refused with `conflict` unless what is there has this hash. */
  readonly replaces?: string | undefined;
  /** Where what is there goes unless it has the stamp `known`; nothing should be there where that is absent. */
  readonly aside?: string;
  readonly known?: string | undefined;
}

/** The sandbox's disk, through its agent: no path is looked up outside, and what comes back is parsed. */
export interface Guest {
  /** With `isExact`, as many bytes as it says, or an error; a file of `/proc` says 0 and has more. */
  read(
    path: string,
    options: { readonly maxBytes: number; readonly isExact: boolean },
  ): Promise<{ sizeBytes: number; body: AsyncGenerator<Uint8Array> }>;
  /** The whole file or nothing, on the terms of `over`. Answers the file's stamp. */
  write(
    path: string,
    body: AsyncIterable<Uint8Array>,
    over?: Over,
  ): Promise<{ readonly stamp: string; readonly isAside: boolean }>;
  /** Where it has the stamp `known`; with the folders that it leaves empty below `root`. */
  remove(path: string, root: string, known: string): Promise<void>;
  rename(from: string, to: string): Promise<void>;
  /** Removes everything in the folder but what has the name `kept`. */
  empty(root: string, kept: string): Promise<void>;
  md5(path: string): Promise<string | undefined>;
  scan(root: string, maxFiles: number): Promise<z.output<typeof scanSchema>>;
  scanAll(
    root: string,
    maxFiles: number,
  ): Promise<z.output<typeof scanSchema> & { readonly files: z.output<typeof pageSchema> }>;
}

export function guestFiles(link: AgentLink): Guest {
  const ask = async (request: object): Promise<unknown> => await link.ask(TO_AGENT.file, request, TIMEOUT_MS);
  return {
    read: async (path, options) => await translate(path, readFile(link, path, options)),
    write: async (path, body, over) => await translate(path, writeFile(link, { path, ...over }, body)),
    remove: async (path, root, known) => void (await translate(path, ask({ op: "remove", path, root, known }))),
    rename: async (from, to) => void (await translate(from, ask({ op: "rename", from, to }))),
    empty: async (root, kept) => void (await link.ask(TO_AGENT.file, { op: "empty", root, kept }, EMPTY_TIMEOUT_MS)),
    md5: async (path) => {
      const answer = await link.ask(TO_AGENT.file, { op: "hash", path }, HASH_TIMEOUT_MS).catch(() => undefined);
      const parsed = z.object({ md5: z.string().max(32) }).safeParse(answer);
      return parsed.success ? parsed.data.md5 : undefined;
    },
    scan: async (root, maxFiles) => scanSchema.parse(await ask({ op: "scan", root, maxFiles, wantsList: false })),
    scanAll: async (root, maxFiles) => {
      const pages = stream(link, { op: "scan", root, maxFiles, wantsList: true });
      const files: z.output<typeof pageSchema> = [];
      for await (const page of pages.chunks) {
        files.push(...pageSchema.parse(parseJson(page)));
        if (files.length > maxFiles) throw new Error("The agent lists more files than it was asked for.");
      }
      return { ...scanSchema.parse(await pages.answer), files };
    },
  };
}

async function readFile(
  link: AgentLink,
  path: string,
  options: { readonly maxBytes: number; readonly isExact: boolean },
): ReturnType<Guest["read"]> {
  const { chunks } = stream(link, { op: "read", path, ...options });
  const first = await chunks.next();
  const size = z.int().min(0).max(options.maxBytes);
  const head = z.object({ sizeBytes: size }).safeParse(first.done === true ? undefined : parseJson(first.value));
  if (!head.success) throw new Error("The agent's answer is unreadable.");
  return { sizeBytes: head.data.sizeBytes, body: chunks };
}

async function writeFile(
  link: AgentLink,
  target: Over & { readonly path: string },
  body: AsyncIterable<Uint8Array>,
): Promise<z.output<typeof writtenSchema>> {
  let call = 0;
  const answer = new Promise<unknown>((resolve, reject) => {
    call = link.open(
      TO_AGENT.file,
      { op: "write", ...target },
      {
        onFrame: (kind, content) => (kind === FROM_AGENT.done ? resolve(parseJson(content)) : reject(refusal(content))),
        onLost: (reason) => reject(new Problem("unavailable", reason)),
      },
    );
  });
  let isRefused = false;
  answer.catch(() => (isRefused = true));
  // Only while it is the agent's turn: the body may come as slowly as it likes.
  const inTime = async <Result>(work: Promise<Result>): Promise<Result> => {
    const silence = setTimeout(() => link.kill(SILENT), TIMEOUT_MS);
    try {
      return await work;
    } finally {
      clearTimeout(silence);
    }
  };
  try {
    for await (const part of body) {
      for (let at = 0; at < part.length && !isRefused; at += CHUNK_BYTES) {
        await inTime(link.send(TO_AGENT.bytes, call, part.subarray(at, at + CHUNK_BYTES)));
      }
    }
    await inTime(link.send(TO_AGENT.bytes, call, NO_BYTES));
    return writtenSchema.parse(await inTime(answer));
  } catch (error) {
    await link.send(TO_AGENT.forget, call, NO_BYTES);
    throw error;
  } finally {
    link.close(call);
  }
}

/** A call whose answer comes in pieces. */
function stream(link: AgentLink, request: object): { chunks: AsyncGenerator<Bytes>; answer: Promise<unknown> } {
  const queue: Bytes[] = [];
  let queuedBytes = 0;
  let wake: () => void = () => undefined;
  let isOver = false;
  let settle: (value: unknown) => void = () => undefined;
  let fail: (error: Error) => void = () => undefined;
  const answer = new Promise<unknown>((resolve, reject) => {
    settle = resolve;
    fail = reject;
  });
  answer.catch(() => undefined);
  const end = (finish: () => void): void => {
    isOver = true;
    finish();
    wake();
  };
  const call = link.open(TO_AGENT.file, request, {
    onFrame: (kind, content) => {
      if (kind === FROM_AGENT.done) end(() => settle(parseJson(content)));
      else if (kind === FROM_AGENT.failed) end(() => fail(refusal(content)));
      else if ((queuedBytes += content.length) > MAX_QUEUED_BYTES)
        link.kill("Something inside disturbed the sandbox; it was started afresh.");
      else {
        queue.push(copyBytes(content));
        wake();
      }
    },
    onLost: (reason) => end(() => fail(new Problem("unavailable", reason))),
  });
  async function* read(): AsyncGenerator<Bytes> {
    try {
      for (;;) {
        const piece = queue.shift();
        if (piece !== undefined) {
          queuedBytes -= piece.length;
          void link.send(TO_AGENT.bytes, call, NO_BYTES);
          yield piece;
        } else if (isOver) {
          await answer;
          return;
        } else {
          const silence = setTimeout(() => link.kill(SILENT), TIMEOUT_MS);
          await new Promise<void>((resolve) => (wake = resolve));
          clearTimeout(silence);
        }
      }
    } finally {
      link.close(call);
      if (!isOver) void link.send(TO_AGENT.forget, call, NO_BYTES);
    }
  }
  return { chunks: read(), answer };
}

/** The agent's refusals in the words that clients see. */
async function translate<Result>(path: string, work: Promise<Result>): Promise<Result> {
  try {
    return await work;
  } catch (error) {
    if (error instanceof AgentRefusal) throw explain(path, error.code);
    throw error;
  }
}

function explain(path: string, code: string): Problem {
  switch (code) {
    case "ENOENT":
      return new Problem("not_found", `There is no ${path} in the sandbox; list its folder first.`);
    case "EISDIR":
    case "ENOTDIR":
    case "ENOTFILE":
    case "ELOOP":
    case "ENXIO":
      return new Problem("invalid_input", `${path} is not a file; give the path of one.`);
    case "EFBIG":
      return new Problem("too_large", `${path} is too large; read or write part of it.`);
    case "ECONFLICT":
      return new Problem("conflict", `${path} holds something else by now; read it again and repeat the change.`);
    case "EACCES":
    case "EPERM":
    case "EROFS":
      return new Problem("forbidden", `The sandbox does not allow ${path}; use a path below /workspace.`);
    case "ENOSPC":
    case "EDQUOT":
      return new Problem("limit_reached", `There is no room for ${path}; delete files first.`);
    case "ENAMETOOLONG":
      return new Problem("invalid_input", `A name in ${path} is longer than a disk takes; shorten it.`);
    default:
      return new Problem("unavailable", `The sandbox could not reach ${path}; try again.`);
  }
}

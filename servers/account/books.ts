import * as z from "zod";
import { sha256Hex } from "../../auth/secrets.ts";
import type { CallPipeline, FinishedCall } from "../core/call.ts";
import { describeFailure, type Log } from "../core/log.ts";
import { handleName } from "../shared/handles.ts";
import type { Account } from "./account.ts";
import type { BooksEntry } from "./book-table.ts";
import { callNanoUsd } from "./prices.ts";

/** Long enough to gather the calls of a busy moment, short enough to lose next to nothing with an isolate. */
const WRITE_AFTER_MS = 50;

/**
 * What an isolate's calls have left and is not written yet, by person. A write to disk costs more than most calls:
 * calls that end within a moment of each other share one.
 */
export type Books = Map<string, UnwrittenCall[]>;

interface UnwrittenCall {
  readonly call: FinishedCall;
  readonly context: BooksContext;
}

/** What writing the books needs to know of one request. */
export interface BooksContext {
  readonly account: DurableObjectStub<Account>;
  readonly userId: string;
  readonly clientId: string;
  readonly isBilled: boolean;
  readonly parentRunId?: string;
  /** The sandbox is one that ends with its run: nobody looks for it afterwards. */
  readonly isSandboxPassing?: boolean;
  readonly waitUntil: (work: Promise<unknown>) => void;
  readonly log: Log;
}

/** Writes one audit row and one cost row a call, after the caller has been answered. */
export function createRecorder(books: Books, context: BooksContext): CallPipeline["record"] {
  return (call) => {
    context.waitUntil(
      write(call, books, context).catch((failure: unknown) => {
        context.log.error("books not written", { firstCall: call.id, failure: describeFailure(failure) });
      }),
    );
  };
}

/** Each call waits on its own, since a request may not wait for another's work; the first to wake writes for all. */
async function write(call: FinishedCall, books: Books, context: BooksContext): Promise<void> {
  const { account, userId } = context;
  const batch = books.get(userId) ?? [];
  batch.push({ call, context });
  books.set(userId, batch);
  await scheduler.wait(WRITE_AFTER_MS);
  if (books.get(userId) !== batch) return;
  books.delete(userId);
  const entries = await Promise.all(batch.map(entryOf));
  // The same row is kept once, so that what may have been written can be written again.
  await account
    .record(userId, entries)
    .catch(async () => await account.record(userId, entries))
    .catch((cause: unknown) => {
      throw new Error(`${entries.length} calls have left no rows`, { cause });
    });
}

async function entryOf({ call, context }: UnwrittenCall): Promise<BooksEntry> {
  const { clientId, isBilled, parentRunId } = context;
  const { id, atMs, tool, outcome, durationMs, outputBytes } = call;
  const inputDigest = await sha256Hex(JSON.stringify(call.input));
  const run = parentRunId === undefined ? {} : { parentRunId };
  return {
    audit: { id, atMs, clientId, tool, outcome, durationMs, inputDigest, outputBytes, ...run },
    cost: { callId: id, atMs, nanoUsd: callNanoUsd(isBilled) },
    ...handleOf(call, context),
    ...(call.hit === undefined ? {} : { hit: call.hit }),
    // Nobody is told for how long a sandbox on the person's own machine was there: what counts is the work in it.
    ...(!isBilled && WITH_SANDBOX.test(tool) ? { sandboxMs: durationMs } : {}),
  };
}

const WITH_SANDBOX = /^(sandbox|interpreter)_/;
const WITH_BROWSER = /^browser_/;
/** These have begun nothing in either. */
const REFUSED = ["invalid_input", "forbidden", "limit_reached", "not_found", "conflict"];
/** Nor have these, whatever came of them. Only so many names are kept: those that cost nothing would push out others. */
const BEGINS_NOTHING = ["sandbox_status", "sandbox_reset", "interpreter_list", "browser_close"];

const namedInput = z.object({ sandbox: handleName, browser: handleName, url: z.string().optional() });

/** The sandbox or browser that a call was at work in. */
function handleOf(
  { tool, input, outcome }: FinishedCall,
  { isSandboxPassing }: BooksContext,
): Pick<BooksEntry, "handle"> {
  const kind = WITH_SANDBOX.test(tool) ? "sandbox" : WITH_BROWSER.test(tool) ? "browser" : undefined;
  if (kind === undefined || REFUSED.includes(outcome) || BEGINS_NOTHING.includes(tool)) return {};
  const named = namedInput.safeParse(input);
  if (!named.success || (kind === "sandbox" && isSandboxPassing === true)) return {};
  // To read a URL takes a browser that is gone afterwards.
  if (tool === "browser_read" && named.data.url !== undefined) return {};
  return { handle: { kind, name: named.data[kind] } };
}

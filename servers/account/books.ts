import type { CallPipeline, FinishedCall } from "../core/call.ts";
import { describeFailure, type Log } from "../core/log.ts";
import type { Account } from "./account.ts";
import { callNanoUsd } from "./prices.ts";

/** What writing the books needs to know of one request. */
export interface BooksContext {
  readonly account: DurableObjectStub<Account>;
  readonly clientId: string;
  readonly isBilled: boolean;
  readonly parentRunId?: string;
  readonly waitUntil: (work: Promise<unknown>) => void;
  readonly log: Log;
}

/** Writes one audit row and one cost row a call, after the caller has been answered. */
export function createRecorder(context: BooksContext): CallPipeline["record"] {
  return (call) => {
    context.waitUntil(
      write(call, context).catch((failure: unknown) => {
        context.log.error("books not written", { call: call.id, failure: describeFailure(failure) });
      }),
    );
  };
}

async function write(call: FinishedCall, { account, clientId, isBilled, parentRunId }: BooksContext): Promise<void> {
  await account.record(
    {
      id: call.id,
      atMs: call.atMs,
      clientId,
      tool: call.tool,
      outcome: call.outcome,
      durationMs: call.durationMs,
      inputDigest: await digest(call.input),
      outputBytes: call.outputBytes,
      ...(parentRunId === undefined ? {} : { parentRunId }),
    },
    { callId: call.id, atMs: call.atMs, nanoUsd: callNanoUsd(isBilled) },
  );
}

async function digest(input: unknown): Promise<string> {
  const bytes = new TextEncoder().encode(JSON.stringify(input));
  return new Uint8Array(await crypto.subtle.digest("SHA-256", bytes)).toHex();
}

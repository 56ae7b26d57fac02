import { describeFailure, type Log } from "../core/log.ts";
import { RUN_KEPT_MS } from "../account/run-table.ts";
import type { Tool } from "../core/tool.ts";
import { settle, settleChild } from "./budget.ts";
import { describeConversation } from "./conversation.ts";
import type { RunHost } from "./host.ts";
import type { RunReport } from "./run-report.ts";
import { settleDay, unreported } from "./day-room.ts";
import { askedOf } from "./set-aside.ts";
import { type Transcript, hasEnded } from "./transcript.ts";

/** How long what could not be done after the end waits to be tried again: files may be full, or out of reach. */
const TRY_AGAIN_MS = 60 * 60 * 1_000;

/** A run that the ended one started. */
export interface ChildRun {
  cancel(): Promise<RunReport | undefined>;
}

/** What is done after a run has ended. */
interface Closing {
  readonly storage: DurableObjectStorage;
  readonly transcript: Transcript;
  readonly tools: readonly Tool[];
  readonly host: RunHost;
  readonly childRun: (childId: string) => ChildRun;
  readonly log: Log;
}

/** Each is done once; one that fails keeps no other from being done. */
const CHORES: Readonly<Record<string, (closing: Closing) => Promise<void>>> = {
  place: async ({ host, transcript }) => {
    const { runId, status } = transcript.read();
    await host.account.endRun(runId, status);
  },
  reservation: async ({ host, transcript, log }) => {
    const run = transcript.read();
    const { unsettled, reserved, ledger } = run;
    if (unsettled !== undefined) await host.account.settleModelCall(unsettled.callId, unsettled);
    if (reserved === undefined) return;
    transcript.update({ ledger: settle(ledger, reserved, undefined), reserved: undefined });
    await settleDay({ account: host.account, log }, reserved.callId, unreported(askedOf(run), reserved));
  },
  children: endChildren,
  processes: killProcesses,
  conversation: keepConversation,
  sandbox: async ({ host, transcript }) => {
    if (transcript.read().sandboxMode === "fork") await host.discardSandbox();
  },
};

/**
 * Ends what an ended run had going, gives back what it held, and keeps its conversation. Returns when to come again;
 * `undefined` once it is to be forgotten.
 */
export async function closeRun(closing: Closing): Promise<number | undefined> {
  const { storage, transcript, log } = closing;
  const run = transcript.read();
  const keptUntilMs = (run.endedAtMs ?? Date.now()) + RUN_KEPT_MS;
  if (Date.now() >= keptUntilMs) return undefined;
  let isDone = true;
  for (const [name, chore] of Object.entries(CHORES)) {
    if (storage.kv.get(`done:${name}`) !== undefined) continue;
    try {
      await chore(closing);
      storage.kv.put(`done:${name}`, true);
    } catch (failure) {
      isDone = false;
      log.error("run not closed", { run: run.runId, chore: name, failure: describeFailure(failure) });
    }
  }
  return isDone ? keptUntilMs : Date.now() + TRY_AGAIN_MS;
}

/** Nobody waits for them any more. What they used is put in the place of what was set aside. */
async function endChildren({ transcript, childRun }: Closing): Promise<void> {
  for (const childId of Object.keys(transcript.read().ledger.children)) {
    const report = await childRun(childId).cancel();
    if (report === undefined || !hasEnded(report)) continue;
    transcript.update({ ledger: settleChild(transcript.read().ledger, childId, report.ledger) });
  }
}

/** A command that goes on by itself outlives a run that completed: it may be what was asked for. No other does. */
async function killProcesses({ transcript, tools, host }: Closing): Promise<void> {
  const { status, processes } = transcript.read();
  const send = tools.find(({ name }) => name === "sandbox_send");
  if (status === "completed" || send === undefined) return;
  for (const handle of processes) {
    const end = { process_id: handle, signal: "SIGKILL", wait_ms: 0 };
    const ended = await host.endWith(send, end);
    // One that has ended by itself is a conflict.
    if (!ended.ok && (ended.error.code === "unavailable" || ended.error.code === "timeout")) throw ended.error;
  }
}

async function keepConversation({ transcript, host }: Closing): Promise<void> {
  const run = transcript.read();
  const path = `conversations/${new Date(run.startedAtMs).toISOString().slice(0, 10)}/${run.runId}.md`;
  const text = describeConversation(run, transcript.messages());
  const madeBy = { tool: "delegate_run", run_id: run.runId, model: run.models[0]?.slice(0, 256) ?? "" };
  const { mimeType, sizeBytes } = await host.files.write(path, text, { mimeType: "text/markdown", madeBy });
  transcript.update({ conversation: { path, mimeType, sizeBytes } });
}

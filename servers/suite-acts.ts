import type { Caller } from "../auth/caller.ts";
import { type Books, createRecorder } from "./account/books.ts";
import type { Acts, DeploymentActs, PersonActs } from "./admin/acts.ts";
import { callRecorded } from "./core/call.ts";
import { OPEN_GATE } from "./core/gate.ts";
import { consoleLog } from "./core/log.ts";
import { runName } from "./delegate/runs.ts";
import { sandboxId } from "./sandbox/driver.ts";
import { ToolError } from "./shared/errors.ts";
import { HANDLE_RULE, isHandleName } from "./shared/handles.ts";
import { limitsSchema } from "./shared/limits.ts";
import type { Settings } from "./shared/settings.ts";
import { type Bindings, createPipeline, directoryOf } from "./suite.ts";

export interface ActsContext {
  readonly bindings: Bindings;
  readonly settings: Settings;
  /** Who acts; verified by the page that hands this on. */
  readonly actor: Pick<Caller, "userId" | "role">;
  readonly books: Books;
  readonly waitUntil: (work: Promise<unknown>) => void;
}

const START_LIMIT_MS = 40_000;
const MAX_REASON_CHARS = 300;
const RUN_ID = /^run-[0-9a-f]{16}$/;

/** The acts on what `userId` has going: the actor themselves, or anybody where the actor is an admin. */
export function createActs(context: ActsContext, userId: string): Acts {
  if (userId !== context.actor.userId) requireAdmin(context);
  const { bindings, settings, waitUntil } = context;
  const caller = { userId, role: "reader", scopes: [], clientId: "page" } as const;
  const { sandbox, browsers } = createPipeline(bindings, settings, caller, { waitUntil }).capabilities;
  const act = async (name: string, input: object, work: () => Promise<unknown>): Promise<void> =>
    void (await recorded(context, userId, name, input, work));
  const onSandbox = async (verb: string, name: string, work: () => Promise<unknown>): Promise<void> => {
    await act(`sandbox_${verb}`, { sandbox: name }, async () => {
      requireName(name);
      await work();
    });
  };
  return {
    snapshotSandbox: async (name) =>
      await onSandbox("snapshot", name, async () => {
        const snapshots = bindings.SANDBOX_SNAPSHOTS.get(
          bindings.SANDBOX_SNAPSHOTS.idFromName(sandboxId(userId, name)),
        );
        if (await snapshots.saveBeforeSleep()) return;
        throw new ToolError("unavailable", "No snapshot could be taken; it is tried again by itself.");
      }),
    sleepSandbox: async (name) => await onSandbox("sleep", name, async () => await sandbox(name).sleep()),
    restartSandbox: async (name) =>
      await onSandbox("restart", name, async () => {
        await sandbox(name).sleep();
        const nothing = { command: "true", isInternal: true, timeoutMs: 10_000, waitMs: START_LIMIT_MS, maxChars: 100 };
        await sandbox(name).exec(nothing, { signal: AbortSignal.timeout(START_LIMIT_MS) });
      }),
    resetSandbox: async (name) => await onSandbox("reset", name, async () => await sandbox(name).reset()),
    killProcess: async (name, processId) =>
      await onSandbox("kill", name, async () => await sandbox(name).signalProcess(processId, "SIGKILL")),
    closeBrowser: async (name) =>
      await act("browser_close", { browser: name }, async () => {
        requireName(name);
        await browsers.named(name).stop();
      }),
    cancelRun: async (runId) =>
      await act("run_cancel", { run_id: runId }, async () => {
        const namespace = bindings.DELEGATE_RUN;
        const report = RUN_ID.test(runId)
          ? await namespace.get(namespace.idFromName(runName(userId, runId))).cancel(undefined, "Cancelled on a page.")
          : undefined;
        if (report === undefined) throw new ToolError("not_found", "There is no such run any more.");
      }),
  };
}

export function createPersonActs(context: ActsContext, userId: string): PersonActs {
  requireAdmin(context);
  const { bindings } = context;
  const account = bindings.ACCOUNT.get(bindings.ACCOUNT.idFromName(userId));
  // The account first: it is what calls go by. Where the directory is not told, it is for the admin to try again.
  const change = async (name: string, rules: Parameters<typeof account.setRules>[0]): Promise<void> =>
    await recorded(context, userId, name, rules, async () => {
      const { paused, own } = await account.setRules(rules);
      const known = { isPaused: paused !== undefined, hasLimits: Object.keys(own).length > 0 };
      await directoryOf(bindings).noteRules(userId, known);
    });
  return {
    pausePerson: async (reason) => await change("pause", { paused: { sinceMs: Date.now(), reason: oneLine(reason) } }),
    resumePerson: async () => await change("resume", { paused: false }),
    setPersonLimits: async (own) => await change("limits", { own: limitsSchema.parse(own) }),
  };
}

export function createDeploymentActs(context: ActsContext): DeploymentActs {
  requireAdmin(context);
  const { bindings, actor } = context;
  const act = async (name: string, input: object, work: () => Promise<void>): Promise<void> =>
    await recorded(context, actor.userId, name, input, work);
  return {
    pauseAll: async (reason) =>
      await act("pause_all", { reason }, async () => await directoryOf(bindings).pauseAll(oneLine(reason))),
    resumeAll: async () => await act("resume_all", {}, async () => await directoryOf(bindings).resumeAll()),
    setRoleLimits: async (role, limits) =>
      await act("role_limits", { role, limits }, async () => {
        const parsed = limits === undefined ? undefined : limitsSchema.parse(limits);
        await directoryOf(bindings).setRoleLimits(role, parsed);
      }),
  };
}

/** Writes an act into the books of whom it is done to: `account/…` by themselves, `admin/…` by an admin. */
export async function recorded<T>(
  { bindings, settings, actor, books, waitUntil }: ActsContext,
  userId: string,
  name: string,
  input: object,
  work: () => Promise<T>,
): Promise<T> {
  const isOwn = actor.userId === userId && !ADMIN_ACTS.has(name);
  const clientId = isOwn ? "page" : `admin:${actor.userId}`;
  const caller: Caller = { userId, role: actor.role, scopes: [], clientId };
  const record = createRecorder(books, {
    account: bindings.ACCOUNT.get(bindings.ACCOUNT.idFromName(userId)),
    userId,
    clientId,
    isBilled: settings.SANDBOX_DRIVER === "container",
    waitUntil,
    log: consoleLog,
  });
  const callable = { name: `${isOwn ? "account" : "admin"}/${name}`, scopes: [] };
  const pipeline = { caller, log: consoleLog, gate: OPEN_GATE, record };
  const end = await callRecorded(callable, input, pipeline, () => 0, work);
  if (!end.ok) throw end.error;
  return end.outcome;
}

const ADMIN_ACTS: ReadonlySet<string> = new Set([
  "pause",
  "resume",
  "limits",
  "pause_all",
  "resume_all",
  "role_limits",
]);

function requireAdmin({ actor }: ActsContext): void {
  if (actor.role !== "admin") throw new ToolError("forbidden", "Only an admin may do that.");
}

function requireName(name: string): void {
  if (!isHandleName(name)) throw new ToolError("invalid_input", `That is no name; ${HANDLE_RULE}.`);
}

/** A reason is shown in refusals: a line, and not a long one. */
function oneLine(reason: string): string {
  return reason
    .replaceAll(/[\p{Cc}\p{Zl}\p{Zp}\s]+/gu, " ")
    .trim()
    .slice(0, MAX_REASON_CHARS);
}

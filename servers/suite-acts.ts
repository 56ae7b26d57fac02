import type { RuleChange } from "./account/standing.ts";
import type { Acts, Rules } from "./admin/acts.ts";
import { startCommand, stopCommand } from "./admin/presets.ts";
import { consoleLog, describeFailure } from "./core/log.ts";
import { runName } from "./delegate/runs.ts";
import { sandboxId } from "./sandbox/driver.ts";
import { ToolError } from "./shared/errors.ts";
import { HANDLE_RULE, isHandleName, isRunId } from "./shared/handles.ts";
import { limitsSchema } from "./shared/limits.ts";
import type { Settings } from "./shared/settings.ts";
import { type Bindings, createPipeline, directoryOf } from "./suite.ts";

const START_LIMIT_MS = 40_000;
/** Hundreds of megabytes are installed first. */
const PRESET_LIMIT_MS = 15 * 60_000;
const STOP_WAIT_MS = 20_000;
const MAX_REASON_CHARS = 300;

export function createActs(
  bindings: Bindings,
  settings: Settings,
  userId: string,
  waitUntil: (work: Promise<unknown>) => void,
): Acts {
  const nobody = { userId, role: "reader", scopes: [], clientId: "page" } as const;
  const { capabilities, gate } = createPipeline(bindings, settings, nobody, { waitUntil });
  const { sandbox, browsers, previews } = capabilities;
  const run = async (name: string, command: string, waitMs: number): Promise<void> => {
    await gate.check();
    const order = { command, timeoutMs: PRESET_LIMIT_MS, waitMs, maxChars: 100 };
    await sandbox(name).exec(order, { signal: AbortSignal.timeout(START_LIMIT_MS) });
  };
  return {
    snapshot: async (name) => {
      const id = sandboxId(userId, checked(name));
      const snapshots = bindings.SANDBOX_SNAPSHOTS.get(bindings.SANDBOX_SNAPSHOTS.idFromName(id));
      if (await reached(async () => await snapshots.saveBeforeSleep())) return;
      throw new ToolError("unavailable", "No snapshot could be taken; it is tried again by itself.");
    },
    restart: async (name) => {
      await sandbox(checked(name)).sleep();
      const nothing = { command: "true", isInternal: true, timeoutMs: 10_000, waitMs: START_LIMIT_MS, maxChars: 100 };
      await sandbox(name).exec(nothing, { signal: AbortSignal.timeout(START_LIMIT_MS) });
    },
    sleep: async (name) => await sandbox(checked(name)).sleep(),
    reset: async (name) => await sandbox(checked(name)).reset(),
    killProcess: async (name, processId) => void (await sandbox(checked(name)).signalProcess(processId, "SIGKILL")),
    withdraw: async (name, port) => void (await previews.withdraw(checked(name), port)),
    startPreset: async (name, preset) => await run(checked(name), startCommand(preset), 0),
    stopPreset: async (name, preset) => await run(checked(name), stopCommand(preset), STOP_WAIT_MS),
    closeBrowser: async (name) => await reached(async () => await browsers.named(checked(name)).stop()),
    cancelRun: async (runId) => {
      const { DELEGATE_RUN: runs } = bindings;
      const run = isRunId(runId) ? runs.get(runs.idFromName(runName(userId, runId))) : undefined;
      const report = await reached(async () => await run?.cancel(undefined, "The run was cancelled on a page."));
      if (report === undefined) throw new ToolError("not_found", "There is no such run any more.");
    },
  };
}

export function createRules(bindings: Bindings): Rules {
  // Asked for anew each time: one that broke stays broken.
  const directory = () => directoryOf(bindings);
  // The account first: it is what calls go by. Where the directory is not told then, it is for the admin to try again.
  const change = async (userId: string, rules: RuleChange): Promise<void> =>
    await reached(async () => {
      const account = bindings.ACCOUNT.get(bindings.ACCOUNT.idFromName(userId));
      const { paused, own } = await account.setRules(rules);
      await directory().noteRules(userId, { isPaused: paused !== undefined, hasLimits: Object.keys(own).length > 0 });
    });
  return {
    pausePerson: async (userId, reason) =>
      await change(userId, { paused: { sinceMs: Date.now(), reason: oneLine(reason) } }),
    resumePerson: async (userId) => await change(userId, { paused: false }),
    setPersonLimits: async (userId, own) => await change(userId, { own: limitsSchema.parse(own) }),
    pauseAll: async (reason) => await reached(async () => await directory().pauseAll(oneLine(reason))),
    resumeAll: async () => await reached(async () => await directory().resumeAll()),
    setRoleLimits: async (role, limits) => {
      const checkedLimits = limits === undefined ? undefined : limitsSchema.parse(limits);
      await reached(async () => await directory().setRoleLimits(role, checkedLimits));
    },
  };
}

async function reached<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (cause) {
    if (cause instanceof ToolError) throw cause;
    consoleLog.error("act not done", { failure: describeFailure(cause) });
    throw new ToolError("unavailable", "It could not be reached, and may be done or not; try again.", { cause });
  }
}

function checked(name: string): string {
  if (isHandleName(name)) return name;
  throw new ToolError("invalid_input", `That is no name; ${HANDLE_RULE}.`);
}

/** A reason is shown in refusals: a line, and not a long one. */
function oneLine(reason: string): string {
  return reason
    .replaceAll(/[\p{Cc}\p{Zl}\p{Zp}\s]+/gu, " ")
    .trim()
    .slice(0, MAX_REASON_CHARS);
}

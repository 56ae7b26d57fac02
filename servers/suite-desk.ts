import { waitUntil } from "cloudflare:workers";
import { DIRECTORY_NAME } from "./account/account-books.ts";
import type { Acts } from "./admin/acts.ts";
import type { Desk, PersonsThings } from "./admin/desk.ts";
import { type HealthBindings, checkHealth } from "./admin/health.ts";
import { sessionNameOf } from "./browser/session-name.ts";
import { consoleLog } from "./core/log.ts";
import { runName } from "./delegate/runs.ts";
import { createFileStore } from "./files/store.ts";
import { sandboxId } from "./sandbox/driver.ts";
import { createSnapshotKeepers } from "./sandbox/snapshot-keepers.ts";
import { ToolError } from "./shared/errors.ts";
import { whyNoAdmins } from "./shared/identity-settings.ts";
import { durationMs } from "./shared/setting-kinds.ts";
import type { Settings } from "./shared/settings.ts";
import { type Bindings, createDriver } from "./suite.ts";

/** What the pages behind the sign-in look at and act on. */
export function createDesk(bindings: Bindings & HealthBindings, settings: Settings, now = () => new Date()): Desk {
  const { ACCOUNT, DIRECTORY } = bindings;
  const account: Desk["account"] = (userId) => ACCOUNT.get(ACCOUNT.idFromName(userId));
  return {
    publicUrl: settings.PUBLIC_URL,
    isBilled: settings.SANDBOX_DRIVER === "container",
    whyNoAdmins: whyNoAdmins(settings),
    now,
    account,
    directory: () => DIRECTORY.get(DIRECTORY.idFromName(DIRECTORY_NAME)),
    filesOf: (userId) => filesOf(bindings, userId),
    thingsOf: (userId) => thingsOf(bindings, settings, userId),
    actsOn: (userId) => actsOn(bindings, settings, userId),
    health: async (userId, origin) =>
      await checkHealth({
        ...{ bindings, settings, userId, origin, now, waitUntil },
        fetch: async (input, init) => await fetch(input, init),
        log: consoleLog,
      }),
  };
}

function filesOf({ FILES, ACCOUNT }: Bindings, userId: string) {
  const account = ACCOUNT.get(ACCOUNT.idFromName(userId));
  return createFileStore(FILES, userId, { account, waitUntil });
}

function sandboxesOf(bindings: Bindings, settings: Settings, userId: string) {
  const keeperOf = createSnapshotKeepers({
    namespace: bindings.SANDBOX_SNAPSHOTS,
    windowMs: durationMs(settings.SNAPSHOT_AFTER),
    told: new Map(),
    waitUntil,
  });
  const driver = createDriver(bindings, settings, keeperOf);
  return (name: string) => driver.open(sandboxId(userId, name), filesOf(bindings, userId));
}

function thingsOf(bindings: Bindings, settings: Settings, userId: string): PersonsThings {
  const { BROWSER_SESSION, DELEGATE_RUN } = bindings;
  return {
    sandbox: sandboxesOf(bindings, settings, userId),
    browser: async (name) => await BROWSER_SESSION.get(BROWSER_SESSION.idFromName(sessionNameOf(userId, name))).look(),
    run: async (id) => await DELEGATE_RUN.get(DELEGATE_RUN.idFromName(runName(userId, id))).report(0, 0),
  };
}

function actsOn(bindings: Bindings, settings: Settings, userId: string): Acts {
  const { BROWSER_SESSION, DELEGATE_RUN } = bindings;
  const sandbox = sandboxesOf(bindings, settings, userId);
  const notYet = async (): Promise<void> => await Promise.reject(new ToolError("unavailable", "Not yet."));
  return {
    snapshot: notYet,
    restart: notYet,
    sleep: notYet,
    reset: async (name) => await sandbox(name).reset(),
    killProcess: async (name, processId) => void (await sandbox(name).signalProcess(processId, "SIGKILL")),
    closeBrowser: async (name) => {
      const session = BROWSER_SESSION.get(BROWSER_SESSION.idFromName(sessionNameOf(userId, name)));
      const closed = await session.close(crypto.randomUUID(), undefined);
      if (!closed.ok) throw new ToolError(closed.code, closed.message);
    },
    cancelRun: async (id) => {
      const report = await DELEGATE_RUN.get(DELEGATE_RUN.idFromName(runName(userId, id))).cancel();
      if (report === undefined) throw new ToolError("not_found", "There is no such run any more.");
    },
  };
}

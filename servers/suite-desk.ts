import { waitUntil } from "cloudflare:workers";
import { withinRole } from "../auth/policy.ts";
import { ALL_SCOPES } from "../auth/scopes.ts";
import type { Desk, PersonsThings } from "./admin/desk.ts";
import { type HealthBindings, checkHealth } from "./admin/health.ts";
import { sessionNameOf } from "./browser/session-name.ts";
import { newGateMemory } from "./core/gate.ts";
import { consoleLog } from "./core/log.ts";
import type { Capabilities } from "./core/tool.ts";
import { runName } from "./delegate/runs.ts";
import { openTerminal } from "./sandbox/terminal.ts";
import { whyNoAdmins } from "./shared/identity-settings.ts";
import { previewSite } from "./shared/preview-site.ts";
import type { Settings } from "./shared/settings.ts";
import { createActs, createRules } from "./suite-acts.ts";
import { type Bindings, createPipeline, directoryOf } from "./suite.ts";

/** What the pages behind the sign-in look at and act on. */
export function createDesk(bindings: Bindings & HealthBindings, settings: Settings, now = () => new Date()): Desk {
  const { ACCOUNT, ASSETS } = bindings;
  const gates = newGateMemory();
  // The person alone decides what is found: pages may look at all that is theirs.
  const capabilitiesOf = (userId: string) => {
    const caller = { userId, role: "reader", scopes: [], clientId: "page" } as const;
    return createPipeline(bindings, settings, caller, { waitUntil }).capabilities;
  };
  return {
    publicUrl: settings.PUBLIC_URL,
    isBilled: settings.SANDBOX_DRIVER === "container",
    whyNoAdmins: whyNoAdmins(settings),
    instanceType: settings.SANDBOX_INSTANCE_TYPE,
    now,
    account: (userId) => ACCOUNT.get(ACCOUNT.idFromName(userId)),
    directory: () => directoryOf(bindings),
    filesOf: (userId) => capabilitiesOf(userId).files,
    thingsOf: (userId) => thingsOf(bindings, settings, userId, capabilitiesOf(userId)),
    actsOn: (userId) => createActs(bindings, settings, userId, waitUntil),
    rules: () => createRules(bindings),
    openTerminal: ({ person: { userId }, role }, order, isStillIn) => {
      const caller = { userId, role, scopes: withinRole(ALL_SCOPES, role), clientId: "page" };
      const pipeline = createPipeline(bindings, settings, caller, { waitUntil, gates });
      const sandbox = pipeline.capabilities.sandbox(order.sandbox);
      return openTerminal({ order, sandbox, pipeline, isStillIn, waitUntil });
    },
    asset: async (path) => await ASSETS.fetch(new URL(path, settings.PUBLIC_URL)),
    health: async (userId, origin) =>
      await checkHealth({
        ...{ bindings, settings, userId, origin, now, waitUntil },
        fetch: async (input, init) => await fetch(input, init),
        log: consoleLog,
      }),
  };
}

function thingsOf(
  { BROWSER_SESSION, DELEGATE_RUN }: Bindings,
  settings: Settings,
  userId: string,
  { sandbox, previews }: Capabilities,
): PersonsThings {
  return {
    sandbox,
    previews: async (name) =>
      previewSite(settings) === undefined ? [] : (await previews.list()).filter((each) => each.sandbox === name),
    browser: async (name) => await BROWSER_SESSION.get(BROWSER_SESSION.idFromName(sessionNameOf(userId, name))).look(),
    run: async (id) => await DELEGATE_RUN.get(DELEGATE_RUN.idFromName(runName(userId, id))).report(0, 0),
  };
}

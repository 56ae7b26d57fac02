import { waitUntil } from "cloudflare:workers";
import type { Books } from "./account/books.ts";
import type { Actor, Desk, PersonsThings } from "./admin/desk.ts";
import { type HealthBindings, checkHealth } from "./admin/health.ts";
import { sessionNameOf } from "./browser/session-name.ts";
import { consoleLog } from "./core/log.ts";
import { runName } from "./delegate/runs.ts";
import { whyNoAdmins } from "./shared/identity-settings.ts";
import type { Settings } from "./shared/settings.ts";
import { type ActsContext, createActs, createDeploymentActs, createPersonActs, recorded } from "./suite-acts.ts";
import { type Bindings, createPipeline, directoryOf } from "./suite.ts";

interface DeskOptions {
  readonly bindings: Bindings & HealthBindings;
  readonly settings: Settings;
  /** The isolate's. */
  readonly books: Books;
  readonly now?: () => Date;
}

/** What the pages behind the sign-in look at and act on. */
export function createDesk({ bindings, settings, books, now = () => new Date() }: DeskOptions): Desk {
  const { ACCOUNT } = bindings;
  const by = (actor: Actor): ActsContext => ({ bindings, settings, actor, books, waitUntil });
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
    thingsOf: (userId) => thingsOf(bindings, userId, capabilitiesOf(userId).sandbox),
    actsOn: (userId, actor) => createActs(by(actor), userId),
    personActs: (userId, actor) => createPersonActs(by(actor), userId),
    deploymentActs: (actor) => createDeploymentActs(by(actor)),
    recorded: async (userId, actor, act, input, work) => await recorded(by(actor), userId, act, input, work),
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
  userId: string,
  sandbox: PersonsThings["sandbox"],
): PersonsThings {
  return {
    sandbox,
    browser: async (name) => await BROWSER_SESSION.get(BROWSER_SESSION.idFromName(sessionNameOf(userId, name))).look(),
    run: async (id) => await DELEGATE_RUN.get(DELEGATE_RUN.idFromName(runName(userId, id))).report(0, 0),
  };
}

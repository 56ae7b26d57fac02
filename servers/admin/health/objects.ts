import type { ClientRegistry } from "../../../auth/client-registry.ts";
import type { UpstreamSession } from "../../../auth/upstream-session.ts";
import type { Account } from "../../account/account.ts";
import type { BrowserSessionObject } from "../../browser/browser-session.ts";
import type { DelegateRunObject } from "../../delegate/run.ts";
import type { SandboxSnapshotsObject } from "../../sandbox/snapshots.ts";
import type { Probe } from "./probe.ts";

export interface ObjectBindings {
  readonly ACCOUNT: DurableObjectNamespace<Account>;
  readonly BROWSER_SESSION: DurableObjectNamespace<BrowserSessionObject>;
  readonly CLIENT_REGISTRY: DurableObjectNamespace<ClientRegistry>;
  readonly DELEGATE_RUN: DurableObjectNamespace<DelegateRunObject>;
  readonly SANDBOX_SNAPSHOTS: DurableObjectNamespace<SandboxSnapshotsObject>;
  readonly UPSTREAM_SESSION: DurableObjectNamespace<UpstreamSession>;
}

/** Nobody's object, and nothing that anybody's object knows. */
const NO_ONE = "health";

/**
 * Has an object of each kind start and answer a question that changes nothing. An account makes its tables as soon as it
 * starts, so that it is the one of whoever asks; of the others that are somebody's, it is one that is nobody's.
 */
export function objectProbes(bindings: ObjectBindings, userId: string): readonly Probe[] {
  const { ACCOUNT, BROWSER_SESSION, CLIENT_REGISTRY, DELEGATE_RUN, SANDBOX_SNAPSHOTS, UPSTREAM_SESSION } = bindings;
  return [
    objectProbe("Account", async () => await ACCOUNT.get(ACCOUNT.idFromName(userId)).findTokenById(NO_ONE)),
    objectProbe(
      "ClientRegistry",
      async () => await CLIENT_REGISTRY.get(CLIENT_REGISTRY.idFromName("clients")).findDocument(NO_ONE),
    ),
    objectProbe("BrowserSession", async () => await nobodys(BROWSER_SESSION).cancel(NO_ONE)),
    objectProbe("DelegateRun", async () => await nobodys(DELEGATE_RUN).requestDigest()),
    objectProbe("SandboxSnapshots", async () => await nobodys(SANDBOX_SNAPSHOTS).describe()),
    objectProbe(
      "UpstreamSession",
      async () => await nobodys(UPSTREAM_SESSION).standing({ maxAgeMs: 0, nowMs: Date.now() }),
    ),
  ];
}

function nobodys<T extends Rpc.DurableObjectBranded>(namespace: DurableObjectNamespace<T>): DurableObjectStub<T> {
  return namespace.get(namespace.idFromName(NO_ONE));
}

export function objectProbe(className: string, ask: () => Promise<unknown>): Probe {
  return {
    name: `Durable Object ${className}`,
    failing: {
      says: "It does not start, or does not answer.",
      todo: `See that wrangler.jsonc binds ${className} and that a migration names it, then deploy again; the Worker's log says more.`,
    },
    run: async () => {
      await ask();
      return { state: "ok", says: "It starts and answers." };
    },
  };
}

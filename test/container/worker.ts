import { getSandbox, type SandboxOptions } from "@cloudflare/sandbox";
import { ContainerEgress } from "../../container/egress.ts";
import type { Sandbox as SandboxObject } from "../../container/sandbox.ts";
import type { Arrival } from "../../servers/inside/arrival.ts";
import { createContainerWorkspaces } from "../../servers/sandbox/container-workspace.ts";
import { createContainerDriver } from "../../servers/sandbox/driver-cloudflare.ts";
import { createSnapshotKeepers, type ToldChanges } from "../../servers/sandbox/snapshot-keepers.ts";
import { type SnapshotBindings, SandboxSnapshotsObject } from "../../servers/sandbox/snapshots.ts";
import type { Workspace } from "../../servers/sandbox/workspace.ts";
import { durationMs } from "../../servers/shared/setting-kinds.ts";
import { parseSettings } from "../../servers/shared/settings.ts";
import { type FilesBindings, serveSandbox, storeOf } from "../support/sandbox-worker.ts";

export { Sandbox } from "../../container/sandbox.ts";
export { Account } from "../../servers/account/account.ts";
export { Directory } from "../../servers/directory/directory.ts";

interface Env extends FilesBindings, SnapshotBindings {
  readonly SANDBOX: DurableObjectNamespace<SandboxObject>;
  readonly SANDBOX_SNAPSHOTS: DurableObjectNamespace<SandboxSnapshots>;
}

export class SandboxSnapshots extends SandboxSnapshotsObject<Env> {
  protected override workspaceOf(sandboxId: string): Workspace {
    return createContainerWorkspaces(this.env.SANDBOX)(sandboxId);
  }
}

/** In the place of the suite, it says which sandbox asked for what. */
export class ContainerProxy extends ContainerEgress {
  protected override async answerInside({ request, sandboxId }: Arrival): Promise<Response> {
    return await Promise.resolve(Response.json({ sandboxId, method: request.method, url: request.url }));
  }
}

/** Where the SDK's own `exec` is answered, as it comes and as Pincer sets it up, in a container of its own. */
const SDK_EXECS: Readonly<Record<string, SandboxOptions>> = {
  "/sdk-exec": {},
  "/sdk-exec-without-session": { enableDefaultSession: false },
};
/** Where Pincer's is, with no more before and behind it. */
const OWN_EXEC = "/exec";
const TRUE = { command: "true", timeoutMs: 30_000, waitMs: 30_000, maxChars: 1_000 };

/** As long as the isolate lives, like the suite's. */
const told: ToldChanges = new Map();

export default {
  async fetch(request: Request, env: Env, ctx: ExecutionContext): Promise<Response> {
    const { pathname } = new URL(request.url);
    const options = SDK_EXECS[pathname];
    if (options !== undefined) {
      return Response.json(await getSandbox(env.SANDBOX, pathname.slice(1), options).exec("true"));
    }
    const person = /^\/usage\/(\w+)$/.exec(pathname)?.[1];
    if (person !== undefined) {
      const query = { fromDay: "2000-01-01", toDay: "2999-12-31", by: "tool" } as const;
      return Response.json(await env.ACCOUNT.get(env.ACCOUNT.idFromName(person)).usage(query));
    }
    const prefix = /^\/snapshots\/(.+)$/.exec(pathname)?.[1];
    if (prefix !== undefined) {
      const { objects } = await env.SNAPSHOTS.list({ prefix });
      return Response.json(objects.map(({ key }) => key));
    }
    const keeperOf = createSnapshotKeepers({
      namespace: env.SANDBOX_SNAPSHOTS,
      windowMs: durationMs(parseSettings(env).SNAPSHOT_AFTER),
      told,
      waitUntil: (work) => ctx.waitUntil(work),
    });
    const driver = createContainerDriver(env.SANDBOX, "standard-1", keeperOf);
    if (pathname === OWN_EXEC) {
      const sandbox = driver.open("exec", storeOf(env, "exec", ctx));
      return Response.json(await sandbox.exec(TRUE, { signal: new AbortController().signal }));
    }
    return await serveSandbox(request, env, driver, ctx, env.SANDBOX_SNAPSHOTS);
  },
};

import { type Auth, createAuth } from "../auth/auth.ts";
import type { AuthEnv } from "../auth/authorization-server.ts";
import type { Caller } from "../auth/caller.ts";
import { ClientRegistry } from "../auth/client-registry.ts";
import { scopeChallenge } from "../auth/resource-server.ts";
import { createDesk } from "./suite-desk.ts";
import { settingsProblem } from "../auth/settings-page.ts";
import { UpstreamSession } from "../auth/upstream-session.ts";
import type { Scope } from "../auth/scopes.ts";
import { ContainerEgress } from "../container/egress.ts";
import { Sandbox } from "../container/sandbox.ts";
import { Account } from "./account/account.ts";
import { createPages } from "./admin/pages.ts";
import type { Books } from "./account/books.ts";
import type { Desk } from "./admin/desk.ts";
import type { HealthBindings } from "./admin/health.ts";
import { BrowserSessionObject } from "./browser/browser-session.ts";
import { CATALOG, ENDPOINTS } from "./catalog.ts";
import { callTool } from "./core/call.ts";
import { type GateMemory, OPEN_GATE, newGateMemory } from "./core/gate.ts";
import { type Origins, preflight, problem, hostOf, refuseStranger, withCors } from "./core/http.ts";
import { consoleLog, describeFailure } from "./core/log.ts";
import type { Tool } from "./core/tool.ts";
import { DelegateRunObject } from "./delegate/run.ts";
import type { HostedRun, RunHost } from "./delegate/host.ts";
import type { ChildRun } from "./delegate/run-end.ts";
import { runName } from "./delegate/runs.ts";
import { DirectoryObject } from "./directory/directory-object.ts";
import { endWork } from "./end-work.ts";
import { serveLink } from "./files/link.ts";
import { type Arrival, readArrival } from "./inside/arrival.ts";
import { mayConnect } from "./inside/browser.ts";
import type { KnownOwners } from "./inside/owners.ts";
import { sandboxId } from "./sandbox/driver.ts";
import { servePreview } from "./sandbox/preview-door.ts";
import type { ToldChanges } from "./sandbox/snapshot-keepers.ts";
import { SandboxSnapshotsObject } from "./sandbox/snapshots.ts";
import type { Workspace } from "./sandbox/workspace.ts";
import { DEFAULT_HANDLE } from "./shared/handles.ts";
import { SHARE_PATH, UPLOAD_PATH } from "./shared/network-policy.ts";
import { previewLabel } from "./shared/preview-site.ts";
import { type Settings, SettingsError, parseSettings } from "./shared/settings.ts";
import {
  type Bindings,
  type PreviewMemory,
  createLinkHost,
  createPipeline,
  createPreviewHost,
  createUpstreamSessions,
  createWorkspaces,
  newPreviewMemory,
} from "./suite.ts";
import { answerInside } from "./suite-inside.ts";
import { answerMcp } from "./suite-mcp.ts";

export { Account, ClientRegistry, Sandbox, UpstreamSession };

type Env = Bindings & AuthEnv & HealthBindings;

/** What is made once per isolate: nothing that one caller could see of another is in it. */
interface Suite {
  readonly settings: Settings;
  readonly origins: Origins;
  readonly desk: Desk;
  readonly auth: Auth;
  readonly books: Books;
  readonly toldChanges: ToldChanges;
  readonly gates: GateMemory;
  readonly owners: KnownOwners;
  readonly previews: PreviewMemory | undefined;
}

const suites = new WeakMap<Env, Suite>();

function suiteOf(env: Env): Suite {
  const known = suites.get(env);
  if (known !== undefined) return known;
  const settings = parseSettings(env);
  const accounts = (userId: string): DurableObjectStub<Account> => env.ACCOUNT.get(env.ACCOUNT.idFromName(userId));
  const upstreamSessions = createUpstreamSessions(env);
  const clients = (): DurableObjectStub<ClientRegistry> =>
    env.CLIENT_REGISTRY.get(env.CLIENT_REGISTRY.idFromName("clients"));
  const desk = createDesk(env, settings);
  const auth = createAuth({
    settings,
    endpoints: ENDPOINTS,
    accounts,
    upstreamSessions,
    clients,
    pages: createPages(desk),
    noteSignIn: async (person) => await desk.directory().notePerson(person, Date.now()),
    log: consoleLog,
  });
  const origins = { publicUrl: new URL(settings.PUBLIC_URL), isLocal: settings.IDENTITY === "local" };
  const suite = {
    ...{ settings, origins, desk, auth, previews: newPreviewMemory(settings) },
    ...{ books: new Map(), toldChanges: new Map(), gates: newGateMemory(), owners: new Map() },
  };
  suites.set(env, suite);
  return suite;
}

/** A run's tools are the suite's own, called the way clients call them. */
export class DelegateRun extends DelegateRunObject<Env> {
  protected override suiteTools(): readonly Tool[] {
    return CATALOG.flatMap(({ tools }) => tools);
  }

  protected override hostOf(run: HostedRun): RunHost {
    const { caller } = run;
    const waitUntil = (work: Promise<unknown>): void => this.ctx.waitUntil(work);
    const { auth, settings, gates } = suiteOf(this.env);
    const pipeline = createPipeline(this.env, settings, caller, { waitUntil, gates, run });
    const { sandbox, files } = pipeline.capabilities;
    const callers = createPipeline(this.env, settings, caller, { waitUntil }).capabilities;
    const reportProgress = (): undefined => undefined;
    return {
      callTool: async (tool, input, signal) => await callTool(tool, input, pipeline, { signal, reportProgress }),
      endWith: async (tool, input) => {
        const watch = { signal: new AbortController().signal, reportProgress };
        return await callTool(tool, input, { ...pipeline, gate: OPEN_GATE }, watch);
      },
      checkStanding: async () => await pipeline.gate.check(),
      files,
      account: this.env.ACCOUNT.get(this.env.ACCOUNT.idFromName(caller.userId)),
      scopesNow: async () => await auth.scopesNow(caller, this.env),
      forkSandbox: async () => await callers.sandbox(run.forkOf).fork(sandboxId(caller.userId, run.sandbox)),
      discardSandbox: async () => await sandbox(DEFAULT_HANDLE).discard(),
    };
  }

  protected override childRun({ userId }: Caller, runId: string): ChildRun {
    return this.env.DELEGATE_RUN.get(this.env.DELEGATE_RUN.idFromName(runName(userId, runId)));
  }
}

/** Programs in a sandbox go on with a browser for as long as its owner may. */
export class BrowserSession extends BrowserSessionObject<Env> {
  protected override async mayConnect(userId: string): Promise<boolean> {
    const standing = await suiteOf(this.env).auth.insideNow(userId, this.env);
    return standing !== undefined && mayConnect(standing.scopes);
  }
}

/** What paused people have going is ended through the suite's own capabilities. */
export class Directory extends DirectoryObject<Env> {
  protected override async endWork(userId: string, isEverybodyPaused: boolean): Promise<void> {
    const waitUntil = (work: Promise<unknown>): void => this.ctx.waitUntil(work);
    await endWork(this.env, suiteOf(this.env).settings, { userId, isEverybodyPaused, waitUntil });
  }
}

/** Snapshots are taken of what the suite's driver runs. */
export class SandboxSnapshots extends SandboxSnapshotsObject<Env> {
  protected override workspaceOf(sandboxId: string): Workspace {
    return createWorkspaces(this.env, parseSettings(this.env))(sandboxId);
  }
}

/** What leaves a container for the suite itself comes back as its owner's. The platform finds it by this name. */
export class ContainerProxy extends ContainerEgress {
  declare protected env: Cloudflare.Env & Env;

  protected override async answerInside(arrival: Arrival): Promise<Response> {
    const waitUntil = (work: Promise<unknown>): void => this.ctx.waitUntil(work);
    return await answerInside(arrival, this.env, { ...suiteOf(this.env), waitUntil });
  }
}

export default {
  fetch: async (request, env, ctx) => {
    try {
      return await route(request, env, ctx, suiteOf(env));
    } catch (failure) {
      if (failure instanceof SettingsError) return settingsProblem(request, failure);
      const reference = crypto.randomUUID();
      consoleLog.error("request broke", { reference, failure: describeFailure(failure) });
      return problem(500, `Something broke in Pincer; tell whoever runs it the reference ${reference}.`);
    }
  },
} satisfies ExportedHandler<Env>;

async function route(request: Request, env: Env, ctx: ExecutionContext, suite: Suite): Promise<Response> {
  const { settings, origins, desk, auth, books, toldChanges, gates, previews } = suite;
  const waitUntil = (work: Promise<unknown>): void => ctx.waitUntil(work);
  const arrival = await readArrival(request, settings.LOCAL_INSIDE_SECRET);
  if (arrival !== undefined) return await answerInside(arrival, env, { ...suite, waitUntil });
  const label = previewLabel(hostOf(request), previews?.site);
  if (previews !== undefined && label !== undefined) {
    return await answerPreview(label, request, env, ctx, { ...suite, previews });
  }
  const refused = refuseStranger(request, origins);
  if (refused !== undefined) return refused;
  const { pathname } = new URL(request.url);
  if (pathname.startsWith(SHARE_PATH) || pathname.startsWith(UPLOAD_PATH)) {
    const watch = {
      ...{ books, gates, waitUntil },
      isLetIn: async (userId: string, scopes: readonly Scope[]) => await auth.isLetIn(userId, scopes, env),
    };
    return await serveLink(request, createLinkHost(env, settings, watch));
  }
  if (ENDPOINTS.includes(pathname)) {
    if (request.method === "OPTIONS") return preflight(request);
    return withCors(
      await auth.guard(pathname, request, env, ctx, async (guarded, caller, facts) => {
        const pipeline = createPipeline(env, settings, caller, { books, toldChanges, gates, waitUntil });
        const challenge = (needed: readonly Scope[]): Response => scopeChallenge(caller, needed, facts);
        return await answerMcp(guarded, pathname, pipeline, challenge);
      }),
      request,
    );
  }
  if (isProgramAtHealth(request)) {
    const { origin } = new URL(request.url);
    return await auth.guardAdmin(request, ctx, async (userId) =>
      Response.json(await desk.health(userId, origin), { headers: { "Cache-Control": "no-store" } }),
    );
  }
  const signedIn = await auth.routes(request, env, ctx);
  if (signedIn !== undefined) return signedIn;
  if (pathname === "/health") return Response.json({ ok: true });
  return problem(404, `There is nothing at ${pathname}; MCP clients connect to ${settings.PUBLIC_URL}/mcp.`);
}

/** Programs may ask at `/health` as well, which no Access application stands in front of. */
function isProgramAtHealth({ method, headers, url }: Request): boolean {
  const { pathname } = new URL(url);
  return (
    ["GET", "HEAD"].includes(method) && headers.has("Authorization") && ["/health", "/admin/health"].includes(pathname)
  );
}

/** What runs in a sandbox, at an origin where nothing else of the suite answers. */
async function answerPreview(
  label: string,
  request: Request,
  env: Env,
  ctx: ExecutionContext,
  { settings, auth, gates, toldChanges, previews }: Suite & { readonly previews: PreviewMemory },
): Promise<Response> {
  const host = createPreviewHost(env, settings, {
    ...{ gates, toldChanges, memory: previews },
    waitUntil: (work) => ctx.waitUntil(work),
    isLetIn: async (userId, scopes) => await auth.isLetIn(userId, scopes, env),
  });
  return await servePreview(request, label, host);
}

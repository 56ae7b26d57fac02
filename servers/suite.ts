import type { UpstreamSessions } from "../auth/access-oidc.ts";
import type { Caller } from "../auth/caller.ts";
import type { UpstreamSession } from "../auth/upstream-session.ts";
import type { ClientRegistry } from "../auth/client-registry.ts";
import { createPreviewLabels } from "../auth/preview-label.ts";
import type { Sandbox as SandboxObject } from "../container/sandbox.ts";
import type { Account } from "./account/account.ts";
import { type Books, createRecorder } from "./account/books.ts";
import type { BrowserSessionObject } from "./browser/browser-session.ts";
import { createBrowserSessions } from "./browser/remote-browser.ts";
import { DIRECTORY_NAME } from "./account/account-books.ts";
import { callNanoUsd } from "./account/prices.ts";
import { createArtifacts } from "./core/artifacts.ts";
import type { CallPipeline } from "./core/call.ts";
import { type Gate, type GateMemory, createGate, newGateMemory } from "./core/gate.ts";
import { readUsage } from "./core/usage-report.ts";
import { consoleLog } from "./core/log.ts";
import type { HostedRun } from "./delegate/host.ts";
import type { DelegateRunObject } from "./delegate/run.ts";
import { createDelegateRuns } from "./delegate/runs.ts";
import type { DirectoryObject } from "./directory/directory-object.ts";
import type { LinkHost } from "./files/link.ts";
import { type LinkSettings, createShareLinks } from "./files/share-link.ts";
import { noteWrites } from "./files/note-writes.ts";
import { createFileStore } from "./files/store.ts";
import { createContainerWorkspaces } from "./sandbox/container-workspace.ts";
import { createContainerDriver } from "./sandbox/driver-cloudflare.ts";
import { createLocalDriver } from "./sandbox/driver-local.ts";
import { type Sandbox, type SandboxDriver, sandboxId } from "./sandbox/driver.ts";
import type { LocalRuntimeSettings } from "./sandbox/local-runtime.ts";
import { createLocalWorkspaces } from "./sandbox/local-workspace.ts";
import type { PreviewHost } from "./sandbox/preview-door.ts";
import { createPasses } from "./sandbox/preview-pass.ts";
import { createPreviews } from "./sandbox/previews.ts";
import { createSnapshotKeepers, type ToldChanges } from "./sandbox/snapshot-keepers.ts";
import type { SandboxSnapshotsObject } from "./sandbox/snapshots.ts";
import type { SnapshotKeeper, Workspace } from "./sandbox/workspace.ts";
import { ToolError } from "./shared/errors.ts";
import { DEFAULT_HANDLE } from "./shared/handles.ts";
import { previewSite } from "./shared/preview-site.ts";
import { durationMs } from "./shared/setting-kinds.ts";
import { type Settings, SettingsError } from "./shared/settings.ts";

/** The Cloudflare resources that the suite acts on. */
export interface Bindings {
  /** The static assets of the deployment. */
  readonly ASSETS: Fetcher;
  readonly FILES: R2Bucket;
  readonly ACCOUNT: DurableObjectNamespace<Account>;
  readonly CLIENT_REGISTRY: DurableObjectNamespace<ClientRegistry>;
  readonly DIRECTORY: DurableObjectNamespace<DirectoryObject>;
  readonly SANDBOX: DurableObjectNamespace<SandboxObject>;
  readonly SNAPSHOTS: R2Bucket;
  readonly SANDBOX_SNAPSHOTS: DurableObjectNamespace<SandboxSnapshotsObject>;
  readonly BROWSER_SESSION: DurableObjectNamespace<BrowserSessionObject>;
  readonly DELEGATE_RUN: DurableObjectNamespace<DelegateRunObject>;
  readonly UPSTREAM_SESSION: DurableObjectNamespace<UpstreamSession>;
}

export interface RequestWatch {
  readonly waitUntil: (work: Promise<unknown>) => void;
  /** The isolate's; calls of this pipeline alone share writes where absent. */
  readonly books?: Books;
  /** The isolate's, as well. */
  readonly toldChanges?: ToldChanges;
  readonly gates?: GateMemory;
  /** The delegated run on whose behalf the calls are made. */
  readonly run?: HostedRun;
}

/** Everything that a caller's tools act on, bound to that caller: keys and ids come from `caller.userId` alone. */
export function createPipeline(
  bindings: Bindings,
  settings: Settings,
  caller: Caller,
  { waitUntil, books = new Map(), toldChanges = new Map(), gates = newGateMemory(), run }: RequestWatch,
): CallPipeline {
  const { userId } = caller;
  const driver = createDriver(bindings, settings, keepersOf(bindings, settings, { waitUntil, toldChanges }));
  const links = linkSettings(settings);
  const account = bindings.ACCOUNT.get(bindings.ACCOUNT.idFromName(userId));
  const files = noteWrites(createFileStore(bindings.FILES, userId, { account, waitUntil }), run?.onFile);
  const isBilled = settings.SANDBOX_DRIVER === "container";
  const sandbox = (name: string): Sandbox => driver.open(sandboxId(userId, sandboxName(name, run)), files);
  return {
    caller,
    log: consoleLog,
    gate: createPersonGate(bindings, settings, { ...caller, gates, waitUntil }),
    callNanoUsd: callNanoUsd(isBilled),
    readUsage: async () => await readUsage(caller, settings, account, directoryOf(bindings)),
    capabilities: {
      files,
      artifacts: createArtifacts(files, links.now),
      shareLinks: createShareLinks(userId, files, account, links),
      sandbox,
      previews: createPreviews({
        ...{ userId, account },
        site: previewSite(settings),
        labels: createPreviewLabels(settings.SIGNING_SECRET),
        sandbox: (name) => sandbox(previewedName(name, run)),
        now: links.now,
      }),
      browsers: createBrowserSessions(bindings.BROWSER_SESSION, userId),
      delegates: createDelegateRuns({
        namespace: bindings.DELEGATE_RUN,
        caller,
        settings,
        account,
        files,
        waitUntil,
        ...(run === undefined ? {} : { parent: run.asParent }),
      }),
    },
    record: createRecorder(books, {
      account,
      userId,
      clientId: caller.clientId,
      isBilled,
      waitUntil,
      log: consoleLog,
      ...(run === undefined ? {} : { parentRunId: run.runId, isSandboxPassing: run.sandbox !== DEFAULT_HANDLE }),
    }),
  };
}

/** The one object that knows everybody. */
export function directoryOf({ DIRECTORY }: Pick<Bindings, "DIRECTORY">): DurableObjectStub<DirectoryObject> {
  return DIRECTORY.get(DIRECTORY.idFromName(DIRECTORY_NAME));
}

/** Where it is decided whether a person may go on; one without a role is stopped by a pause alone. */
function createPersonGate(
  bindings: Bindings,
  { PUBLIC_URL }: Settings,
  {
    userId,
    role,
    gates,
    waitUntil,
  }: Pick<Caller, "userId"> & Partial<Pick<Caller, "role">> & Required<Pick<RequestWatch, "gates" | "waitUntil">>,
): Gate {
  // Most calls ask nobody.
  const account = (): DurableObjectStub<Account> => bindings.ACCOUNT.get(bindings.ACCOUNT.idFromName(userId));
  return createGate({
    userId,
    ...(role === undefined ? {} : { role }),
    publicUrl: PUBLIC_URL,
    memory: gates,
    waitUntil,
    source: {
      policy: async () => await directoryOf(bindings).policy(),
      standing: async (isolate, inFlight) => await account().standingAtGate(isolate, inFlight),
      setRoleStorage: async (storageMb) => await account().setRoleStorage(storageMb),
    },
  });
}

/** A run that has a sandbox of its own has that one alone, under the name that its caller's main one goes by. */
function sandboxName(name: string, run: HostedRun | undefined): string {
  if (run === undefined || run.sandbox === DEFAULT_HANDLE) return name;
  if (name === DEFAULT_HANDLE) return run.sandbox;
  throw new ToolError("invalid_input", "This run has one sandbox, a copy of its caller's; leave sandbox out.");
}

/** A run's own sandbox goes with the run, and what it exposed would lead to an empty one. */
function previewedName(name: string, run: HostedRun | undefined): string {
  if (run === undefined || run.sandbox === DEFAULT_HANDLE) return name;
  throw new ToolError(
    "invalid_input",
    "This run's sandbox ends with it; copy the work to its caller's and expose that.",
  );
}

/** Each grant's session at the upstream provider; like all else, one that is found by its person alone. */
export function createUpstreamSessions({ UPSTREAM_SESSION: namespace }: Bindings): UpstreamSessions {
  return (userId, sessionId) => namespace.get(namespace.idFromName(`${userId}/upstream/${sessionId}`));
}

/** What links act on, whoever's they are. */
export function createLinkHost(
  bindings: Bindings,
  settings: Settings,
  {
    waitUntil,
    books = new Map(),
    gates = newGateMemory(),
    isLetIn,
  }: Omit<RequestWatch, "run"> & Pick<LinkHost, "isLetIn">,
): LinkHost {
  const accountOf: LinkHost["accountOf"] = (userId) => bindings.ACCOUNT.get(bindings.ACCOUNT.idFromName(userId));
  return {
    ...linkSettings(settings),
    bucket: bindings.FILES,
    log: consoleLog,
    waitUntil,
    isLetIn,
    filesOf: (userId) => createFileStore(bindings.FILES, userId, { account: accountOf(userId), waitUntil }),
    accountOf,
    gateOf: (userId) => createPersonGate(bindings, settings, { userId, gates, waitUntil }),
    recorderOf: ({ userId, clientId }) =>
      createRecorder(books, {
        account: accountOf(userId),
        userId,
        clientId,
        isBilled: settings.SANDBOX_DRIVER === "container",
        waitUntil,
        log: consoleLog,
      }),
  };
}

/** What previews need of an isolate that keeps it; nothing where the settings name no place for them. */
export type PreviewMemory = Pick<PreviewHost, "site" | "known" | "labels" | "passes">;

export function newPreviewMemory(settings: Settings): PreviewMemory | undefined {
  const site = previewSite(settings);
  if (site === undefined) return undefined;
  const { SIGNING_SECRET: secret } = settings;
  return { site, known: new Map(), labels: createPreviewLabels(secret), passes: createPasses(secret) };
}

/** What previews act on, whoever's they are. */
export function createPreviewHost(
  bindings: Bindings,
  settings: Settings,
  {
    memory,
    isLetIn,
    waitUntil,
    gates = newGateMemory(),
    toldChanges = new Map(),
  }: Omit<RequestWatch, "run" | "books"> & Pick<PreviewHost, "isLetIn"> & { readonly memory: PreviewMemory },
): PreviewHost {
  const accountOf: LinkHost["accountOf"] = (userId) => bindings.ACCOUNT.get(bindings.ACCOUNT.idFromName(userId));
  const driver = createDriver(bindings, settings, keepersOf(bindings, settings, { waitUntil, toldChanges }));
  return {
    ...{ ...memory, isLetIn, waitUntil, accountOf },
    publicUrl: settings.PUBLIC_URL,
    answersWithinMs: 30_000,
    now: () => new Date(),
    sandboxOf: (userId, name) =>
      driver.open(
        sandboxId(userId, name),
        createFileStore(bindings.FILES, userId, { account: accountOf(userId), waitUntil }),
      ),
    gateOf: (userId) => createPersonGate(bindings, settings, { userId, gates, waitUntil }),
  };
}

function keepersOf(
  bindings: Bindings,
  settings: Settings,
  { waitUntil, toldChanges }: Required<Pick<RequestWatch, "waitUntil" | "toldChanges">>,
): (sandboxId: string) => SnapshotKeeper {
  return createSnapshotKeepers({
    namespace: bindings.SANDBOX_SNAPSHOTS,
    windowMs: durationMs(settings.SNAPSHOT_AFTER),
    told: toldChanges,
    waitUntil,
  });
}

function linkSettings(settings: Settings): LinkSettings {
  return { publicUrl: settings.PUBLIC_URL, signingSecret: settings.SIGNING_SECRET, now: () => new Date() };
}

/** The driver that the settings name. */
function createDriver(
  bindings: Bindings,
  settings: Settings,
  keeperOf: (sandboxId: string) => SnapshotKeeper,
): SandboxDriver {
  if (settings.SANDBOX_DRIVER === "container") {
    return createContainerDriver(bindings.SANDBOX, settings.SANDBOX_INSTANCE_TYPE, keeperOf);
  }
  return createLocalDriver(localRuntime(settings), (input, init) => fetch(input, init), keeperOf);
}

/** What that driver's sandboxes hold, for their snapshots. */
export function createWorkspaces(
  bindings: Pick<Bindings, "SANDBOX">,
  settings: Settings,
): (sandboxId: string) => Workspace {
  if (settings.SANDBOX_DRIVER === "container") return createContainerWorkspaces(bindings.SANDBOX);
  return createLocalWorkspaces(localRuntime(settings), (input, init) => fetch(input, init));
}

function localRuntime({ LOCAL_RUNTIME_URL: runtimeUrl, LOCAL_RUNTIME_SECRET: secret }: Settings): LocalRuntimeSettings {
  if (runtimeUrl === undefined || secret === undefined) {
    throw new SettingsError(["LOCAL_RUNTIME_URL and LOCAL_RUNTIME_SECRET are missing; npm start sets them."]);
  }
  return { runtimeUrl, secret };
}

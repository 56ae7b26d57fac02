import { Sandbox as SdkSandbox } from "@cloudflare/sandbox";
import { consoleLog, describeFailure } from "../servers/core/log.ts";
import { parseSettings } from "../servers/shared/settings.ts";
import { refuse } from "./egress.ts";
import { ContainerPorts } from "./ports.ts";
import { Refusals, withRefusals } from "./mount/refusals.ts";
import { FILES_BINDING, S3FS_OPTIONS } from "./mount/serve.ts";
import { wake } from "./waking.ts";
import { type Books, ContainerTime, readRunTime, RUN_TIME_KEY } from "./run-time.ts";

/** As much of `SandboxSnapshots` as a container that is about to sleep asks. */
interface Saver extends Rpc.DurableObjectBranded {
  saveBeforeSleep(): Promise<boolean>;
}

interface Env {
  readonly ACCOUNT: DurableObjectNamespace<Books>;
  readonly SANDBOX_SNAPSHOTS: DurableObjectNamespace<Saver>;
}

/** What the programs of `container/guest` are started with, inside. */
const GUEST = "python3 -ESs /opt/pincer";
/** Where `serve.py` listens. Not at loopback alone, since the platform comes from outside; the image exposes it. */
const GUEST_PORT = 3777;
/** How long a call may wait for its program to begin. */
const BEGINS_WITHIN_MS = 30_000;
/** Programs that look on: whoever asks them every few seconds keeps no container awake. */
const ONLOOKERS: ReadonlySet<string> = new Set(["list", "contexts", "status", "look", "save", "port"]);
const SECRET_KEY = "pincer:guest-secret";
const ID_KEY = "pincer:sandbox-id";
/** How often a container that should sleep stays awake since its workspace could not be saved. */
const MAX_UNSAVED_TIMES = 4;
const SETTLE_AGAIN_S = 60;
export const FILES_AT = "/workspace/files";

/** Refused by the platform's own list too, before any code of ours is asked. */
const NEVER_ALLOWED = ["169.254.*", "fd00:ec2::*", "100.100.100.200", "metadata.google.internal", "metadata.goog"];

export interface Lifecycle {
  readonly state: "running" | "asleep" | "starting";
  readonly startedAtMs?: number;
  /** All the time that it has ever run. */
  readonly ranMs: number;
}

/** One caller's container: without internet but for the hosts that the operator lists, asleep when nothing runs. */
export class Sandbox extends SdkSandbox<Env> {
  /** The SDK finds a running container's handlers by it, in the next deployment too: it must outlive the minifier. */
  static override readonly name = "Sandbox";
  override enableInternet = false;
  override deniedHosts = NEVER_ALLOWED;
  override labels = { product: "pincer" };
  #mounting: Promise<void> | undefined;
  #serving: Promise<void> | undefined;
  readonly #refusals = new Refusals();
  #lastUseMs = 0;
  #unsavedTimes = 0;
  readonly #time: ContainerTime;
  readonly #ports: ContainerPorts;

  static {
    // The SDK registers the mount's handler while mounting only. Where its name is unknown when this object starts
    // again beside a running container, the mount is cut off; what the name stands for is never called.
    this.outboundHandlers = { r2EgressMount: () => refuse("The files are not mounted.") };
  }

  constructor(ctx: DurableObjectState<{}>, env: Env) {
    super(ctx, env);
    const settings = parseSettings(env);
    this.sleepAfter = settings.SANDBOX_SLEEP_AFTER;
    // Without it a listed host can be reached by http alone; with it the container waits for Cloudflare's CA.
    this.interceptHttps = settings.ALLOWED_HOSTS.length > 0;
    this.#ports = new ContainerPorts(
      () => ctx.container,
      () => this.renewActivityTimeout(),
    );
    this.#time = new ContainerTime(ctx.storage.kv, settings.SANDBOX_INSTANCE_TYPE, (userId) =>
      env.ACCOUNT.get(env.ACCOUNT.idFromName(userId)),
    );
  }

  /** Shows what the bucket holds under `prefix` at `FILES_AT`; a mount that broke is made anew. */
  async mountFiles(prefix: string): Promise<void> {
    this.#mounting ??= this.#mount(prefix).finally(() => (this.#mounting = undefined));
    await this.#mounting;
  }

  /** The files are missing where the container has just woken, and its workspace is restored by then. */
  async #mount(prefix: string): Promise<void> {
    const options = { prefix: `/${prefix}`, s3fsOptions: S3FS_OPTIONS };
    try {
      await this.mountBucket(FILES_BINDING, FILES_AT, options);
    } catch {
      // The SDK refuses what it believes to be mounted, and believes it no longer once it has refused.
      await this.mountBucket(FILES_BINDING, FILES_AT, options);
    }
    this.ctx.waitUntil(wake(async (command) => await this.callGuest("run", command)));
  }

  /**
   * Runs a program of `container/guest`: its frames are the answer's body. The container is started where it does not
   * run, and the server in it where that is gone. 502 where something else is in the server's place. With a `mark`, a
   * last frame that carries it tells what was refused to the container's programs in the caller's files.
   */
  async callGuest(program: string, request: string, mark?: string): Promise<Response> {
    await this.#serving;
    if (!ONLOOKERS.has(program)) {
      this.#lastUseMs = Date.now();
      this.renewActivityTimeout();
    }
    const answer = await this.#askGuest(program, request);
    if (mark === undefined || answer.body === null) return answer;
    return new Response(withRefusals(answer.body, this.#refusals, mark), answer);
  }

  /** As `callGuest`, for onlookers; nothing where the container does not run. */
  async callAwakeGuest(program: string, request: string): Promise<Response | undefined> {
    return this.ctx.container?.running === true ? await this.callGuest(program, request) : undefined;
  }

  /** Asks the guest whether a snapshot may come, or says that there is none. Snapshots are kept of it under that id. */
  async beginRestore(sandboxId: string, hasSnapshot: boolean): Promise<Response> {
    this.ctx.storage.kv.put(ID_KEY, sandboxId);
    this.#time.noteOwner(sandboxId);
    return await this.callGuest("begin", JSON.stringify({ hasSnapshot }));
  }

  /** Whose sandbox this is; nothing before it was first restored, which is before anything runs in it. */
  async sandboxId(): Promise<string | undefined> {
    const kept = await Promise.resolve(this.ctx.storage.kv.get(ID_KEY));
    return typeof kept === "string" ? kept : undefined;
  }

  /** Gives the guest a snapshot. Its frames tell what came of it, where all of it arrived. */
  async restoreGuest(snapshot: ReadableStream, sizeBytes: number): Promise<Response> {
    const { readable, writable } = new FixedLengthStream(sizeBytes);
    const piped = snapshot.pipeTo(writable);
    // What breaks the one breaks the other.
    piped.catch(() => undefined);
    const answer = await this.#sendGuest("restore", readable);
    if (answer === undefined) throw new Error("The guest did not take the snapshot.");
    return answer;
  }

  /** What the driver asks a port for; all else is the SDK's. */
  override async fetch(request: Request): Promise<Response> {
    return (await this.#ports.fetch(request)) ?? (await super.fetch(request));
  }

  /** Ends all that is connected to that port from outside. */
  async hangUp(port: number): Promise<void> {
    await Promise.resolve(this.#ports.hangUp(port));
  }

  async #askGuest(program: string, request: string): Promise<Response> {
    const answer = await this.#sendGuest(program, request);
    if (answer !== undefined) return answer;
    this.#serving ??= this.#serveGuest().finally(() => (this.#serving = undefined));
    await this.#serving;
    return (await this.#sendGuest(program, request)) ?? new Response(null, { status: 502 });
  }

  /**
   * Nothing where no server of ours answers: nothing has begun then, since `answer.py` begins nothing for a connection
   * that was closed meanwhile, and it may be asked again. Past the SDK's own `containerFetch`, which starts what does not run and waits for this port, and counts every request as use. What it
   * counts beyond that, requests that are still open, `busy.py` knows.
   */
  async #sendGuest(program: string, body: string | ReadableStream): Promise<Response | undefined> {
    const container = this.ctx.container;
    if (container?.running !== true) return undefined;
    const abort = new AbortController();
    // What takes a stream answers when it has all of it.
    const timer = typeof body === "string" ? setTimeout(() => abort.abort(), BEGINS_WITHIN_MS) : undefined;
    const url = `http://localhost/${program}`;
    const init = { method: "POST", headers: { authorization: this.#guestSecret() }, body, signal: abort.signal };
    try {
      const answer = await container.getTcpPort(GUEST_PORT).fetch(url, init);
      if (answer.headers.get("server") === "pincer") return answer;
      await answer.body?.cancel();
    } catch {
      // Nobody listens, or what does is no server: the same.
    } finally {
      clearTimeout(timer);
    }
    return undefined;
  }

  /** The server outlives the program that is awaited here. */
  async #serveGuest(): Promise<void> {
    const env = { PINCER_SECRET: this.#guestSecret() };
    const { exitCode, stderr } = await this.exec(`${GUEST}/serve.py ${GUEST_PORT}`, { env });
    if (exitCode !== 0) throw new Error(stderr.slice(-2_000));
  }

  /** Kept, since this object may be evicted beside a container that goes on. */
  #guestSecret(): string {
    const kept = this.ctx.storage.kv.get(SECRET_KEY);
    if (typeof kept === "string") return kept;
    const made = crypto.randomUUID();
    this.ctx.storage.kv.put(SECRET_KEY, made);
    return made;
  }

  /** Where the container is in its life; asking does not start it. */
  async lifecycle(): Promise<Lifecycle> {
    this.#noteRunning();
    const { pastMs, startedAtMs } = readRunTime(this.ctx.storage.kv);
    if (startedAtMs === undefined) return { state: "asleep", ranMs: pastMs };
    const { status } = await this.getState();
    const state = status === "healthy" ? "running" : "starting";
    return { state, startedAtMs, ranMs: pastMs + Math.max(0, Date.now() - startedAtMs) };
  }

  /** Called for the mount's proxy where it refuses something; the call in which it happens tells of it. */
  async noteRefusal(path: string, reason: string): Promise<void> {
    await Promise.resolve(this.#refusals.note(path, reason));
  }

  /** Ends the container where there is one: the SDK would start it to unmount what is mounted no longer. */
  async end(): Promise<void> {
    if (this.ctx.container?.running === true) await this.destroy();
  }

  /** Ends the container where there is one, and forgets what belongs to it: the next is another sandbox's. */
  async forget(): Promise<void> {
    await this.end();
    for (const key of [SECRET_KEY, ID_KEY, RUN_TIME_KEY]) this.ctx.storage.kv.delete(key);
  }

  #noteRunning(isRunning = this.ctx.container?.running === true): void {
    this.#time.noteRunning(this.ctx.id.toString(), isRunning, Date.now());
  }

  /** Puts the time that it has run into its person's books, or does so in a while. */
  async settleTime(): Promise<void> {
    try {
      await this.#time.settle(Date.now());
    } catch (failure) {
      consoleLog.error("container time not settled", { failure: describeFailure(failure) });
      // While it runs, the alarm comes anyway.
      if (this.ctx.container?.running !== true) await this.schedule(SETTLE_AGAIN_S, "settleTime");
    }
  }

  override async onStart(): Promise<void> {
    this.#noteRunning();
    await super.onStart();
  }

  override async onStop(...params: Parameters<SdkSandbox<Env>["onStop"]>): Promise<void> {
    this.#noteRunning(false);
    await this.settleTime();
    await super.onStop(...params);
  }

  override async destroy(): Promise<void> {
    await super.destroy();
    this.#noteRunning(false);
    await this.settleTime();
  }

  /** Comes every few minutes while the container runs, and once it has ended, of which `onStop` does not always tell. */
  override async alarm(info?: AlarmInvocationInfo): Promise<void> {
    this.#noteRunning();
    await super.alarm(info);
    this.#noteRunning();
    await this.settleTime();
  }

  /** A command that still runs has until its timeout, whether anybody calls or not. What is on the disk is saved first. */
  override async onActivityExpired(): Promise<void> {
    if (await this.#isBusy()) return;
    const beganMs = Date.now();
    if (!(await this.#isSaved()) && ++this.#unsavedTimes < MAX_UNSAVED_TIMES) return;
    // Somebody came meanwhile.
    if (this.#lastUseMs >= beganMs || (await this.#isBusy())) return;
    this.#unsavedTimes = 0;
    await super.onActivityExpired();
  }

  async #isBusy(): Promise<boolean> {
    if (this.#ports.isInUse) return true;
    const { exitCode } = await this.exec(`${GUEST}/busy.py`);
    return exitCode === 0;
  }

  async #isSaved(): Promise<boolean> {
    const sandboxId = await this.sandboxId();
    // Nothing has run in it before it was restored.
    if (sandboxId === undefined) return true;
    const saver = this.env.SANDBOX_SNAPSHOTS.get(this.env.SANDBOX_SNAPSHOTS.idFromName(sandboxId));
    return await saver.saveBeforeSleep().catch(() => false);
  }
}

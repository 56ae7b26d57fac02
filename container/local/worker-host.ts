import { createRequire } from "node:module";
import path from "node:path";
import { Log, LogLevel, Miniflare, type V4WorkerOptions, convertV4MiniflareOptions } from "miniflare";
import * as z from "zod";
import { newSecret } from "./launch-data.ts";
import { LaunchProblem } from "./launch-problem.ts";
import type { SuiteLog } from "./launch-log.ts";
import type { Listening } from "./launch-port.ts";

export interface WorkerHostOptions {
  readonly worker: V4WorkerOptions;
  /** Settings on top of the `vars` of wrangler.jsonc. */
  readonly settings: Readonly<Record<string, string>>;
  readonly listening: Listening;
  /** Keeps R2, KV and the Durable Objects. */
  readonly stateDir: string;
  /** Environment of workerd and of what Miniflare starts. */
  readonly env: Readonly<Record<string, string>>;
  readonly hasBrowser: boolean;
  readonly log: SuiteLog;
}

export interface WorkerHost {
  close(): Promise<void>;
}

/**
 * Runs the Worker in workerd. Clients reach it directly: Miniflare's own door, a proxy that costs more than the call,
 * stays behind a secret.
 */
export async function startWorker(options: WorkerHostOptions): Promise<WorkerHost> {
  Object.assign(process.env, options.env, {
    PINCER_WORKERD: workerdSchema.parse(createRequire(import.meta.url)("workerd")).default,
    MINIFLARE_WORKERD_PATH: path.join(import.meta.dirname, "worker-host.sh"),
    // No request to Cloudflare for the facts about a client's place.
    CLOUDFLARE_CF_FETCH_ENABLED: "false",
  });
  const { worker, listening, log } = options;
  const miniflare = new Miniflare(
    convertV4MiniflareOptions({
      log: new FileLog(log),
      handleStructuredLogs: ({ level, message }) => log.write(`worker ${level}`, message),
      telemetry: { enabled: false },
      cf: false,
      logRequests: false,
      host: "127.0.0.1",
      port: 0,
      unsafeProxySharedSecret: newSecret(),
      resourcePersistencePath: options.stateDir,
      workers: [withSettings(worker, options), ...listening.addresses.map((address, index) => door(address, index, listening.port))],
    }),
  );
  try {
    await miniflare.ready;
  } catch (cause) {
    await miniflare.dispose().catch(() => undefined);
    log.write("launcher", String(cause));
    throw new LaunchProblem(`The Worker did not start in workerd; ${log.file} says why.`, { cause });
  }
  return { close: async () => await miniflare.dispose() };
}

/** The package has no types; its default export is where the program is. */
const workerdSchema = z.object({ default: z.string() });

const WORKER_NAME = "pincer";

function withSettings(worker: V4WorkerOptions, { settings, hasBrowser }: WorkerHostOptions): V4WorkerOptions {
  const { browserRendering, ...others } = worker;
  return {
    ...others,
    name: WORKER_NAME,
    bindings: { ...worker.bindings, ...settings },
    // Without a Chrome of ours, Miniflare would fetch one from the internet.
    ...(hasBrowser && browserRendering !== undefined ? { browserRendering } : {}),
  };
}

/** Miniflare allows one direct socket per Worker: each address has a Worker of its own that only lends its socket. */
function door(address: string, index: number, port: number): V4WorkerOptions {
  return {
    name: `door-${index}`,
    modules: true,
    script: "export default {}",
    compatibilityDate: "2026-11-01",
    unsafeDirectSockets: [{ host: address, port, serviceName: WORKER_NAME }],
  };
}

class FileLog extends Log {
  readonly #log: SuiteLog;

  constructor(log: SuiteLog) {
    super(LogLevel.WARN);
    this.#log = log;
  }

  protected override log(message: string): void {
    this.#log.write("miniflare", message);
  }
}

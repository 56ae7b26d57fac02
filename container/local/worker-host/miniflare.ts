import { randomBytes } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import path from "node:path";
import { Log, LogLevel, Miniflare, type V4WorkerOptions, convertV4MiniflareOptions } from "miniflare";
import * as z from "zod";
import { quickenR2 } from "./r2-stand-in.ts";

export const workerConfigSchema = z.object({
  /** Settings on top of the `vars` of wrangler.jsonc. */
  settings: z.record(z.string(), z.string()),
  port: z.int(),
  /** Loopback addresses, `[::1]` in brackets. */
  addresses: z.array(z.string()).readonly(),
  /** Environment of what Miniflare starts, Chrome among it. */
  env: z.record(z.string(), z.string()).readonly(),
  /** Keeps R2, KV and the Durable Objects. */
  stateDir: z.string(),
  hasBrowser: z.boolean(),
});

export type WorkerConfig = z.output<typeof workerConfigSchema>;

export interface WorkerHost {
  close(): Promise<void>;
}

/** The package has no types; its default export is where the program is. */
const workerdSchema = z.object({ default: z.string() });

const WORKER_NAME = "pincer";

/**
 * Runs the Worker in workerd. Clients reach it directly: Miniflare's own door is a proxy that costs more than the
 * call and serves R2 to anybody. workerd.sh shuts it in a folder of ours, and what it lets its callers say about
 * a request needs a secret here that nobody has.
 */
export async function startWorker(worker: V4WorkerOptions, config: WorkerConfig): Promise<WorkerHost> {
  const doorFolder = await mkdtemp(path.join(tmpdir(), "door-"));
  Object.assign(process.env, config.env, { PINCER_DOOR_SOCKET: path.join(doorFolder, "socket") });
  process.env["PINCER_WORKERD"] = workerdSchema.parse(createRequire(import.meta.url)("workerd")).default;
  process.env["MINIFLARE_WORKERD_PATH"] = path.join(import.meta.dirname, "workerd.sh");
  quickenR2();
  const miniflare = new Miniflare(
    convertV4MiniflareOptions({
      log: new ErrorLog(LogLevel.WARN),
      handleStructuredLogs: ({ level, message }) => console.error(level, message),
      telemetry: { enabled: false },
      // No request to Cloudflare for the facts about a client's place.
      cf: false,
      logRequests: false,
      host: "127.0.0.1",
      port: 0,
      unsafeProxySharedSecret: randomBytes(32).toString("hex"),
      resourcePersistencePath: config.stateDir,
      workers: [configure(worker, config), ...config.addresses.map((address) => door(address, config.port))],
    }),
  );
  await miniflare.ready;
  return {
    close: async () => {
      await miniflare.dispose();
      await rm(doorFolder, { recursive: true, force: true });
    },
  };
}

function configure(worker: V4WorkerOptions, { settings, hasBrowser }: WorkerConfig): V4WorkerOptions {
  const { browserRendering, ...others } = worker;
  return {
    ...others,
    name: WORKER_NAME,
    bindings: { ...worker.bindings, ...settings },
    // Without a Chrome of ours, Miniflare would fetch one from the internet.
    ...(hasBrowser && browserRendering !== undefined ? { browserRendering } : {}),
  };
}

/** Miniflare allows one direct socket per Worker: each address gets a Worker that only lends its socket. */
function door(address: string, port: number): V4WorkerOptions {
  return {
    name: `door-${address.replaceAll(/[^a-z0-9]/g, "-")}`,
    modules: true,
    script: "export default {}",
    compatibilityDate: "2026-11-01",
    unsafeDirectSockets: [{ host: address, port, serviceName: WORKER_NAME }],
  };
}

/** stdout belongs to what this process says to the launcher. */
class ErrorLog extends Log {
  protected override log(message: string): void {
    console.error(message);
  }
}

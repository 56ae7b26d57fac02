import { join } from "node:path";
import { convertV4MiniflareOptions, Miniflare } from "miniflare";
import { quickenR2 } from "../../container/local/worker-host/r2-stand-in.ts";
import { bundleWorker } from "../support/bundle-worker.ts";

const SETTINGS = {
  PUBLIC_URL: "http://localhost:8717",
  IDENTITY: "local",
  LOCAL_SIGN_IN_CODE: "12345678",
  LOCAL_ADMIN_SECRET: "s".repeat(32),
  SIGNING_SECRET: "s".repeat(32),
  SANDBOX_DRIVER: "local",
  // Only where it is told otherwise: to pack what nobody asks for again takes longer than most tests.
  SNAPSHOT_AFTER: "1h",
};

interface HostOptions {
  readonly settings: Readonly<Record<string, string>>;
  readonly stateDir: string;
  readonly port?: number;
}

/** The local driver and its snapshots in workerd, with R2 and Durable Objects on a disk. */
export async function startSandboxWorker({
  settings,
  stateDir,
  port = 0,
}: HostOptions): Promise<{ miniflare: Miniflare; url: string }> {
  quickenR2();
  const miniflare = new Miniflare(
    convertV4MiniflareOptions({
      modules: true,
      script: await bundleWorker(join(import.meta.dirname, "worker.ts")),
      compatibilityDate: "2026-11-01",
      compatibilityFlags: ["nodejs_compat", "global_fetch_strictly_public"],
      bindings: { ...SETTINGS, ...settings },
      r2Buckets: ["FILES", "SNAPSHOTS"],
      durableObjects: {
        ACCOUNT: { className: "Account", useSQLite: true },
        DIRECTORY: { className: "Directory", useSQLite: true },
        SANDBOX_SNAPSHOTS: { className: "SandboxSnapshots", useSQLite: true },
      },
      resourcePersistencePath: stateDir,
      cf: false,
      port,
    }),
  );
  const { href } = await miniflare.ready;
  return { miniflare, url: href };
}

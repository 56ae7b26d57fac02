import { randomUUID } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { build } from "esbuild";
import { convertV4MiniflareOptions, Miniflare } from "miniflare";
import type { RuntimeOptions } from "../../container/local/runtime.ts";
import { type RemoteSandbox, remoteSandbox } from "../container/remote-sandbox.ts";
import { startLocalSandboxes } from "./local-sandboxes.ts";

const SETTINGS = {
  PUBLIC_URL: "http://localhost:8717",
  IDENTITY: "local",
  LOCAL_SIGN_IN_CODE: "12345678",
  LOCAL_ADMIN_SECRET: "s".repeat(32),
  SIGNING_SECRET: "s".repeat(32),
  SANDBOX_DRIVER: "local",
  SNAPSHOT_AFTER: "1s",
};

export interface ServedSandboxes extends AsyncDisposable {
  /** What only the Worker and the runtime know. */
  readonly secret: string;
  /** A sandbox that nobody else uses, and its caller's files. */
  open(): RemoteSandbox & {
    /** Takes its folders away with all that runs in them. */
    lose(): Promise<void>;
  };
}

/** The driver in workerd with R2, the runtime beside it: as `npm start` runs them. */
export async function serveSandboxes(options: Partial<RuntimeOptions> = {}): Promise<ServedSandboxes> {
  const sandboxes = await startLocalSandboxes(options);
  const stateDir = await mkdtemp(join(tmpdir(), "pincer-sandbox-worker-"));
  const { outputFiles } = await build({
    entryPoints: [join(import.meta.dirname, "worker.ts")],
    bundle: true,
    write: false,
    format: "esm",
    conditions: ["workerd", "worker", "browser"],
    external: ["cloudflare:*", "node:*"],
  });
  const miniflare = new Miniflare(
    convertV4MiniflareOptions({
      modules: true,
      script: outputFiles[0]?.text ?? "",
      compatibilityDate: "2026-11-01",
      compatibilityFlags: ["nodejs_compat", "global_fetch_strictly_public"],
      bindings: {
        ...SETTINGS,
        LOCAL_RUNTIME_URL: sandboxes.runtime.url,
        LOCAL_RUNTIME_SECRET: sandboxes.secret,
      },
      r2Buckets: ["FILES", "SNAPSHOTS"],
      durableObjects: {
        ACCOUNT: { className: "Account", useSQLite: true },
        SANDBOX_SNAPSHOTS: { className: "SandboxSnapshots", useSQLite: true },
      },
      resourcePersistencePath: stateDir,
      cf: false,
      port: 0,
    }),
  );
  const { href } = await miniflare.ready;
  return {
    secret: sandboxes.secret,
    open: () => {
      const id = randomUUID().replaceAll("-", "");
      const remote = remoteSandbox(href, id);
      const { sandbox } = remote;
      const lose = async (): Promise<void> => {
        await rm(join(sandboxes.dataDir, "sandboxes", id), { recursive: true, force: true });
        // It is ended within a moment, since nobody can watch over it any more.
        while ((await sandbox.status()).state !== "asleep") await sleep(20);
      };
      return { ...remote, lose };
    },
    [Symbol.asyncDispose]: async () => {
      await miniflare.dispose();
      await sandboxes[Symbol.asyncDispose]();
      await rm(stateDir, { recursive: true, force: true });
    },
  };
}

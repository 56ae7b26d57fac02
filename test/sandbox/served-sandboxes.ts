import { randomUUID } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { RuntimeOptions } from "../../container/local/runtime.ts";
import { type RemoteSandbox, remoteSandbox } from "../container/remote-sandbox.ts";
import { startLocalSandboxes } from "./local-sandboxes.ts";
import { startSandboxWorker } from "./sandbox-worker-host.ts";

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
  const { miniflare, url } = await startSandboxWorker({
    settings: { LOCAL_RUNTIME_URL: sandboxes.runtime.url, LOCAL_RUNTIME_SECRET: sandboxes.secret },
    stateDir,
  });
  return {
    secret: sandboxes.secret,
    open: () => {
      const id = randomUUID().replaceAll("-", "");
      const remote = remoteSandbox(url, id);
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

import { randomUUID } from "node:crypto";
import { mkdtemp, readdir, rm } from "node:fs/promises";
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
  /** Gives R2 so many bytes as a snapshot, with no sandbox behind it. */
  putBytes(sizeBytes: number): Promise<void>;
  /** A sandbox that nobody else uses, or one more of a person's, and its caller's files. */
  open(of?: { readonly userId: string; readonly id: string }): ServedSandbox;
}

export interface ServedSandbox extends RemoteSandbox {
  /** Takes its folders away with all that runs in them. */
  lose(): Promise<void>;
  /** What is stored of it: folders on this machine, what was taken away and is not gone yet, objects in R2. */
  traces(): Promise<readonly string[]>;
}

/** So soon after a change there is a snapshot, for those who look at them. */
export const SNAPSHOTS_SOON = { SNAPSHOT_AFTER: "1s" };

/** The driver in workerd with R2, the runtime beside it: as `npm start` runs them. */
export async function serveSandboxes(
  options: Partial<RuntimeOptions> = {},
  settings: Readonly<Record<string, string>> = {},
): Promise<ServedSandboxes> {
  const sandboxes = await startLocalSandboxes(options);
  const folder = options.driver === "simulated" ? "simulated" : "sandboxes";
  const stateDir = await mkdtemp(join(tmpdir(), "pincer-sandbox-worker-"));
  const { miniflare, url } = await startSandboxWorker({
    settings: { ...settings, LOCAL_RUNTIME_URL: sandboxes.runtime.url, LOCAL_RUNTIME_SECRET: sandboxes.secret },
    stateDir,
  });
  return {
    secret: sandboxes.secret,
    putBytes: async (sizeBytes) => {
      const { ok, status } = await fetch(new URL(`?put-bytes=${sizeBytes}`, url), { method: "POST" });
      if (!ok) throw new Error(`The Worker answered ${status}.`);
    },
    open: ({ userId, id } = newPerson()) => {
      const remote = remoteSandbox(url, userId, id);
      const { sandbox } = remote;
      const lose = async (): Promise<void> => {
        await rm(join(sandboxes.dataDir, folder, id), { recursive: true, force: true });
        // It is ended within a moment, since nobody can watch over it any more.
        while ((await sandbox.status()).state !== "asleep") await sleep(20);
      };
      const traces = async (): Promise<readonly string[]> => {
        const here = (await namesIn(join(sandboxes.dataDir, folder))).filter((name) => name === id);
        const trash = await namesIn(join(sandboxes.dataDir, "sandbox-trash"));
        const { objects } = await (await miniflare.getR2Bucket("SNAPSHOTS")).list({ prefix: `${id}/` });
        return [...here, ...trash, ...objects.map(({ key }) => key)];
      };
      return { ...remote, lose, traces };
    },
    [Symbol.asyncDispose]: async () => {
      await miniflare.dispose();
      await sandboxes[Symbol.asyncDispose]();
      await rm(stateDir, { recursive: true, force: true });
    },
  };
}

function newPerson(): { readonly userId: string; readonly id: string } {
  const userId = randomUUID().replaceAll("-", "");
  return { userId, id: userId };
}

async function namesIn(folder: string): Promise<readonly string[]> {
  return await readdir(folder).catch(() => []);
}

import type { ChildProcess } from "node:child_process";
import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type RemoteSandbox, remoteSandbox } from "../container/remote-sandbox.ts";
import { startRuntimeChild } from "./runtime-child.ts";
import { startSandboxWorker } from "./sandbox-worker-host.ts";

/** A Worker and a runtime that can be killed, each in a process of its own, on a disk that stays. */
export interface SnapshotSuite extends AsyncDisposable {
  newPerson(): SnapshotPerson;
}

/** Somebody whom nobody else knows. */
export interface SnapshotPerson {
  readonly remote: RemoteSandbox;
  /** Another sandbox of theirs. */
  readonly copy: RemoteSandbox;
  /** SIGKILL, and a start on the same disk. */
  killRuntime(): Promise<void>;
  killWorker(): Promise<void>;
  /** Takes the sandbox's disk: the runtime is killed, and starts without it. */
  lose(): Promise<void>;
  /** What says on the disk whether the sandbox, or that one, is restored. */
  mark(of?: RemoteSandbox): Promise<string>;
  /** What there is on the disk of their sandboxes, and of any that were removed. */
  folders(): Promise<string[]>;
  /** Asks the runtime itself. */
  ask(route: string, init?: RequestInit): Promise<Response>;
  /** What is theirs in the bucket that snapshots are in. */
  keys(): Promise<string[]>;
  read(key: string): Promise<Uint8Array<ArrayBuffer>>;
  write(key: string, bytes: Uint8Array<ArrayBuffer>): Promise<void>;
  remove(keys: readonly string[]): Promise<void>;
}

export async function startSnapshotSuite({ after = "1s" } = {}): Promise<SnapshotSuite> {
  const dataDir = await mkdtemp(join(tmpdir(), "pincer-snapshots-"));
  const secret = "s".repeat(40);
  let runtime: { child: ChildProcess; url: string } = await startRuntimeChild({ dataDir, secret });
  const { url } = runtime;
  const startWorker = async (port?: number) =>
    await startSandboxWorker({
      settings: { LOCAL_RUNTIME_URL: url, LOCAL_RUNTIME_SECRET: secret, SNAPSHOT_AFTER: after },
      stateDir: join(dataDir, "worker"),
      ...(port !== undefined && { port }),
    });
  let worker = await startWorker();
  const bucket = async () => await worker.miniflare.getR2Bucket("SNAPSHOTS");
  const endRuntime = async (): Promise<void> => {
    runtime.child.kill("SIGKILL");
    await once(runtime.child, "exit");
  };
  const startRuntime = async (): Promise<void> => {
    runtime = await startRuntimeChild({ dataDir, secret, port: Number(new URL(url).port) });
  };
  const newPerson = (): SnapshotPerson => {
    const id = randomUUID().replaceAll("-", "");
    return {
      remote: remoteSandbox(worker.url, id),
      copy: remoteSandbox(worker.url, id, `${id}-copy`),
      killRuntime: async () => {
        await endRuntime();
        await startRuntime();
      },
      killWorker: async () => {
        await worker.miniflare.dispose();
        worker = await startWorker(Number(new URL(worker.url).port));
      },
      lose: async () => {
        await endRuntime();
        await rm(join(dataDir, "sandboxes", id), { recursive: true, force: true });
        await startRuntime();
      },
      mark: async (of) =>
        await readFile(join(dataDir, "sandboxes", of?.id ?? id, "workspace.mark"), "utf8").catch(() => ""),
      folders: async () => {
        const [sandboxes = [], trash = []] = await Promise.all(
          ["sandboxes", "sandbox-trash"].map(async (folder) => await readdir(join(dataDir, folder)).catch(() => [])),
        );
        return [...sandboxes.filter((name) => name.startsWith(id)), ...trash];
      },
      ask: async (route, init) =>
        await fetch(`${url}/sandboxes/${id}/${route}`, { ...init, headers: { authorization: `Bearer ${secret}` } }),
      keys: async () => (await (await bucket()).list({ prefix: id })).objects.map(({ key }) => key),
      read: async (key) => {
        const object = await (await bucket()).get(key);
        if (object === null) throw new Error(`There is no ${key}.`);
        return new Uint8Array(await object.arrayBuffer());
      },
      write: async (key, bytes) => void (await (await bucket()).put(key, bytes)),
      remove: async (keys) => await (await bucket()).delete([...keys]),
    };
  };
  return {
    newPerson,
    [Symbol.asyncDispose]: async () => {
      await worker.miniflare.dispose();
      await endRuntime();
      await rm(dataDir, { recursive: true, force: true });
    },
  };
}

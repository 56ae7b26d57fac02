import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { Miniflare, convertV4MiniflareOptions } from "miniflare";
import * as z from "zod";
import { newSecret } from "../../container/local/launch/data.ts";
import { findPort } from "../../container/local/launch/port.ts";
import { makeSettings } from "../../container/local/launch/settings.ts";
import { requestToken } from "../../container/local/running-suite.ts";
import { loadWorker } from "../../container/local/worker-host/bundle.ts";

const NAME = "pincer";
const SAMPLE_MS = 50;
const MB = 1e6;

const targetsSchema = z.array(z.object({ id: z.string(), webSocketDebuggerUrl: z.string() }));
const usageSchema = z.object({
  id: z.int(),
  result: z.object({ usedSize: z.number(), backingStorageSize: z.number() }),
});

/** The product's Worker in workerd, with its inspector, without sandboxes and a browser. */
export interface WatchedWorker extends AsyncDisposable {
  readonly url: string;
  readonly token: string;
  /**
   * How many MB its isolate holds at most while the work goes on: its heap, and the buffers outside of that. R2's local
   * stand-in has isolates of its own.
   */
  mostHeld(work: () => Promise<unknown>): Promise<number>;
}

export async function startWatchedWorker(): Promise<WatchedWorker> {
  const stateDir = await mkdtemp(path.join(tmpdir(), "pincer-watched-"));
  const { port } = await findPort(0);
  const url = `http://localhost:${port}`;
  const settings = await makeSettings({ environment: {}, url, allowedHosts: [], signingSecret: newSecret() });
  const { browserRendering: _, ...worker } = await loadWorker(() => undefined);
  const bindings = { ...worker.bindings, ...settings, LOCAL_RUNTIME_URL: "http://127.0.0.1:9" };
  const miniflare = new Miniflare(
    convertV4MiniflareOptions({
      ...{ inspectorPort: 0, cf: false, resourcePersistencePath: stateDir },
      workers: [
        { ...worker, name: NAME, bindings, unsafeDirectSockets: [{ host: "127.0.0.1", port, serviceName: NAME }] },
      ],
    }),
  );
  await miniflare.ready;
  const heldMb = await openInspector(await miniflare.getInspectorURL());
  const running = { url, adminSecret: settings.LOCAL_ADMIN_SECRET, pid: process.pid, startedAt: "" };
  return {
    url,
    token: await requestToken(running, {}),
    mostHeld: async (work) => {
      let most = await heldMb();
      let isOver = false;
      const watching = (async () => {
        while (!isOver) {
          most = Math.max(most, await heldMb());
          await new Promise((resolve) => setTimeout(resolve, SAMPLE_MS));
        }
      })();
      try {
        await work();
      } finally {
        isOver = true;
        await watching;
      }
      return most;
    },
    [Symbol.asyncDispose]: async () => {
      await miniflare.dispose();
      await rm(stateDir, { recursive: true, force: true });
    },
  };
}

async function openInspector(url: URL): Promise<() => Promise<number>> {
  const listed = await fetch(`http://${url.host}/json`);
  const target = targetsSchema.parse(await listed.json()).find(({ id }) => id === `core:user:${NAME}`);
  const socket = new WebSocket(target?.webSocketDebuggerUrl ?? "");
  await once(socket, "open");
  let last = 0;
  return async () => {
    last += 1;
    const answered = once(socket, "message");
    socket.send(JSON.stringify({ id: last, method: "Runtime.getHeapUsage" }));
    const [{ data }] = z.tuple([z.object({ data: z.string() })]).parse(await answered);
    const { usedSize, backingStorageSize } = usageSchema.parse(JSON.parse(data)).result;
    return (usedSize + backingStorageSize) / MB;
  };
}

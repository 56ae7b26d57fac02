import { randomUUID } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Miniflare, convertV4MiniflareOptions } from "miniflare";
import * as z from "zod";
import { prepareBrowserBinding } from "../../container/local/chrome/binding.ts";
import { CACHE } from "../support/data-folder.ts";
import { bundleWorker } from "../support/bundle-worker.ts";
import { LOCAL_SETTINGS } from "../support/local-settings.ts";
import { findChrome } from "../../container/local/chrome/chrome.ts";
import { serveInsideDoor } from "./inside-door.ts";
import { type EgressProxy, startEgressProxy } from "../../container/local/egress/proxy.ts";

const answerSchema = z.discriminatedUnion("ok", [
  z.object({
    ok: z.literal(true),
    text: z.string(),
    progress: z.array(z.string()),
    attachments: z.array(
      z.discriminatedUnion("type", [
        z.object({ type: z.literal("image"), base64: z.string(), mimeType: z.string() }),
        z.object({ type: z.literal("link"), path: z.string(), mimeType: z.string(), sizeBytes: z.number() }),
      ]),
    ),
  }),
  z.object({ ok: z.literal(false), code: z.string(), message: z.string() }),
]);

export type Answer = z.output<typeof answerSchema>;

const timeSchema = z
  .array(
    z
      .object({
        key: z.literal("browser/time"),
        calls: z.literal(0),
        browserMs: z.number(),
        estimatedNanoUsd: z.number(),
      })
      .transform(({ browserMs, estimatedNanoUsd }) => ({ browserMs, estimatedNanoUsd })),
  )
  .max(1);

/** One caller, whose Chrome ends with the test. */
export interface Person extends AsyncDisposable {
  readonly call: (tool: string, input?: Readonly<Record<string, unknown>>, cancelAfterMs?: number) => Promise<Answer>;
  /** The text of a call that has to succeed. */
  readonly read: (tool: string, input?: Readonly<Record<string, unknown>>) => Promise<string>;
  /** Of the caller's workspace. */
  readonly readFile: (path: string) => Promise<Uint8Array>;
  readonly writeFile: (path: string, bytes: Uint8Array) => Promise<void>;
  /** Does to the session of the browser `main` what the platform does to a Durable Object that is idle. */
  readonly evict: () => Promise<void>;
  /** Lets that session's alarm go off, now or later. */
  readonly ring: (when?: { readonly afterMs: number }) => Promise<void>;
  /** Ends the hand-over of its page as the person at the live view would; the platform may have nobody to tell. */
  readonly finish: (end: Readonly<Record<string, unknown>>) => Promise<void>;
  /** Where a program in the sandbox finds the browser; ends with the person. */
  readonly openDoor: () => Promise<string>;
  /** In how many milliseconds the Worker itself asks the open page something so often. */
  readonly roundTrips: (count: number) => Promise<number>;
  /** Ends the browser as a pause does. */
  readonly stop: () => Promise<void>;
  /** Allows no browser for the day, from now on. */
  readonly limit: () => Promise<void>;
  /** Lets the person into no sandbox from now on. */
  readonly shutOut: () => Promise<void>;
  /** Whether a person has been asked to use its page. */
  readonly isHandedOver: () => Promise<boolean>;
  /** How long the browsers have run, and what that cost. */
  readonly time: () => Promise<z.output<typeof timeSchema>[number]>;
}

/** The browser's tools in workerd, on a real Chrome behind the egress proxy. */
export interface BrowserSuite extends AsyncDisposable {
  readonly person: () => Person;
  /** How many Chromes are running. */
  readonly countChromes: () => Promise<number>;
  /** Takes the network away from all of them, and gives it back. */
  readonly cutNetwork: () => Promise<void>;
  readonly restoreNetwork: () => Promise<void>;
}

export const SUITE_ORIGIN = "http://localhost:8717";

interface BrowserSuiteOptions {
  /** Hosts that the egress proxy lets through, as the platform would: all that keeps them closed is what the Worker does. */
  readonly closedHosts?: readonly string[];
  readonly settings?: Readonly<Record<string, string>>;
}

export async function startBrowserSuite(
  allowedHosts: readonly string[],
  { closedHosts = [], settings = {} }: BrowserSuiteOptions = {},
): Promise<BrowserSuite> {
  const folder = await mkdtemp(join(tmpdir(), "browser-"));
  const found = await findChrome({ dataDir: CACHE, report: () => undefined, path: process.env["PATH"] ?? "" });
  if (!found.found) throw new Error(found.problem);
  const startProxy = async (): Promise<EgressProxy> =>
    await startEgressProxy({
      mode: "browser",
      allowedHosts: [...allowedHosts, ...closedHosts],
      suiteOrigin: SUITE_ORIGIN,
      socketPath: join(folder, "egress.sock"),
      log: () => undefined,
    });
  let proxy = await startProxy();
  const prepared = await prepareBrowserBinding({
    dataDir: folder,
    chrome: found.chrome,
    egressSocket: proxy.socketPath,
  });
  if (!prepared.ready) throw new Error(prepared.problem);
  Object.assign(process.env, prepared.env);
  const miniflare = new Miniflare(
    convertV4MiniflareOptions({
      modules: true,
      script: await bundleWorker(join(import.meta.dirname, "worker.ts")),
      compatibilityDate: "2026-11-01",
      compatibilityFlags: ["nodejs_compat", "global_fetch_strictly_public"],
      bindings: {
        ...LOCAL_SETTINGS,
        PUBLIC_URL: SUITE_ORIGIN,
        ALLOWED_HOSTS: allowedHosts.join(","),
        ...settings,
      },
      durableObjects: {
        BROWSER_SESSION: { className: "BrowserSession", useSQLite: true },
        ACCOUNT: { className: "Account", useSQLite: true },
        DIRECTORY: { className: "Directory", useSQLite: true },
      },
      r2Buckets: ["FILES"],
      browserRendering: { binding: "BROWSER" },
      resourcePersistencePath: join(folder, "state"),
      cf: false,
      // What a call logs about its failure is no news to a test.
      handleStructuredLogs: () => undefined,
    }),
  );
  const workerUrl = await miniflare.ready;
  const ask = async (order: Readonly<Record<string, unknown>>): Promise<string> => {
    const response = await miniflare.dispatchFetch("http://localhost/", {
      method: "POST",
      body: JSON.stringify(order),
    });
    const text = await response.text();
    if (response.status !== 200) throw new Error(text);
    return text;
  };
  const person = (): Person => {
    const userId = randomUUID().replaceAll("-", "");
    const call: Person["call"] = async (tool, input = {}, cancelAfterMs) => {
      const order = { userId, tool, input, ...(cancelAfterMs === undefined ? {} : { cancelAfterMs }) };
      return answerSchema.parse(JSON.parse(await ask(order)));
    };
    const order = async (tool: string, input: Readonly<Record<string, unknown>> = {}): Promise<unknown> =>
      JSON.parse(await ask({ userId, tool, input }));
    const evict = async (): Promise<void> => void (await order("evict"));
    const ring: Person["ring"] = async (when = { afterMs: 0 }) => void (await order("ring", when));
    const doors = new AsyncDisposableStack();
    return {
      call,
      read: async (tool, input) => {
        const answer = await call(tool, input);
        if (!answer.ok) throw new Error(`${answer.code}: ${answer.message}`);
        return answer.text;
      },
      readFile: async (path) => {
        const base64: unknown = JSON.parse(await ask({ userId, tool: "read file", input: { path } }));
        return Uint8Array.from(atob(z.string().parse(base64)), (char) => char.charCodeAt(0));
      },
      writeFile: async (path, bytes) => {
        const base64 = btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(""));
        await ask({ userId, tool: "write file", input: { path, base64 } });
      },
      evict,
      ring,
      openDoor: async () => doors.use(await serveInsideDoor(workerUrl, userId)).origin,
      roundTrips: async (count) => z.number().parse(await order("round trips", { count })),
      stop: async () => void (await order("stop")),
      limit: async () => void (await order("limit")),
      shutOut: async () => void (await order("shut out")),
      finish: async (end) => void (await order("finish", end)),
      isHandedOver: async () => z.boolean().parse(await order("handed-over")),
      time: async () => timeSchema.parse(await order("usage"))[0] ?? { browserMs: 0, estimatedNanoUsd: 0 },
      // A session that does not know of any call takes itself for unused.
      [Symbol.asyncDispose]: async () => {
        await evict();
        await ring();
        await doors.disposeAsync();
      },
    };
  };
  return {
    person,
    countChromes: async () => {
      const { BROWSER } = await miniflare.getBindings<{ BROWSER: { fetch: typeof miniflare.dispatchFetch } }>();
      const response = await BROWSER.fetch("https://browser.local/v1/sessions");
      return z.object({ sessions: z.array(z.unknown()) }).parse(await response.json()).sessions.length;
    },
    cutNetwork: async () => await proxy.close(),
    restoreNetwork: async () => {
      proxy = await startProxy();
    },
    [Symbol.asyncDispose]: async () => {
      await miniflare.dispose();
      await proxy.close();
      await rm(folder, { recursive: true });
    },
  };
}

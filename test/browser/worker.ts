import puppeteer from "@cloudflare/puppeteer";
import * as z from "zod";
import type { Account } from "../../servers/account/account.ts";
import { BrowserSessionObject, type BrowserSessionBindings } from "../../servers/browser/browser-session.ts";
import { type HandoffEnd, LiveViewStandIn } from "./live-view.ts";
import { browserServer } from "../../servers/browser/index.ts";
import { createBrowserSessions } from "../../servers/browser/remote-browser.ts";
import { createArtifacts } from "../../servers/core/artifacts.ts";
import { type CallPipeline, callTool } from "../../servers/core/call.ts";
import { serveInsideBrowser } from "../../servers/inside/browser.ts";
import { OPEN_GATE } from "../../servers/core/gate.ts";
import type { UsageReport } from "../../servers/core/usage-report.ts";
import { createFileStore } from "../../servers/files/store.ts";

export { Account } from "../../servers/account/account.ts";
export { Directory } from "../../servers/directory/directory.ts";

/** The Worker around browsers in tests: one tool call a request, and ways to do to a session what the platform does. */
export class BrowserSession extends BrowserSessionObject {
  readonly #liveView: LiveViewStandIn | undefined;

  constructor(state: DurableObjectState, env: Env) {
    const liveView = env.LIVE_VIEW === undefined || !env.BROWSER ? undefined : new LiveViewStandIn(env.BROWSER);
    super(state, liveView === undefined ? env : { ...env, BROWSER: liveView.binding });
    this.#liveView = liveView;
  }

  /** The person at the live view says that they are done, and the platform tells of it, or has nobody to tell. */
  finish(end: HandoffEnd, isHeard: boolean): void {
    this.#liveView?.finish(end, isHeard);
  }

  isHandedOver(): boolean {
    return this.#liveView?.isHandedOver ?? false;
  }

  /** How long so many questions to a page take, one after the other, on a connection to the same Chrome. */
  async timeRoundTrips(count: number): Promise<number> {
    const { sessionId } = z.looseObject({ sessionId: z.string() }).parse(await this.ctx.storage.get("session"));
    if (this.env.BROWSER === undefined) throw new Error("There is no Chrome.");
    const browser = await puppeteer.connect(this.env.BROWSER, sessionId);
    try {
      const [page] = await browser.pages();
      const session = await page?.createCDPSession();
      const ask = async (): Promise<unknown> => await session?.send("Runtime.evaluate", { expression: "1 + 1" });
      for (let trip = 0; trip < count; trip += 1) await ask();
      const startedMs = Date.now();
      for (let trip = 0; trip < count; trip += 1) await ask();
      return Date.now() - startedMs;
    } finally {
      await browser.disconnect();
    }
  }

  async shutOut(): Promise<void> {
    await this.ctx.storage.put("shut out", true);
  }

  protected override async mayConnect(): Promise<boolean> {
    return (await this.ctx.storage.get("shut out")) === undefined;
  }

  evict(): void {
    this.ctx.abort("evicted by the test");
  }

  /** The alarm, so much later; what is stored of the last use is old. */
  async ring(afterMs: number): Promise<void> {
    const { now } = Date;
    Date.now = () => now() + afterMs;
    await this.#ringNow().finally(() => (Date.now = now));
  }

  async #ringNow(): Promise<void> {
    const { storage } = this.ctx;
    const record = z.looseObject({ usedAtMs: z.number() }).safeParse(await storage.get("session"));
    if (record.success) await storage.put("session", { ...record.data, usedAtMs: 0 });
    await this.alarm();
  }
}

interface Env extends BrowserSessionBindings {
  readonly FILES: R2Bucket;
  /** Set where a live view is to be stood in for. */
  readonly LIVE_VIEW?: string;
  readonly ACCOUNT: DurableObjectNamespace<Account>;
  readonly BROWSER_SESSION: DurableObjectNamespace<BrowserSession>;
}

const finished = z.object({ success: z.boolean(), reason: z.string().exactOptional(), isHeard: z.boolean() });

const order = z.object({
  userId: z.string(),
  tool: z.string(),
  input: z.record(z.string(), z.json()),
  /** Plays a client that goes away. */
  cancelAfterMs: z.int().optional(),
});

const trips = z.object({ count: z.number() });

const ring = z.object({ afterMs: z.number().default(0) });

const file = z.object({ path: z.string(), base64: z.string().default("") });

export default {
  fetch: async (request, env, ctx) => {
    const program = request.headers.get("Person");
    if (program !== null) {
      const pipeline = createTestPipeline(program, env, ctx);
      return await serveInsideBrowser({ request, pipeline });
    }
    const { userId, tool: name, input, cancelAfterMs } = order.parse(await request.json());
    const session = env.BROWSER_SESSION.get(env.BROWSER_SESSION.idFromName(`${userId}/browser/main`));
    if (name === "evict") return Response.json(await session.evict().catch(() => "evicted"));
    if (name === "finish") {
      const { isHeard, ...end } = finished.parse(input);
      return Response.json((await session.finish(end, isHeard)) ?? "finished");
    }
    if (name === "handed-over") return Response.json(await session.isHandedOver());
    if (name === "usage") {
      const query = { fromDay: "2000-01-01", toDay: "2999-12-31", by: "tool" } as const;
      return Response.json(await env.ACCOUNT.get(env.ACCOUNT.idFromName(userId)).usage(query));
    }
    if (name === "ring") return Response.json((await session.ring(ring.parse(input).afterMs)) ?? "rung");
    if (name === "round trips") return Response.json(await session.timeRoundTrips(trips.parse(input).count));
    if (name === "shut out") return Response.json((await session.shutOut()) ?? "shut out");
    if (name === "stop") {
      await createBrowserSessions(env.BROWSER_SESSION, userId).named("main").stop();
      return Response.json("stopped");
    }
    if (name === "limit") {
      await env.ACCOUNT.get(env.ACCOUNT.idFromName(userId)).setRules({ own: { browserHoursPerDay: 0 } });
      return Response.json("limited");
    }
    const pipeline = createTestPipeline(userId, env, ctx);
    const { files } = pipeline.capabilities;
    if (name === "write file") {
      const { path, base64 } = file.parse(input);
      return Response.json(await files.write(path, Uint8Array.fromBase64(base64)));
    }
    if (name === "read file") {
      const { body } = await files.read(file.parse(input).path);
      return Response.json((await new Response(body).bytes()).toBase64());
    }
    const tool = browserServer.tools.find((known) => known.name === name);
    if (tool === undefined) return new Response(`There is no tool ${name}.`, { status: 404 });
    const client = new AbortController();
    if (cancelAfterMs !== undefined) setTimeout(() => client.abort(), cancelAfterMs);
    const progress: string[] = [];
    const end = await callTool(tool, input, pipeline, {
      signal: client.signal,
      reportProgress: (message) => void progress.push(message),
    });
    return Response.json(
      end.ok
        ? { ok: true, text: end.outcome.text, attachments: end.outcome.attachments, progress }
        : { ok: false, code: end.error.code, message: end.error.message },
    );
  },
} satisfies ExportedHandler<Env>;

function createTestPipeline(userId: string, env: Env, ctx: ExecutionContext): CallPipeline {
  const absent = (): never => {
    throw new Error("The browser's tools have no business with that.");
  };
  const files = createFileStore(env.FILES, userId, {
    account: env.ACCOUNT.get(env.ACCOUNT.idFromName(userId)),
    waitUntil: (work) => ctx.waitUntil(work),
  });
  return {
    caller: {
      userId,
      role: "member",
      scopes: ["browser:read", "browser:act", "files:read", "files:write"],
      clientId: "test",
    },
    capabilities: {
      files,
      artifacts: createArtifacts(files, () => new Date()),
      browsers: createBrowserSessions(env.BROWSER_SESSION, userId),
      sandbox: absent,
      previews: { expose: absent, share: absent, withdraw: absent, list: absent },
      shareLinks: { create: absent, list: absent, revoke: absent },
      delegates: { start: absent, wait: absent, answer: absent, cancel: absent, list: absent },
    },
    log: { info: () => undefined, error: (event, fields) => console.error(event, JSON.stringify(fields)) },
    gate: OPEN_GATE,
    callNanoUsd: 0,
    readUsage: async () => NO_USAGE,
    record: () => undefined,
  };
}

/** No limit holds. */
const NO_USAGE: UsageReport = {
  day: "2026-11-01",
  resets_at: "2026-11-02T00:00:00.000Z",
  calls: 0,
  failed: 0,
  usd: 0,
  tokens: { input: 0, output: 0 },
  by_server: {},
  limits: {},
  refused: {},
  who_can_raise: "",
};

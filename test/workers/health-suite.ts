import { env } from "cloudflare:workers";
import { createExecutionContext, waitOnExecutionContext } from "cloudflare:test";
import type { BrowserWorker } from "@cloudflare/puppeteer";
import { type HealthBindings, checkHealth } from "../../servers/admin/health.ts";
import type { Check, HealthReport } from "../../servers/admin/health-report.ts";
import type { LogFields } from "../../servers/core/log.ts";
import { parseSettings } from "../../servers/shared/settings.ts";
import { LOCAL_SETTINGS, ORIGIN } from "./auth-suite.ts";

export const SIGNING_SECRET = "eW91IGNvdWxkIG5vdCBndWVzcyB0aGlzIG9uZQ==";
export const RUNTIME = `${LOCAL_SETTINGS.LOCAL_RUNTIME_URL}/health`;
export const USER_ID = "a".repeat(32);

/** What the network outside of the Worker answers, by URL. */
export type Servers = Readonly<Record<string, (request: Request) => Response | Promise<Response>>>;

interface World {
  readonly settings?: Readonly<Record<string, string>>;
  readonly bindings?: Partial<Omit<HealthBindings, "BROWSER">>;
  /** A Chrome that starts and ends where absent. */
  readonly browser?: BrowserWorker | "none";
  readonly servers?: Servers;
  readonly origin?: string;
  readonly nowMs?: number;
  readonly limitMs?: number;
}

export interface Checked extends HealthReport {
  /** What was found, by name. */
  readonly found: Readonly<Record<string, Check>>;
  /** The names of what was found broken. */
  readonly broken: readonly string[];
  readonly logged: string;
}

/** The local runtime, as one that is well answers. */
export const WELL: Servers = { [RUNTIME]: () => Response.json({ status: "ok", driver: "local" }) };

/** Checks the tests' own bindings, but for those that a test brings, in a world where nothing else answers. */
export async function check(world: World = {}): Promise<Checked> {
  const {
    settings = {},
    bindings = {},
    servers = WELL,
    origin = ORIGIN,
    browser = localBrowser(),
    nowMs,
    limitMs,
  } = world;
  const { BROWSER: _none, ...others }: HealthBindings = env;
  const ctx = createExecutionContext();
  const logged: string[] = [];
  const keep = (event: string, fields?: LogFields): void => void logged.push(JSON.stringify({ event, ...fields }));
  const report = await checkHealth({
    bindings: {
      ...others,
      SANDBOX: sleepingContainers(),
      ...bindings,
      ...(browser === "none" ? {} : { BROWSER: browser }),
    },
    settings: parseSettings({ ...LOCAL_SETTINGS, SIGNING_SECRET, ...settings }),
    userId: USER_ID,
    origin,
    fetch: async (input, init) => {
      const request = new Request(input, init);
      const answer = servers[request.url];
      if (answer === undefined) throw new Error(`Nothing answers at ${request.url}.`);
      return await answer(request);
    },
    now: () => new Date(nowMs ?? Date.now()),
    log: { info: keep, error: keep },
    waitUntil: (work) => ctx.waitUntil(work),
    ...(limitMs === undefined ? {} : { limitMs }),
  });
  await waitOnExecutionContext(ctx);
  return {
    ...report,
    found: Object.fromEntries(report.checks.map((each) => [each.name, each])),
    broken: report.checks.filter(({ state }) => state === "broken").map(({ name }) => name),
    logged: logged.join("\n"),
  };
}

/** Containers that are asleep; there are none where these tests run. */
export function sleepingContainers(asked: string[] = []): HealthBindings["SANDBOX"] {
  const stub = { lifecycle: async () => await Promise.resolve({ state: "asleep", ranMs: 0 }) };
  return new Proxy(env.SANDBOX, {
    get: (_namespace, method) => (name: string) => {
      asked.push(`${String(method)} ${name}`);
      return method === "get" ? stub : name;
    },
  });
}

/** A browser binding as Miniflare's: starts a Chrome, and ends it when told to. */
export function localBrowser(open: Set<string> = new Set()): BrowserWorker {
  return {
    fetch: async (input, init) => {
      const { method, url } = new Request(input, init);
      const { pathname } = new URL(url);
      if (method !== "DELETE") {
        open.add("session-1");
        return Response.json({ sessionId: "session-1" });
      }
      open.delete(pathname.split("/").at(-1) ?? "");
      return Response.json({});
    },
  };
}

import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { Miniflare, convertV4MiniflareOptions } from "miniflare";
import * as z from "zod";
import { bundleWorker } from "./bundle-worker.ts";
import { LOCAL_SETTINGS } from "./local-settings.ts";

const spend = z.object({ tokens: z.number(), nanoUsd: z.number() });

const books = z.object({
  left: spend,
  leftAtBest: spend,
  audit: z.array(z.object({ tool: z.string(), outcome: z.string(), clientId: z.string(), outputBytes: z.number() })),
  models: z.array(z.looseObject({ key: z.string() })),
  servers: z.array(z.looseObject({ key: z.string() })),
});

/** `model.internal` in the real workerd, at a real port. */
export interface InsideModelSuite extends AsyncDisposable {
  /** Without a slash at its end. */
  readonly url: string;
  /** What a person's books have once so many calls are in them and nothing is under way any more. */
  books(calls: number, userId?: string): Promise<z.output<typeof books>>;
  pause(userId: string): Promise<void>;
  logs(): string;
}

/** Whose sandbox asks where nobody else is named. */
const DEFAULT_USER = "u".repeat(32);

export async function startInsideModel(settings: Readonly<Record<string, string>>): Promise<InsideModelSuite> {
  const logged: string[] = [];
  const miniflare = new Miniflare(
    convertV4MiniflareOptions({
      modules: true,
      script: await bundleWorker(join(import.meta.dirname, "inside-model-worker.ts")),
      compatibilityDate: "2026-11-01",
      compatibilityFlags: ["nodejs_compat", "global_fetch_strictly_public", "enable_request_signal"],
      bindings: { ...LOCAL_SETTINGS, ...settings },
      durableObjects: {
        ACCOUNT: { className: "Account", useSQLite: true },
        DIRECTORY: { className: "Directory", useSQLite: true },
      },
      r2Buckets: ["FILES"],
      cf: false,
      handleStructuredLogs: ({ message }) => void logged.push(message),
    }),
  );
  const url = (await miniflare.ready).origin;
  const ask = async (path: string, userId: string): Promise<Response> =>
    await fetch(`${url}${path}`, { headers: { "x-test-user": userId } });
  return {
    url,
    books: async (calls, userId = DEFAULT_USER) => {
      for (;;) {
        const read = books.parse(await (await ask("/test/books", userId)).json());
        if (read.audit.length >= calls && read.left.tokens === read.leftAtBest.tokens) return read;
        await sleep(50);
      }
    },
    pause: async (userId) => void (await ask("/test/pause", userId)),
    logs: () => logged.join("\n"),
    [Symbol.asyncDispose]: async () => await miniflare.dispose(),
  };
}

import { join } from "node:path";
import { build } from "esbuild";
import { Miniflare, convertV4MiniflareOptions } from "miniflare";
import * as z from "zod";
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
  /** What the books have once nothing is under way any more. */
  books(userId?: string): Promise<z.output<typeof books>>;
  pause(): Promise<void>;
  logs(): string;
}

let bundle: Promise<string> | undefined;

function bundleWorker(): Promise<string> {
  bundle ??= build({
    entryPoints: [join(import.meta.dirname, "inside-model-worker.ts")],
    bundle: true,
    write: false,
    format: "esm",
    conditions: ["workerd", "worker", "browser"],
    external: ["cloudflare:*", "node:*"],
  }).then(({ outputFiles: [file] }) => file?.text ?? "");
  return bundle;
}

export async function startInsideModel(settings: Readonly<Record<string, string>>): Promise<InsideModelSuite> {
  const logged: string[] = [];
  const miniflare = new Miniflare(
    convertV4MiniflareOptions({
      modules: true,
      script: await bundleWorker(),
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
  const ask = async (path: string, userId: string | undefined): Promise<Response> =>
    await fetch(`${url}${path}`, { headers: userId === undefined ? {} : { "x-test-user": userId } });
  return {
    url,
    books: async (userId) => {
      for (let tries = 0; ; tries += 1) {
        const read = books.parse(await (await ask("/test/books", userId)).json());
        const isSettled = read.left.tokens === read.leftAtBest.tokens && read.audit.length > 0;
        if (isSettled || tries > 200) return read;
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
    },
    pause: async () => void (await ask("/test/pause", undefined)),
    logs: () => logged.join("\n"),
    [Symbol.asyncDispose]: async () => await miniflare.dispose(),
  };
}

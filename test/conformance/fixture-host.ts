import { execFile } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { promisify } from "node:util";
import { Miniflare, convertV4MiniflareOptions } from "miniflare";

const ROOT = path.resolve(import.meta.dirname, "../..");

export interface FixtureHost extends AsyncDisposable {
  readonly mcpUrl: URL;
}

/** Bundles the fixture as the product is bundled and serves it from workerd on a free loopback port. */
export async function startFixture(): Promise<FixtureHost> {
  const folder = await mkdtemp(path.join(tmpdir(), "pincer-conformance-"));
  const removeFolder = async (): Promise<void> => await rm(folder, { recursive: true, force: true });
  try {
    const wrangler = path.join(ROOT, "node_modules/wrangler/bin/wrangler.js");
    const config = path.join(ROOT, "test/conformance/wrangler.jsonc");
    await promisify(execFile)(
      process.execPath,
      [wrangler, "deploy", "--dry-run", "--config", config, "--outdir", folder],
      {
        env: { ...process.env, WRANGLER_SEND_METRICS: "false", WRANGLER_LOG_PATH: path.join(folder, "log") },
        timeout: 60_000,
      },
    );
    const miniflare = new Miniflare(
      convertV4MiniflareOptions({
        cf: false,
        telemetry: { enabled: false },
        workers: [
          {
            name: "fixture",
            modules: true,
            rootPath: folder,
            scriptPath: "fixture.js",
            compatibilityDate: "2026-11-01",
            compatibilityFlags: ["nodejs_compat"],
            unsafeDirectSockets: [{ host: "127.0.0.1", port: 0 }],
          },
        ],
      }),
    );
    const close = async (): Promise<void> => {
      await miniflare.dispose();
      await removeFolder();
    };
    await miniflare.ready;
    return { mcpUrl: new URL("/mcp", await miniflare.unsafeGetDirectURL("fixture")), [Symbol.asyncDispose]: close };
  } catch (failure) {
    await removeFolder();
    throw failure;
  }
}

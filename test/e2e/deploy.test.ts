import { execFile } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { promisify } from "node:util";
import { expect, test } from "vitest";

const ROOT = path.resolve(import.meta.dirname, "../..");
const MAX_KIB = 700;

test("a dry run of the deployment bundles a small Worker with every binding", async () => {
  const folder = await mkdtemp(path.join(tmpdir(), "pincer-deploy-"));
  try {
    const args = ["--dry-run", "--containers-rollout=none", "--outdir", folder];
    const script = path.join(ROOT, "container/local/bootstrap.mjs");
    const { stdout } = await promisify(execFile)(process.execPath, [script, "container/deploy.ts", ...args], {
      cwd: ROOT,
      env: { ...process.env, WRANGLER_SEND_METRICS: "false", WRANGLER_LOG_PATH: path.join(folder, "wrangler.log") },
    });
    const bindings = [...stdout.matchAll(/^env\.(\w+)/gm)].map(([, name]) => name);
    expect(bindings).toEqual(
      expect.arrayContaining([
        "ACCOUNT",
        "UPSTREAM_SESSION",
        "DIRECTORY",
        "SANDBOX",
        "BROWSER_SESSION",
        "DELEGATE_RUN",
        "OAUTH_KV",
        "FILES",
        "BROWSER",
        "ASSETS",
      ]),
    );
    expect(stdout).toContain("container/Dockerfile");
    const [, gzipKib] = /gzip: ([\d.]+) KiB/.exec(stdout) ?? [];
    expect(Number(gzipKib)).toBeLessThanOrEqual(MAX_KIB);
    expect(Number(gzipKib)).toBeGreaterThan(0);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
});

import { randomUUID } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { build } from "esbuild";
import { convertV4MiniflareOptions, Miniflare } from "miniflare";
import { afterAll, beforeAll, expect, test } from "vitest";
import { remoteSandbox } from "../container/remote-sandbox.ts";
import { describeSandbox } from "../support/sandbox-contract.ts";
import { type LocalSandboxes, run, startLocalSandboxes } from "./local-sandboxes.ts";

/** The driver in workerd with R2, the runtime beside it: as `npm start` runs them. */
let sandboxes: LocalSandboxes;
let miniflare: Miniflare;
let stateDir: string;
let url: string;

beforeAll(async () => {
  sandboxes = await startLocalSandboxes();
  stateDir = await mkdtemp(join(tmpdir(), "pincer-sandbox-worker-"));
  const { outputFiles } = await build({
    entryPoints: [join(import.meta.dirname, "worker.ts")],
    bundle: true,
    write: false,
    format: "esm",
    conditions: ["workerd", "worker", "browser"],
    external: ["cloudflare:*", "node:*"],
  });
  miniflare = new Miniflare(
    convertV4MiniflareOptions({
      modules: true,
      script: outputFiles[0]?.text ?? "",
      compatibilityDate: "2026-11-01",
      compatibilityFlags: ["nodejs_compat", "global_fetch_strictly_public"],
      bindings: { RUNTIME_URL: sandboxes.runtime.url, RUNTIME_SECRET: sandboxes.secret },
      r2Buckets: ["FILES"],
      resourcePersistencePath: stateDir,
      cf: false,
      port: 0,
    }),
  );
  url = (await miniflare.ready).href;
});

afterAll(async () => {
  await miniflare.dispose();
  await sandboxes[Symbol.asyncDispose]();
  await rm(stateDir, { recursive: true, force: true });
});

const open = () => remoteSandbox(url, randomUUID().replaceAll("-", ""));

describeSandbox("local driver", { open: async () => await Promise.resolve(open()) });

test("on R2 too, a file that both sides changed is kept twice", async () => {
  const { sandbox, files } = open();
  await files.write("shared.txt", "one\n");
  const running = run(sandbox, "touch begun; until [[ -e go ]]; do sleep 0.02; done; echo sandbox >> files/shared.txt");
  while ((await sandbox.readFile("begun", 0).catch(() => undefined)) === undefined);
  await files.write("shared.txt", "person\n");
  await sandbox.writeFile("go", new Uint8Array());
  await running;
  expect(await files.read("shared.txt")).toBe("person\n");
  const names = await run(sandbox, "cd files; ls; tail -n 1 shared*conflict*");
  expect(names.stdout.text).toMatch(/^shared \(conflict .*\)\.txt\nshared\.txt\nsandbox\n$/);
});

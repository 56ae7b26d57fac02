import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdir, mkdtemp, readFile, readdir, rename, rm, stat, writeFile } from "node:fs/promises";
import path from "node:path";
import { promisify } from "node:util";
import type { V4WorkerOptions } from "miniflare";
import * as z from "zod";
import { LaunchProblem } from "../launch/problem.ts";

const ROOT = path.resolve(import.meta.dirname, "../../..");
const CACHE = path.join(ROOT, "node_modules/.cache/pincer-worker");
const SOURCES = ["servers", "auth", "container", "wrangler.jsonc", "tsconfig.json", "package-lock.json"];
const OPTIONS_FILE = "options.json";
const MAIN_MODULE = "worker.js";
const STALE_AFTER_MS = 24 * 60 * 60 * 1_000;

const MODULE_TYPES = {
  ".js": "ESModule",
  ".mjs": "ESModule",
  ".wasm": "CompiledWasm",
  ".txt": "Text",
  ".html": "Text",
  ".sql": "Text",
  ".bin": "Data",
} as const;

/** Miniflare checks the rest. */
const bindingsSchema = z.looseObject({});
/** The package's own type of it cannot be resolved. */
const varsSchema = z.object({ vars: z.record(z.string(), z.unknown()) });

/** The Worker as `wrangler deploy` bundles it, with the bindings of wrangler.jsonc, ready for Miniflare. */
export async function loadWorker(report: (line: string) => void): Promise<V4WorkerOptions> {
  const folder = path.join(CACHE, await hashSources());
  if (!(await exists(path.join(folder, OPTIONS_FILE)))) {
    report("Building the Worker.");
    await build(folder);
  }
  const bindings = bindingsSchema.parse(JSON.parse(await readFile(path.join(folder, OPTIONS_FILE), "utf8")));
  return { ...bindings, rootPath: folder, modules: await listModules(folder) };
}

/** Everything that can change the bundle, and nothing that cannot. */
async function hashSources(): Promise<string> {
  // The options name the folder of the assets.
  const hash = createHash("sha256").update(ROOT);
  const files = await Promise.all(SOURCES.map(listFiles));
  for (const file of files.flat().toSorted()) {
    hash.update(`${file}\0`);
    hash.update(await readFile(path.join(ROOT, file)));
    hash.update("\0");
  }
  return hash.digest("hex").slice(0, 32);
}

async function listFiles(source: string): Promise<string[]> {
  const absolute = path.join(ROOT, source);
  if (!(await stat(absolute)).isDirectory()) return [source];
  const entries = await readdir(absolute, { withFileTypes: true, recursive: true });
  return entries
    .filter((entry) => entry.isFile() && !entry.parentPath.startsWith(path.join(ROOT, "container/local")))
    .map((entry) => path.relative(ROOT, path.join(entry.parentPath, entry.name)));
}

/** Two starts at once may build the same: the folder appears whole, by one rename. */
async function build(folder: string): Promise<void> {
  await mkdir(CACHE, { recursive: true });
  await removeStale();
  const draft = await mkdtemp(path.join(CACHE, "draft-"));
  try {
    await bundle(draft);
    await writeFile(path.join(draft, OPTIONS_FILE), JSON.stringify(await readBindings()));
    await rename(draft, folder).catch(async (error: unknown) => {
      if (!(await exists(path.join(folder, OPTIONS_FILE)))) throw error;
    });
  } finally {
    await rm(draft, { recursive: true, force: true });
  }
}

async function bundle(folder: string): Promise<void> {
  const wrangler = path.join(ROOT, "node_modules/wrangler/bin/wrangler.js");
  // Without a container engine wrangler refuses even a dry run, unless it may leave the image alone.
  const args = [wrangler, "deploy", "--dry-run", "--containers-rollout=none", "--outdir", folder];
  const env = { ...process.env, WRANGLER_SEND_METRICS: "false", WRANGLER_LOG_PATH: path.join(folder, "wrangler.log") };
  try {
    await promisify(execFile)(process.execPath, args, { cwd: ROOT, env, timeout: 120_000 });
  } catch (cause) {
    const said = cause instanceof Error && "stderr" in cause ? String(cause.stderr).trim() : String(cause);
    throw new LaunchProblem(`The Worker could not be built; this is what wrangler said:\n${said}`, { cause });
  }
}

/**
 * Containers stay out: no engine is started for them in the local driver. So does `.dev.vars`, which wrangler adds to
 * `vars`: the launcher reads it, and what it holds is nothing to keep in a cache.
 */
async function readBindings(): Promise<object> {
  const { unstable_getMiniflareWorkerOptions: readOptions, unstable_readConfig: readConfig } = await import("wrangler");
  const config = path.join(ROOT, "wrangler.jsonc");
  const { workerOptions } = readOptions(config, undefined, { overrides: { enableContainers: false } });
  const { modulesRules: _rules, ...options } = workerOptions;
  return { ...options, bindings: varsSchema.parse(readConfig({ config })).vars, name: "pincer" };
}

async function listModules(folder: string) {
  const names = await readdir(folder, { recursive: true });
  const modules = names.flatMap((name) => {
    const extension = path.extname(name);
    return isModuleExtension(extension) ? [{ type: MODULE_TYPES[extension], path: path.join(folder, name) }] : [];
  });
  // Miniflare takes the first for the main module.
  const isMain = (module: { readonly path: string }): boolean => path.basename(module.path) === MAIN_MODULE;
  return [...modules.filter(isMain), ...modules.filter((module) => !isMain(module))];
}

function isModuleExtension(extension: string): extension is keyof typeof MODULE_TYPES {
  return Object.hasOwn(MODULE_TYPES, extension);
}

async function removeStale(): Promise<void> {
  for (const name of await readdir(CACHE)) {
    const folder = path.join(CACHE, name);
    const { mtimeMs } = await stat(folder);
    if (Date.now() - mtimeMs > STALE_AFTER_MS) await rm(folder, { recursive: true, force: true });
  }
}

async function exists(file: string): Promise<boolean> {
  return await stat(file).then(
    () => true,
    () => false,
  );
}

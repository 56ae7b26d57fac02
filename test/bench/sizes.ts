import { execFile } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { promisify, stripVTControlCharacters } from "node:util";
import { encode } from "gpt-tokenizer/encoding/o200k_base";
import { spawnSuite } from "../support/suite.ts";

const ROOT = path.resolve(import.meta.dirname, "../..");

/** What a text costs in a conversation; of tools, the JSON that a client is sent. */
export function countTokens(text: string): number {
  return encode(text).length;
}

export interface Startup {
  readonly gzKib: number;
  /** The processor's time until the isolate can serve, on this machine. */
  readonly activeMs: number;
}

/** `wrangler check startup`: bundles the Worker as a deployment does, starts it, and profiles that. */
export async function checkStartup(): Promise<Startup> {
  const folder = await mkdtemp(path.join(tmpdir(), "pincer-bench-"));
  try {
    const wrangler = path.join(ROOT, "node_modules/wrangler/bin/wrangler.js");
    const profile = path.join(folder, "startup.cpuprofile");
    const { stdout } = await promisify(execFile)(
      process.execPath,
      [wrangler, "check", "startup", "--outfile", profile, "--args=--containers-rollout=none"],
      {
        cwd: ROOT,
        timeout: 120_000,
        env: { ...process.env, WRANGLER_SEND_METRICS: "false", WRANGLER_LOG_PATH: folder },
      },
    );
    const said = stripVTControlCharacters(stdout);
    return { gzKib: numberIn(said, /gzip: ([\d.]+) KiB/), activeMs: numberIn(said, /Active: ([\d.]+) ms/) };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

function numberIn(text: string, pattern: RegExp): number {
  const found = pattern.exec(text)?.[1];
  if (found === undefined) throw new Error(`wrangler check startup did not say ${pattern.source}:\n${text}`);
  return Number(found);
}

/** From `npm start` to `ready` on a data folder that has been used before, the middle one of a few. */
export async function timeWarmStart(dataDir: string): Promise<number> {
  const times: number[] = [];
  for (let start = 0; start < 3; start += 1) {
    const startedMs = performance.now();
    const suite = spawnSuite(["--data", dataDir]);
    await suite.ready;
    times.push(performance.now() - startedMs);
    await suite.end();
  }
  return times.toSorted((a, b) => a - b)[1] ?? Number.NaN;
}

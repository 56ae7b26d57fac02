import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { createInterface } from "node:readline";
import * as z from "zod";

const RUNTIME = join(import.meta.dirname, "../../container/local/runtime.ts");

/** The runtime in a process of its own, as the launcher starts it. */
export async function startRuntimeChild(
  config: object,
  env: Record<string, string> = {},
): Promise<{ child: ChildProcess; url: string }> {
  const child = spawn(process.execPath, [RUNTIME], {
    stdio: ["pipe", "pipe", "inherit"],
    env: { ...process.env, ...env },
  });
  child.stdin.write(`${JSON.stringify(config)}\n`);
  const [line]: unknown[] = await once(createInterface({ input: child.stdout }), "line");
  return { child, url: z.object({ url: z.url() }).parse(JSON.parse(String(line))).url };
}

/** Processes of this machine whose command line is exactly that. */
export async function machineProcesses(commandLine: string): Promise<string[]> {
  const pids = (await readdir("/proc")).filter((name) => /^\d+$/.test(name));
  const lines = await Promise.all(
    pids.map(async (pid) => [pid, await readFile(`/proc/${pid}/cmdline`, "utf8").catch(() => "")] as const),
  );
  return lines.filter(([, line]) => line === `${commandLine}\0`).map(([pid]) => pid);
}

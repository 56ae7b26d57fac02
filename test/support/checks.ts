import { spawn } from "node:child_process";
import path from "node:path";

const ROOT = path.resolve(import.meta.dirname, "../..");

/** A tool from node_modules that has to find nothing. */
interface Check {
  readonly name: string;
  /** A JavaScript file below node_modules. */
  readonly script: string;
  readonly args: readonly string[];
}

export const CHECKS: readonly Check[] = [
  { name: "types", script: "typescript/bin/tsc", args: ["--noEmit", "-p", "tsconfig.json"] },
  // Code of the Worker may use nothing that only Node has.
  { name: "types of the Worker", script: "typescript/bin/tsc", args: ["--noEmit", "-p", "tsconfig.worker.json"] },
  { name: "lint", script: "oxlint/bin/oxlint", args: ["--type-aware", "--deny-warnings"] },
  { name: "format", script: "oxfmt/bin/oxfmt", args: ["--check"] },
  { name: "unused code", script: "knip/bin/knip.js", args: ["--no-progress"] },
];

/** Runs the check and shows what it says where it fails. */
export async function runCheck({ name, script, args }: Check): Promise<boolean> {
  const startedMs = performance.now();
  const file = path.join(ROOT, "node_modules", script);
  const child = spawn(process.execPath, [file, ...args], { cwd: ROOT, stdio: ["ignore", "pipe", "pipe"] });
  let said = "";
  const listen = (chunk: unknown): void => {
    said += String(chunk);
  };
  child.stdout.on("data", listen);
  child.stderr.on("data", listen);
  const code = await new Promise<number>((resolve) => {
    child.once("error", (error) => {
      listen(error);
      resolve(1);
    });
    child.once("close", (exitCode) => resolve(exitCode ?? 1));
  });
  const seconds = ((performance.now() - startedMs) / 1_000).toFixed(1);
  console.log(`${code === 0 ? "ok    " : "FAILED"} ${name} (${seconds} s)`);
  if (code !== 0) console.log(said.trimEnd());
  return code === 0;
}

import { spawn } from "node:child_process";
import path from "node:path";

/**
 * `npm run deploy`: wrangler deploys the Worker, its Durable Objects and the sandbox image. Arguments go to wrangler;
 * `-- --dry-run` changes nothing and needs no account.
 */

const ROOT = path.resolve(import.meta.dirname, "..");

async function wrangler(args: readonly string[]): Promise<number> {
  const script = path.join(ROOT, "node_modules/wrangler/bin/wrangler.js");
  const child = spawn(process.execPath, [script, ...args], { cwd: ROOT, stdio: "inherit" });
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, () => child.kill(signal));
  return await new Promise((resolve) => {
    child.once("error", () => resolve(1));
    child.once("exit", (code) => resolve(code ?? 1));
  });
}

async function hasContainerEngine(): Promise<boolean> {
  const engine = process.env["WRANGLER_DOCKER_BIN"] ?? "docker";
  const child = spawn(engine, ["info"], { stdio: "ignore" });
  return await new Promise((resolve) => {
    child.once("error", () => resolve(false));
    child.once("exit", (code) => resolve(code === 0));
  });
}

async function main(args: readonly string[]): Promise<number> {
  const rollout = args.find((argument) => argument.startsWith("--containers-rollout"));
  if (rollout !== undefined || (await hasContainerEngine())) return await wrangler(["deploy", ...args]);
  if (args.includes("--dry-run")) {
    console.error("No container engine answers: the sandbox image is left out of this dry run.");
    return await wrangler(["deploy", "--containers-rollout=none", ...args]);
  }
  console.error(
    "The sandbox image is built here, and no container engine answers: start Docker, or deploy without a new image " +
      "by npm run deploy -- --containers-rollout=none.",
  );
  return 1;
}

process.exitCode = await main(process.argv.slice(2));

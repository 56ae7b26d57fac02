import { once } from "node:events";
import { createInterface } from "node:readline";
import * as z from "zod";
import { LaunchProblem } from "./launch-problem.ts";
import { loadWorker } from "./worker-host-bundle.ts";
import { startWorker, workerConfigSchema } from "./worker-host-miniflare.ts";

/**
 * The process around workerd, a child of the launcher: Miniflare takes the signals of its process for itself. It is
 * told what to run by one line of JSON on stdin, says `{"isReady":true}` on stdout, and ends when stdin does.
 */

function say(message: { report: string } | { problem: string } | { isReady: true }): void {
  process.stdout.write(`${JSON.stringify(message)}\n`);
}

async function main(): Promise<void> {
  const stdin = createInterface({ input: process.stdin });
  const gone = once(stdin, "close");
  const configured = once(stdin, "line");
  // The bundle is looked up while the launcher still prepares the rest.
  const worker = loadWorker((line) => say({ report: line }));
  worker.catch(() => undefined);
  const [line] = await Promise.race([configured, gone]);
  if (line === undefined) return;
  const config = workerConfigSchema.parse(JSON.parse(z.string().parse(line)));
  const host = await startWorker(await worker, config);
  say({ isReady: true });
  await gone;
  await host.close();
}

try {
  await main();
  process.exit(0);
} catch (failure) {
  console.error(failure);
  const problem = failure instanceof LaunchProblem ? failure.message : undefined;
  if (problem !== undefined) say({ problem });
  process.exit(1);
}

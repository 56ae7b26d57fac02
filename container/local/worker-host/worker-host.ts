import { createInterface } from "node:readline";
import { LaunchProblem } from "../launch/problem.ts";
import { loadWorker } from "./bundle.ts";
import { startWorker, workerConfigSchema } from "./miniflare.ts";

/**
 * The process around workerd, a child of the launcher: Miniflare takes the signals of its process for itself. It is
 * told what to run by one line of JSON on stdin, says `{"isReady":true}` on stdout, and ends when stdin does.
 */

function say(message: { report: string } | { problem: string } | { isReady: true }): void {
  process.stdout.write(`${JSON.stringify(message)}\n`);
}

async function main(): Promise<void> {
  const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
  // The bundle is looked up while the launcher still prepares the rest.
  const worker = loadWorker((line) => say({ report: line }));
  worker.catch(() => undefined);
  const first = await lines.next();
  if (first.done === true) return;
  const config = workerConfigSchema.parse(JSON.parse(first.value));
  const host = await startWorker(await worker, config);
  say({ isReady: true });
  // The launcher says nothing more: what comes next is its end.
  await lines.next();
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

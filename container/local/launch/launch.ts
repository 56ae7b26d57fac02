import { banner } from "./banner.ts";
import { USAGE, parseLaunchOptions } from "./options.ts";
import { LaunchProblem } from "./problem.ts";
import { takeUserSettings } from "./settings.ts";
import { startSuite } from "./suite.ts";
import { provision } from "./provision.ts";

/** `npm start`: provides what is missing, starts the whole suite on this machine, and ends all of it again. */

const END_TIMEOUT_MS = 8_000;

const closers: (() => Promise<void>)[] = [];
const ending = new AbortController();
let provisioned = Promise.resolve();

/** Ends what was started, the last first; what hangs is left to the parent-death signals. */
async function end(code: number): Promise<never> {
  ending.abort();
  await provisioned.catch(() => undefined);
  const deadline = setTimeout(() => process.exit(code), END_TIMEOUT_MS);
  for (const close of closers.toReversed()) {
    await close().catch((error: unknown) => console.error(String(error)));
  }
  clearTimeout(deadline);
  process.exit(code);
}

async function main(): Promise<void> {
  const options = parseLaunchOptions(process.argv.slice(2));
  if (options === undefined) {
    console.log(USAGE);
    return;
  }
  // Before anything is started.
  const userSettings = takeUserSettings(process.env);
  const report = (line: string): void => console.error(line);
  provisioned = provision({ mayInstall: options.mayInstall, report, signal: ending.signal });
  await provisioned;
  if (ending.signal.aborted) return;
  const suite = await startSuite(options, userSettings, { add: (close) => closers.push(close) }, report);
  console.log(banner(suite));
  console.log(`ready ${suite.url}`);
}

for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
  process.on(signal, () => {
    // One Ctrl-C arrives several times: from the terminal, and passed on by npm and the bootstrap.
    if (!ending.signal.aborted) void end(0);
  });
}

try {
  await main();
} catch (failure) {
  if (!(failure instanceof LaunchProblem)) console.error(failure);
  else console.error(failure.message);
  if (!ending.signal.aborted) await end(1);
}

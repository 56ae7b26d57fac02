import { spawn } from "node:child_process";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import * as z from "zod";
import { provision } from "../container/local/launch/provision.ts";
import { CHECKS, runCheck } from "./support/checks.ts";

/**
 * `npm test`: every check and every test, on a fresh clone too. Arguments go to vitest. The last line is the sum,
 * in which a check counts as one test.
 */

const ROOT = path.resolve(import.meta.dirname, "..");
const LIFELINE = path.join(ROOT, "container/local/lifeline.mjs");

interface Sum {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
}

async function main(args: readonly string[]): Promise<Sum> {
  const mayInstall = !args.includes("--no-install");
  const { signal } = new AbortController();
  const provisioned = provision({ mayInstall, report: (line) => console.error(line), signal });
  const [failedChecks, tests] = await Promise.all([
    runChecks(),
    provisioned.then(async () => await runTests(args.filter((argument) => argument !== "--no-install"))),
  ]);
  // What they said stands far above by now.
  for (const name of failedChecks) console.log(`FAILED ${name}`);
  return {
    passed: tests.passed + CHECKS.length - failedChecks.length,
    failed: tests.failed + failedChecks.length,
    skipped: tests.skipped,
  };
}

/** One after the other, beside apt and the tests, which often wait. Returns the names of those that failed. */
async function runChecks(): Promise<string[]> {
  const failed: string[] = [];
  for (const check of CHECKS) if (!(await runCheck(check))) failed.push(check.name);
  return failed;
}

async function runTests(args: readonly string[]): Promise<Sum> {
  const folder = await mkdtemp(path.join(tmpdir(), "pincer-test-"));
  try {
    const resultFile = path.join(folder, "result.json");
    const code = await runVitest([
      "run",
      ...args,
      "--reporter=default",
      "--reporter=json",
      `--outputFile=${resultFile}`,
    ]);
    const sum = await readResult(resultFile);
    // Vitest also fails for what belongs to no test, such as an error after the last one.
    return code !== 0 && sum.failed === 0 ? { ...sum, failed: 1 } : sum;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function runVitest(args: readonly string[]): Promise<number> {
  const script = path.join(ROOT, "node_modules/vitest/vitest.mjs");
  const child = spawn(process.execPath, [`--import=${LIFELINE}`, script, ...args], {
    cwd: ROOT,
    stdio: ["ignore", "inherit", "inherit", "ipc"],
    env: { ...process.env, PINCER_BOOTSTRAP_PID: String(process.pid) },
  });
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, () => child.kill(signal));
  return await new Promise((resolve) => {
    child.once("error", () => resolve(1));
    child.once("exit", (code) => resolve(code ?? 1));
  });
}

const resultSchema = z.object({
  numPassedTests: z.int(),
  numFailedTests: z.int(),
  numPendingTests: z.int(),
  numTodoTests: z.int(),
  testResults: z.array(z.object({ status: z.string(), assertionResults: z.array(z.object({ status: z.string() })) })),
});

async function readResult(file: string): Promise<Sum> {
  const result = resultSchema.safeParse(JSON.parse(await readFile(file, "utf8").catch(() => "null")));
  if (!result.success) return { passed: 0, failed: 1, skipped: 0 };
  const { numPassedTests, numFailedTests, numPendingTests, numTodoTests, testResults } = result.data;
  // A file that cannot be loaded has no tests, and fails.
  const brokenFiles = testResults.filter(
    ({ status, assertionResults }) => status === "failed" && !assertionResults.some((test) => test.status === "failed"),
  );
  return {
    passed: numPassedTests,
    failed: numFailedTests + brokenFiles.length,
    skipped: numPendingTests + numTodoTests,
  };
}

const { passed, failed, skipped } = await main(process.argv.slice(2));
process.exitCode = failed === 0 ? 0 : 1;
console.log(`${passed} passed, ${failed} failed${skipped === 0 ? "" : `, ${skipped} skipped`}`);

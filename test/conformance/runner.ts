import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { createInterface } from "node:readline";
import { promisify } from "node:util";
import * as z from "zod";

export type Revision = "2026-07-28" | "2025-11-25";

const checksSchema = z.array(
  z.object({
    id: z.string(),
    status: z.enum(["SUCCESS", "FAILURE", "WARNING", "SKIPPED", "INFO"]),
    errorMessage: z.string().optional(),
  }),
);

export type Checks = z.output<typeof checksSchema>;

const PACKAGE = path.resolve(import.meta.dirname, "../../node_modules/@modelcontextprotocol/conformance");
const RUNNER = path.join(PACKAGE, "dist/index.js");
const RUN_TIMEOUT_MS = 120_000;

/** Runs every scenario that the revision requires, and those beside it; what each one found, by its name. */
export async function runRequirements(mcpUrl: URL, revision: Revision): Promise<ReadonlyMap<string, Checks>> {
  return await run(mcpUrl, ["--requirements", revision]);
}

export async function runScenario(mcpUrl: URL, scenario: string, revision: Revision): Promise<Checks> {
  const found = await run(mcpUrl, ["--scenario", scenario, "--spec-version", revision]);
  return checksOf(found, scenario);
}

/** A scenario about an extension, which no revision requires. */
export async function runExtensionScenario(mcpUrl: URL, scenario: string): Promise<Checks> {
  return checksOf(await run(mcpUrl, ["--scenario", scenario]), scenario);
}

interface AuthorizationRun {
  readonly issuer: string;
  readonly clientId: string;
  readonly resource: string;
  /** Where the runner waits for the code. */
  readonly port: number;
  /** The person's part: the runner says where to sign in, and waits. */
  readonly onAuthorizationUrl: (url: URL) => Promise<void>;
}

/** Runs the scenarios for an authorization server; what each one found, by its name. */
export async function runAuthorization(options: AuthorizationRun): Promise<ReadonlyMap<string, Checks>> {
  const { issuer, clientId, resource, port } = options;
  const where = ["--url", issuer, "--client-id", clientId, "--resource", resource, "--port", `${port}`];
  return await resultsIn(async (folder) => {
    const args = [RUNNER, "authorization", ...where, "--output-dir", folder];
    const child = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "inherit"], timeout: RUN_TIMEOUT_MS });
    const ended = once(child, "close");
    for await (const line of createInterface(child.stdout)) {
      const [url] = /^https?:\/\/\S+\/authorize\?\S+/.exec(line) ?? [];
      if (url !== undefined) await options.onAuthorizationUrl(new URL(url));
    }
    await ended;
  });
}

export function checksOf(found: ReadonlyMap<string, Checks>, scenario: string): Checks {
  const checks = found.get(scenario);
  if (checks === undefined) throw new Error(`The conformance runner did not run ${scenario}.`);
  return checks;
}

/** What a scenario holds against the server, one line each; warnings count. */
export function complaintsOf(checks: Checks): string[] {
  return checks
    .filter(({ status }) => status === "FAILURE" || status === "WARNING")
    .map(({ id, errorMessage }) => `${id}: ${errorMessage ?? "no message"}`);
}

/** The scenarios that the revision scores, from the runner's own list. */
export async function requiredScenarios(revision: Revision): Promise<string[]> {
  const file = path.join(PACKAGE, "requirements", `${revision}.yaml`);
  const section = /^server:\n((?: {2}- \S+\n)+)/m.exec(await readFile(file, "utf8"))?.[1] ?? "";
  return section.split("\n").flatMap((line) => (line === "" ? [] : [line.replace("- ", "").trim()]));
}

async function run(mcpUrl: URL, args: readonly string[]): Promise<ReadonlyMap<string, Checks>> {
  return await resultsIn(async (folder) => {
    await runToItsEnd([RUNNER, "server", "--url", mcpUrl.href, "--output-dir", folder, ...args]);
  });
}

/** What the runner has left in a folder of its own. */
async function resultsIn(work: (folder: string) => Promise<void>): Promise<ReadonlyMap<string, Checks>> {
  const folder = await mkdtemp(path.join(tmpdir(), "pincer-conformance-results-"));
  try {
    await work(folder);
    const names = await readdir(folder);
    const found = await Promise.all(
      names.map(async (name): Promise<[string, Checks]> => {
        const checks = checksSchema.parse(JSON.parse(await readFile(path.join(folder, name, "checks.json"), "utf8")));
        return [scenarioOf(name), checks];
      }),
    );
    return new Map(found);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** The runner ends with 1 where a scenario failed: that is read from its results. Any other end is its own failure. */
async function runToItsEnd(args: readonly string[]): Promise<void> {
  try {
    await promisify(execFile)(process.execPath, args, { timeout: RUN_TIMEOUT_MS, maxBuffer: 64 * 1024 * 1024 });
  } catch (failure) {
    if (!(failure instanceof Error && "code" in failure && failure.code === 1)) throw failure;
  }
}

/** `server-<scenario>-<time>` or `authorization-server-<scenario>-<time>`, the time as `2026-11-22T21-44-12-491Z`. */
function scenarioOf(folderName: string): string {
  return folderName.replace(/^(authorization-)?server-/, "").replace(/-\d{4}-\d{2}-\d{2}T[\d-]+Z$/, "");
}

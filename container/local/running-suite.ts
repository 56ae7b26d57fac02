import { readFile } from "node:fs/promises";
import path from "node:path";
import * as z from "zod";

/** What a running suite leaves in its data folder for the scripts beside it. */
export const SUITE_FILE = "suite.json";

const suiteFileSchema = z.object({
  url: z.url(),
  adminSecret: z.string().min(32),
  pid: z.int(),
  startedAt: z.iso.datetime(),
});

export type SuiteFile = Readonly<z.output<typeof suiteFileSchema>>;

/** What the suite in that data folder has announced; nothing where none has. */
export async function readSuiteFile(dataDir: string): Promise<SuiteFile | undefined> {
  try {
    return suiteFileSchema.parse(JSON.parse(await readFile(path.join(dataDir, SUITE_FILE), "utf8")));
  } catch {
    return undefined;
  }
}

/** The suite that runs on that data folder, or an error that says how to start one. */
export async function readSuite(dataDir: string): Promise<SuiteFile> {
  const suite = await readSuiteFile(dataDir);
  if (suite === undefined || !(await isServing(suite.url))) {
    throw new Error(
      `No suite runs with ${path.resolve(dataDir)}; run npm start first, or name its folder with --data DIR.`,
    );
  }
  return suite;
}

/** Asks; a suite that was killed leaves its announcement behind. */
export async function isServing(url: string, timeoutMs = 5_000): Promise<boolean> {
  try {
    const response = await fetch(new URL("/health", url), { signal: AbortSignal.timeout(timeoutMs) });
    await response.body?.cancel();
    return response.ok;
  } catch {
    return false;
  }
}

export interface TokenOptions {
  /** All but none where absent. */
  readonly scopes?: readonly string[];
  readonly expiresInSeconds?: number;
  readonly name?: string;
}

/** A personal access token of the local person. */
export async function requestToken(suite: SuiteFile, options: TokenOptions): Promise<string> {
  const { scopes, expiresInSeconds, name } = options;
  const response = await fetch(new URL("/local/token", suite.url), {
    method: "POST",
    headers: { Authorization: `Bearer ${suite.adminSecret}`, "Content-Type": "application/json" },
    // Absent options stay absent: JSON leaves undefined out.
    body: JSON.stringify({ scopes, expires_in_seconds: expiresInSeconds, name }),
    signal: AbortSignal.timeout(10_000),
  });
  const answer = answerSchema.parse(await response.json().catch(() => ({})));
  if (answer.token !== undefined) return answer.token;
  throw new Error(`The suite made no token: ${answer.error ?? `it answered ${response.status}.`}`);
}

const answerSchema = z.object({ token: z.string().min(1).optional(), error: z.string().optional() });

import type { TestProject } from "vitest/node";
import { readSuite, requestToken } from "../../container/local/running-suite.ts";
import { connectOfficial } from "./mcp-clients.ts";
import { startSuite } from "./suite.ts";

/** No token has a shorter life. */
const SHORT_LIFE_SECONDS = 60;

/** Starts one suite for all e2e tests of the run, and ends it after them. */
export async function setup(project: TestProject): Promise<() => Promise<void>> {
  // To look through its idle sandboxes for changes takes more time than all that tests do in them.
  const suite = await startSuite([], { SNAPSHOT_AFTER: "1h" });
  // Made and used before all tests, so that the one that needs it expired has little left to wait.
  const token = await requestToken(await readSuite(suite.dataDir), { expiresInSeconds: SHORT_LIFE_SECONDS });
  const shortLived = { token, expiresAtMs: Date.now() + SHORT_LIFE_SECONDS * 1_000 };
  await using early = await connectOfficial(new URL("/mcp", suite.url), token, "modern");
  await early.listTools();
  project.provide("suite", { url: suite.url, dataDir: suite.dataDir, shortLived });
  return async () => await suite[Symbol.asyncDispose]();
}

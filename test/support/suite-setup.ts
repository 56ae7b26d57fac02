import type { TestProject } from "vitest/node";
import { startSuite } from "./suite.ts";

/** Starts one suite for all e2e tests of the run, and ends it after them. */
export async function setup(project: TestProject): Promise<() => Promise<void>> {
  const suite = await startSuite();
  project.provide("suite", { url: suite.url, dataDir: suite.dataDir });
  return async () => await suite[Symbol.asyncDispose]();
}

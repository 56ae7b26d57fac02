import { afterAll, afterEach, beforeAll, describe, test } from "vitest";
import type { Sandbox } from "../../servers/sandbox/driver.ts";
import { describeSandbox } from "../support/sandbox-contract.ts";
import { describeFaults } from "../support/sandbox-faults.ts";
import { type EngineWorker, startEngineWorker, whyNoEngine } from "./engine.ts";
import { remoteSandbox } from "./remote-sandbox.ts";

/** Building the image and fetching its base. */
const START_MS = 15 * 60_000;
const TEST_MS = 120_000;
/** As in wrangler.jsonc. */
const WORKER_SECRET = "only-for-tests-only-for-tests-only-for-tests";

/** Fetching and building the image takes its time: only where that is asked for. */
const reason =
  process.env["PINCER_TEST_CONTAINER"] === undefined
    ? "npm run test:container runs it on a container engine"
    : whyNoEngine();

if (reason === undefined) {
  let dev: EngineWorker;
  beforeAll(async () => (dev = await startEngineWorker()), START_MS);
  afterAll(async () => await dev[Symbol.asyncDispose](), TEST_MS);
  const used: Sandbox[] = [];
  // Each is a container: a developer's machine has no room for a hundred.
  afterEach(async () => await Promise.all(used.splice(0).map(async (sandbox) => await sandbox.reset())), TEST_MS);
  const subject = {
    open: async () => {
      const opened = remoteSandbox(dev.url, `u${crypto.randomUUID().replaceAll("-", "")}`);
      used.push(opened.sandbox);
      return await Promise.resolve(opened);
    },
    timeoutMs: TEST_MS,
    secrets: () => [WORKER_SECRET],
  };
  describeSandbox("container", subject);
  // An engine limits neither processes, memory nor disk: what has no limit would take the machine's.
  describeFaults("container", subject, { disk: { folder: "/dev/shm", bytes: 64 * 1024 ** 2 } });
} else {
  describe("container", () => {
    test.skip(`keeps the sandbox's promises (skipped: ${reason})`, () => undefined);
  });
}

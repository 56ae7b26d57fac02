import { availableParallelism } from "node:os";
import { cloudflareTest } from "@cloudflare/vitest-plugin";
import { defineConfig } from "vitest/config";

/** The settings that tests inside the Worker find in `env`; none of them is a secret. */
const TEST_SETTINGS = {
  PUBLIC_URL: "http://localhost:8717",
  IDENTITY: "local",
  LOCAL_SIGN_IN_CODE: "WXYZ-2345",
  LOCAL_ADMIN_SECRET: "a".repeat(40),
  SIGNING_SECRET: "s".repeat(40),
  SANDBOX_DRIVER: "local",
  LOCAL_RUNTIME_URL: "http://127.0.0.1:4000",
  LOCAL_RUNTIME_SECRET: "r".repeat(40),
};

// One more than the machine has cores: a file waits for a good part of its time, for a limit to pass or a process to start.
// Each may take a gigabyte of memory. With two for each core, pages that wait for sandboxes are too slow at times.
const MAX_WORKERS = Math.min(availableParallelism() + 1, 8);
/** What hangs ends; what is slow on a busy machine does not. */
const TIMEOUT_MS = 60_000;
/** What comes in a moment is polled for longer than it takes there. */
const POLL_TIMEOUT_MS = 20_000;
const COMMON = {
  testTimeout: TIMEOUT_MS,
  hookTimeout: TIMEOUT_MS,
  expect: { poll: { timeout: POLL_TIMEOUT_MS } },
  // Modules keep no state, and to load them anew for each file takes a second or two of a core, of the whole Worker more.
  isolate: false,
};

export default defineConfig({
  test: {
    maxWorkers: MAX_WORKERS,
    projects: [
      { test: { ...COMMON, name: "unit", include: ["test/unit/**/*.test.ts"] } },
      {
        plugins: [
          cloudflareTest({
            wrangler: { configPath: "./wrangler.jsonc" },
            miniflare: {
              bindings: TEST_SETTINGS,
              // A test that needs the network brings it along.
              outboundService: ({ url }) => {
                throw new Error(`A test wants ${url}, which is not there.`);
              },
            },
          }),
        ],
        test: {
          ...COMMON,
          name: "workers",
          include: ["test/workers/**/*.test.ts"],
          setupFiles: ["test/workers/empty-storage.ts"],
        },
      },
      {
        test: {
          ...COMMON,
          name: "machine",
          // Whatever is not above or below, so that no test is left out by its place.
          include: ["test/**/*.test.ts"],
          exclude: ["test/{unit,workers,e2e,conformance}/**"],
        },
      },
      {
        test: {
          ...COMMON,
          name: "e2e",
          include: ["test/{e2e,conformance}/**/*.test.ts"],
          globalSetup: ["test/support/suite-setup.ts"],
          // The last of all, since the sandboxes of their suite are watched until the end.
          sequence: { groupOrder: 1 },
        },
      },
    ],
  },
});

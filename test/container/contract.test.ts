import { once } from "node:events";
import { createServer } from "node:net";
import { networkInterfaces } from "node:os";
import { afterEach, beforeAll, describe, expect, test } from "vitest";
import type { Sandbox } from "../../servers/sandbox/driver.ts";
import { type ForkedSandbox, describeDiscards, describeForks } from "../support/fork-contract.ts";
import { describePorts } from "../support/port-contract.ts";
import { describeSandbox, run } from "../support/sandbox-contract.ts";
import { describeFaults } from "../support/sandbox-faults.ts";
import { describeSnapshots } from "../support/snapshot-contract.ts";
import { type EngineWorker, startEngineWorker, whyNoContainers } from "./engine.ts";
import { type RemoteSandbox, remoteSandbox } from "./remote-sandbox.ts";

/** Building the image and fetching its base. */
const START_MS = 15 * 60_000;
const TEST_MS = 120_000;
/** As in wrangler.jsonc. */
const WORKER_SECRET = "only-for-tests-only-for-tests-only-for-tests";

const reason = whyNoContainers();

if (reason === undefined) {
  let worker: EngineWorker;
  // What ends it comes with it: where it did not start there is nothing to end.
  beforeAll(async () => {
    worker = await startEngineWorker({ SNAPSHOT_AFTER: "1s" });
    return async () => await worker[Symbol.asyncDispose]();
  }, START_MS);
  const used: Sandbox[] = [];
  // Each is a container: a developer's machine has no room for a hundred.
  afterEach(async () => await Promise.all(used.splice(0).map(async (sandbox) => await sandbox.reset())), TEST_MS);
  const newUser = (): string => `u${crypto.randomUUID().replaceAll("-", "")}`;
  const opened = (userId: string, sandboxId = userId): RemoteSandbox => {
    const remote = remoteSandbox(worker.url, userId, sandboxId);
    used.push(remote.sandbox);
    return remote;
  };
  const lose = async (): Promise<void> => await worker.stopContainers();
  const subject = {
    open: async () => await Promise.resolve({ ...opened(newUser()), lose }),
    timeoutMs: TEST_MS,
    secrets: () => [WORKER_SECRET],
  };
  const copies = {
    open: async () => {
      const userId = newUser();
      const named = (name: string): ForkedSandbox => {
        const { id, sandbox } = opened(userId, `${userId}-${name}`);
        return { id, sandbox, lose, traces: async () => await worker.snapshotKeys(`${id}/`) };
      };
      const { files } = remoteSandbox(worker.url, userId);
      return await Promise.resolve({ files, source: named("main"), copy: named("copy"), other: named("other") });
    },
    timeoutMs: TEST_MS,
  };
  describeSandbox("container", subject);
  describePorts("container", subject);
  describeSnapshots("container", subject);
  describeForks("container", copies);
  describeDiscards("container", copies);
  describe("container: what it reaches", { timeout: TEST_MS }, () => {
    test("hosts that nobody listed are refused in words, and what is no HTTP reaches nobody", async () => {
      const { sandbox } = opened(newUser());
      let reached = 0;
      const server = createServer((socket) => {
        reached += 1;
        socket.end("reached\n");
      });
      await once(server.listen(0, "0.0.0.0"), "listening");
      const address = server.address();
      const port = typeof address === "object" ? address?.port : undefined;
      try {
        for (const host of ["example.com", "169.254.169.254"]) {
          const { stdout } = await run(sandbox, `curl -sS -m 20 'http://${host}/'`);
          expect(stdout.text).toContain(`may not reach ${host}; ask the operator`);
        }
        for (const own of ownAddresses()) {
          const { stdout } = await run(sandbox, `timeout 5 bash -c 'cat < /dev/tcp/${own}/${port}'`);
          expect(stdout.text).toBe("");
        }
        expect((await run(sandbox, "curl -sS -m 20 https://example.com/")).exitCode).not.toBe(0);
        expect(reached).toBe(0);
      } finally {
        server.close();
      }
    });
  });
  // An engine limits neither processes, memory nor disk: what has no limit would take the machine's.
  describeFaults("container", subject, { disk: { folder: "/dev/shm", bytes: 64 * 1024 ** 2 } });
} else {
  describe("container", () => {
    test.skip(`keeps the sandbox's promises (skipped: ${reason})`, () => undefined);
  });
}

/** This machine's, but for the engine's own networks: in these an engine hands over nothing. */
function ownAddresses(): readonly string[] {
  return Object.entries(networkInterfaces())
    .filter(([name]) => !/^(br-|docker|podman|cni)/.test(name))
    .flatMap(([, addresses]) => addresses ?? [])
    .filter(({ family, internal }) => family === "IPv4" && !internal)
    .map(({ address }) => address);
}

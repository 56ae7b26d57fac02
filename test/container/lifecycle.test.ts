import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import * as z from "zod";
import type { Sandbox, Watch } from "../../servers/sandbox/driver.ts";
import { containerNanoUsd } from "../../servers/account/prices.ts";
import { parseSettings } from "../../servers/shared/settings.ts";
import { remoteSandbox } from "./remote-sandbox.ts";
import { type StandIn, startStandIn, whyNoStandIn } from "./stand-in.ts";

const usageSchema = z.array(z.looseObject({ sandboxMs: z.number(), estimatedNanoUsd: z.number() })).length(1);
const ROOT = join(import.meta.dirname, "../..");
const reason = whyNoStandIn();

test("the size that is priced by default is the one that is deployed", async () => {
  const deployed = /"instance_type": "([^"]+)"/.exec(await readFile(join(ROOT, "wrangler.jsonc"), "utf8"))?.[1];
  const { SANDBOX_INSTANCE_TYPE } = parseSettings({
    PUBLIC_URL: "https://pincer.example.com",
    IDENTITY: "access-edge",
    ACCESS_TEAM_DOMAIN: "https://team.cloudflareaccess.com",
    ACCESS_AUDIENCE: "aud",
    SIGNING_SECRET: "s".repeat(32),
    SANDBOX_DRIVER: "container",
  });
  expect(SANDBOX_INSTANCE_TYPE).toBe(deployed);
});

if (reason === undefined) {
  describe("a container's life", () => {
    let standIn: StandIn;
    beforeAll(async () => (standIn = await startStandIn()));
    afterAll(async () => await standIn.close());
    const open = (): Sandbox => remoteSandbox(standIn.url, `u${crypto.randomUUID().replaceAll("-", "")}`).sandbox;

    test("who waits for the start is told so once, and nobody afterwards", async () => {
      const sandbox = open();
      const told: string[] = [];
      const watch = { ...quiet(), onStarting: () => told.push("starting"), onOutput: () => told.push("output") };
      await sandbox.exec(command("echo first; sleep 0.5"), watch);
      expect(told).toEqual(["starting", "output"]);
      await sandbox.exec(command("echo second; sleep 0.5"), watch);
      expect(told).toEqual(["starting", "output", "output"]);
    });

    test("one that the platform stops in the middle of a command says so, and the next call works", async () => {
      const sandbox = open();
      const { processId } = await sandbox.exec(command("sleep 60", 0), quiet());
      const stop = (): void => void standIn.stopContainers();
      const call = sandbox.exec(command("echo begun; sleep 60"), { ...quiet(), onOutput: stop });
      await expect(call).rejects.toMatchObject({
        code: "unavailable",
        message: expect.stringContaining("stopped in the middle of the call"),
      });
      expect(await sandbox.status()).toMatchObject({ state: "asleep" });
      expect(await sandbox.listProcesses()).toEqual([]);
      await expect(sandbox.readOutput(processId, "stdout")).rejects.toMatchObject({ code: "not_found" });
      expect((await sandbox.status()).state).toBe("asleep");
      expect((await sandbox.exec(command("echo alive"), quiet())).stdout.text).toBe("alive\n");
    });

    test("what it costs grows while it runs, and is remembered when it has ended", async () => {
      const sandbox = open();
      expect((await sandbox.status()).costUsd).toBe(0);
      await sandbox.exec(command("sleep 1"), quiet());
      const running = await sandbox.status();
      // A standard-1 has half a processor, 4 GiB and 8 GB.
      const usdPerSecond = 0.5 * 0.1 * 0.00002 + 4 * 0.0000025 + 8 * 0.00000007;
      expect(running.costUsd).toBeLessThanOrEqual((usdPerSecond * (running.uptimeMs ?? 0)) / 1_000 + 1e-9);
      expect(running.costUsd).toBeGreaterThan(usdPerSecond * 0.9);
      await sandbox.reset();
      const ended = await sandbox.status();
      expect(ended).toMatchObject({
        driver: "container",
        state: "asleep",
        notes: [expect.stringContaining("estimate")],
      });
      expect(ended.costUsd).toBeGreaterThanOrEqual(running.costUsd);
      expect(await sandbox.status()).toEqual(ended);
    });

    test("its time is in its person's books once it has ended, each moment of it once", async () => {
      const userId = `u${crypto.randomUUID().replaceAll("-", "")}`;
      const inBooks = async (): Promise<unknown> =>
        await (await fetch(new URL(`/usage/${userId}`, standIn.url))).json();
      const sandboxes = ["one", "two"].map((name) => remoteSandbox(standIn.url, userId, `${userId}-${name}`).sandbox);
      const ended = sandboxes.map(async (sandbox) => {
        await sandbox.exec(command("sleep 1"), quiet());
        await sandbox.reset();
        await sandbox.exec(command("sleep 1"), quiet());
        await sandbox.discard();
      });
      await Promise.all(ended);
      const [row] = usageSchema.parse(await inBooks());
      expect(row).toMatchObject({ key: "sandbox/time", calls: 0, nanoUsd: 0 });
      expect(row?.sandboxMs).toBeGreaterThan(4_000);
      // Two sandboxes, twice, and next to nothing to start and end.
      expect(row?.sandboxMs).toBeLessThan(30_000);
      expect(row?.estimatedNanoUsd).toBeCloseTo(containerNanoUsd("standard-1", row?.sandboxMs ?? 0), -1);
      expect(await inBooks()).toEqual([row]);
    });

    test("its limits are those of its size", async () => {
      const sandbox = open();
      await sandbox.exec(command("true"), quiet());
      const { disk, memory } = await sandbox.status();
      expect(disk?.limitBytes).toBeLessThanOrEqual(8e9);
      expect(memory?.limitBytes).toBeLessThanOrEqual(4 * 1024 ** 3);
    });
  });

  test("a container that idles sleeps though its status is asked for, and one in which a command runs does not", async () => {
    const standIn = await startStandIn({ SANDBOX_SLEEP_AFTER: "2s" });
    try {
      const [idle, busy] = ["idle", "busy"].map((name) => remoteSandbox(standIn.url, name).sandbox);
      await idle?.exec(command("true"), quiet());
      const running = await busy?.exec(command("until [[ -e go ]]; do sleep 0.1; done", 0), quiet());
      for (let asked = 0; asked < 10; asked += 1) {
        await new Promise((resolve) => setTimeout(resolve, 1_000));
        await Promise.all([idle?.status(), idle?.listProcesses(), idle?.listContexts()]);
      }
      expect(await idle?.status()).toMatchObject({ state: "asleep", costUsd: expect.any(Number) });
      await busy?.writeFile("go", new Uint8Array());
      const read = { after: { stdout: 0, stderr: 0 }, waitMs: 20_000, until: "end", maxChars: 100 } as const;
      expect(await busy?.readProcess(running?.processId ?? "", read, quiet())).toMatchObject({ exitCode: 0 });
      expect((await idle?.exec(command("echo awake"), quiet()))?.stdout.text).toBe("awake\n");
    } finally {
      await standIn.close();
    }
  });
} else {
  describe("a container's life", () => {
    test.skip(`is true to what is said of it (skipped: ${reason})`, () => undefined);
  });
}

function quiet(): Watch {
  return { signal: new AbortController().signal };
}

function command(script: string, waitMs = 30_000): Parameters<Sandbox["exec"]>[0] {
  return { command: script, timeoutMs: 60_000, waitMs, maxChars: 10_000 };
}

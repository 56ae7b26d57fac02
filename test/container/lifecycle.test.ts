import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Sandbox, Watch } from "../../servers/sandbox/driver.ts";
import { parseSettings } from "../../servers/shared/settings.ts";
import { remoteSandbox } from "./remote-sandbox.ts";
import { type StandIn, startStandIn, whyNoStandIn } from "./stand-in.ts";

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
      const call = sandbox.exec(command("echo begun; sleep 60"), quiet());
      setTimeout(() => void standIn.stopContainers(), 700);
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
      expect(running.costUsd).toBeCloseTo((usdPerSecond * (running.uptimeMs ?? 0)) / 1_000, 6);
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

    test("its limits are those of its size", async () => {
      const sandbox = open();
      await sandbox.exec(command("true"), quiet());
      const { disk, memory } = await sandbox.status();
      expect(disk?.limitBytes).toBeLessThanOrEqual(8e9);
      expect(memory?.limitBytes).toBeLessThanOrEqual(4 * 1024 ** 3);
    });
  });

  test("a container that idles sleeps, and one in which a command runs does not", async () => {
    const standIn = await startStandIn({ SANDBOX_SLEEP_AFTER: "2s" });
    try {
      const [idle, busy] = ["idle", "busy"].map((name) => remoteSandbox(standIn.url, name).sandbox);
      await idle?.exec(command("true"), quiet());
      const running = await busy?.exec(command("sleep 8; echo done > done", 0), quiet());
      // Asking would count as use.
      await new Promise((resolve) => setTimeout(resolve, 10_000));
      expect(await idle?.status()).toMatchObject({ state: "asleep", costUsd: expect.any(Number) });
      const read = { after: { stdout: 0, stderr: 0 }, waitMs: 5_000, until: "end", maxChars: 100 } as const;
      expect(await busy?.readProcess(running?.processId ?? "", read, quiet())).toMatchObject({ exitCode: 0 });
      expect((await idle?.exec(command("echo awake"), quiet()))?.stdout.text).toBe("awake\n");
    } finally {
      await standIn.close();
    }
  });

  describe("a container's commands", () => {
    let standIn: StandIn;
    beforeAll(async () => (standIn = await startStandIn()));
    afterAll(async () => await standIn.close());
    const open = (): Sandbox => remoteSandbox(standIn.url, `u${crypto.randomUUID().replaceAll("-", "")}`).sandbox;

    test("a reader far behind gets the end of an output that is not all kept", async () => {
      const sandbox = open();
      const { processId } = await sandbox.exec(command("head -c 90M /dev/zero | tr '\\0' x; echo; echo end"), quiet());
      const total = 90 * 1024 ** 2 + 5;
      const read = async (stdout: number): Promise<string> => {
        const after = { stdout, stderr: 0 };
        const output = await sandbox.readProcess(processId, { after, waitMs: 0, maxChars: 1_000 }, quiet());
        expect(output.stdout.totalBytes).toBe(total);
        return output.stdout.text;
      };
      expect(await read(0)).toMatch(/^x{600}\n… \d+ bytes left out …\nx+\nend\n$/);
      expect(await read(70 * 1024 ** 2)).toMatch(/^\n… \d+ bytes left out …\nx+\nend\n$/);
      expect(await read(total - 4)).toBe("end\n");
    });

    test("a command whose watcher was killed has ended, nobody knows how", async () => {
      const sandbox = open();
      const { processId } = await sandbox.exec(command("echo said; sleep 60", 500), quiet());
      await sandbox.exec(command(`kill -9 $(cut -d' ' -f1 /var/lib/pincer/calls/${processId})`), quiet());
      const read = { after: { stdout: 0, stderr: 0 }, waitMs: 5_000, until: "end", maxChars: 100 } as const;
      expect(await sandbox.readProcess(processId, read, quiet())).toEqual({
        processId,
        command: "echo said; sleep 60",
        startedAtMs: expect.any(Number),
        isRunning: false,
        isReached: true,
        hasTimedOut: false,
        durationMs: expect.any(Number),
        stdout: { text: "said\n", totalBytes: 5, isCut: false },
        stderr: { text: "", totalBytes: 0, isCut: false },
      });
      await expect(sandbox.signalProcess(processId, "SIGTERM")).rejects.toMatchObject({ code: "conflict" });
    });

    test("what a command's own code says to its watcher breaks nothing", async () => {
      const sandbox = open();
      const { processId } = await sandbox.exec(command("cat", 300, "open"), quiet());
      const attack =
        "import socket\nfor said in (b'{}\\n', b'[]\\n', b'{\"do\": 1}\\n', b'\\xff\\n', b'{\"do\":\"input\",\"text\":1}\\n', b''):\n" +
        `    with socket.socket(socket.AF_UNIX) as s:\n        s.connect('/var/lib/pincer/commands/${processId}/control')\n        s.sendall(said)`;
      expect((await sandbox.exec(command(`python3 -c "$A"`, 20_000, "closed", attack), quiet())).exitCode).toBe(0);
      const before = await sandbox.writeInput(processId, { text: "alive\n", isEnd: true });
      const read = { after: before, waitMs: 5_000, until: "end", maxChars: 100 } as const;
      expect((await sandbox.readProcess(processId, read, quiet())).stdout.text).toBe("alive\n");
    });

    test("a command with a zero byte or half a character is a result", async () => {
      const sandbox = open();
      expect((await sandbox.exec(command("echo \0"), quiet())).exitCode).toBe(126);
      expect((await sandbox.exec(command("echo \ud83d"), quiet())).stdout.text).toBe("\ufffd\n");
    });

    test("code whose caller has gone is interrupted, and its context keeps its state", async () => {
      const sandbox = open();
      const code = { language: "python", context: "main", timeoutMs: 30_000, maxChars: 100 } as const;
      await sandbox.runCode({ ...code, code: "kept = 7" }, quiet());
      const abort = new AbortController();
      const call = sandbox.runCode({ ...code, code: "while True: pass" }, { signal: abort.signal });
      setTimeout(() => abort.abort(), 500);
      await expect(call).rejects.toMatchObject({ code: "cancelled" });
      const next = await sandbox.runCode({ ...code, code: "kept" }, quiet());
      expect(next.results).toEqual([{ text: "7" }]);
      expect(next.durationMs).toBeLessThan(5_000);
    });

    test("what was replaced keeps its permissions", async () => {
      const sandbox = open();
      await sandbox.exec(command("echo 'echo one' > tool; chmod 750 tool"), quiet());
      await sandbox.writeFile("tool", new TextEncoder().encode("echo two\n"));
      expect((await sandbox.exec(command("stat -c %a tool; ./tool"), quiet())).stdout.text).toBe("750\ntwo\n");
    });

    test("output that comes while a reader waits is told", async () => {
      const sandbox = open();
      const { processId } = await sandbox.exec(command("sleep 0.5; echo heard; sleep 2", 0), quiet());
      const heard: string[] = [];
      const read = { after: { stdout: 0, stderr: 0 }, waitMs: 10_000, until: "end", maxChars: 100 } as const;
      await sandbox.readProcess(processId, read, { ...quiet(), onOutput: (piece) => heard.push(piece) });
      expect(heard).toEqual(["heard\n"]);
    });
  });
} else {
  describe("a container's life", () => {
    test.skip(`is true to what is said of it (skipped: ${reason})`, () => undefined);
  });
}

function quiet(): Watch {
  return { signal: new AbortController().signal };
}

function command(
  script: string,
  waitMs = 30_000,
  input: "closed" | "open" = "closed",
  code = "",
): Parameters<Sandbox["exec"]>[0] {
  return { command: script, input, env: { A: code }, timeoutMs: 60_000, waitMs, maxChars: 10_000 };
}

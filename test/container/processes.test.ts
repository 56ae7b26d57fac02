import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Command, Sandbox, Watch } from "../../servers/sandbox/driver.ts";
import { remoteSandbox } from "./remote-sandbox.ts";
import { type StandIn, startStandIn, whyNoStandIn } from "./stand-in.ts";

const reason = whyNoStandIn();

if (reason === undefined) {
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
      const { processId } = await sandbox.exec(command("echo said; sleep 60", 0), quiet());
      const said = {
        after: { stdout: 0, stderr: 0 },
        waitMs: 20_000,
        until: { pattern: "said\n" },
        maxChars: 100,
      } as const;
      expect((await sandbox.readProcess(processId, said, quiet())).isReached).toBe(true);
      await sandbox.exec(command(`kill -9 $(cut -d' ' -f1 /dev/pincer/calls/${processId})`), quiet());
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
      const { processId } = await sandbox.exec(command("cat", 300, { input: "open" }), quiet());
      const attack =
        "import socket\nfor said in (b'{}\\n', b'[]\\n', b'{\"do\": 1}\\n', b'\\xff\\n', b'{\"do\":\"input\",\"text\":1}\\n', b''):\n" +
        `    with socket.socket(socket.AF_UNIX) as s:\n        s.connect('/dev/pincer/commands/${processId}/control')\n        s.sendall(said)`;
      expect(
        (await sandbox.exec(command(`python3 -c "$ATTACK"`, 20_000, { env: { ATTACK: attack } }), quiet())).exitCode,
      ).toBe(0);
      const before = await sandbox.writeInput(processId, { text: "alive\n", isEnd: true });
      const read = { after: before, waitMs: 5_000, until: "end", maxChars: 100 } as const;
      expect((await sandbox.readProcess(processId, read, quiet())).stdout.text).toBe("alive\n");
    });

    test("a pattern is JavaScript's, with the flag m, where Python has words for it", async () => {
      const sandbox = open();
      const { processId } = await sandbox.exec(command("printf 'one\\n[two] x-x\\n'"), quiet());
      const isFound = async (pattern: string): Promise<boolean> => {
        const read = { after: { stdout: 0, stderr: 0 }, waitMs: 0, until: { pattern }, maxChars: 100 } as const;
        return (await sandbox.readProcess(processId, read, quiet())).isReached;
      };
      for (const pattern of [
        "^\\[two",
        "e$",
        "one[^]*x$",
        "[[]two[\\]]",
        "(?<same>x)-\\k<same>",
        "(?<=-)x",
        "\\u0078-x",
      ]) {
        expect([pattern, await isFound(pattern)]).toEqual([pattern, true]);
      }
      for (const pattern of ["[]", "one.*two", "\\[^]", "^two"]) {
        expect([pattern, await isFound(pattern)]).toEqual([pattern, false]);
      }
      for (const pattern of ["[", "\\p{L}", "(?<=a*)b"]) {
        await expect(isFound(pattern)).rejects.toMatchObject({ code: "invalid_input" });
      }
    });

    test("what a pattern may take limits no command that runs after it", async () => {
      const sandbox = open();
      const { processId } = await sandbox.exec(command("echo here"), quiet());
      const read = { after: { stdout: 0, stderr: 0 }, waitMs: 0, until: { pattern: "here" }, maxChars: 100 } as const;
      expect((await sandbox.readProcess(processId, read, quiet())).isReached).toBe(true);
      const limits = "ulimit -Sv; ulimit -Hv; sleep 0.5";
      // At once, so that every process that is free takes one.
      const results = await Promise.all([1, 2, 3, 4].map(async () => await sandbox.exec(command(limits), quiet())));
      expect(results.map(({ stdout }) => stdout.text)).toEqual(Array(4).fill("unlimited\nunlimited\n"));
    });

    test("a command ended by a signal that has no name says its number", async () => {
      expect(await open().exec(command("kill -40 $$"), quiet())).toMatchObject({ exitCode: 168, signal: "SIG40" });
    });

    test("a pattern is found in the middle of megabytes that came at once", async () => {
      const sandbox = open();
      const fill = "head -c 1500k /dev/zero | tr '\\0' x";
      const { processId } = await sandbox.exec(command(`${fill}; echo needle; ${fill}`), quiet());
      const read = { after: { stdout: 0, stderr: 0 }, waitMs: 0, maxChars: 100 } as const;
      const until = { pattern: "xneedle$" };
      expect((await sandbox.readProcess(processId, { ...read, until }, quiet())).isReached).toBe(true);
    });

    test.each(["127.0.0.1", "0.0.0.0", "::1", "::"])("what listens on %s listens on localhost", async (address) => {
      const sandbox = open();
      const script =
        "import os, socket, sys, time; s = socket.socket(socket.AF_INET6 if ':' in sys.argv[1] else socket.AF_INET); " +
        "s.bind((sys.argv[1], 8123)); [time.sleep(0.05) for _ in iter(lambda: os.path.exists('go'), True)]; s.listen(); time.sleep(60)";
      const { processId } = await sandbox.exec(command(`python3 -c "${script}" ${address}`, 0), quiet());
      const read = { after: { stdout: 0, stderr: 0 }, until: { port: 8123 }, maxChars: 100 } as const;
      expect(await sandbox.readProcess(processId, { ...read, waitMs: 100 }, quiet())).toMatchObject({
        isReached: false,
      });
      await sandbox.writeFile("go", new Uint8Array());
      expect(await sandbox.readProcess(processId, { ...read, waitMs: 20_000 }, quiet())).toMatchObject({
        isReached: true,
      });
    });

    test("a process that does not read is not given more than it may have waiting", async () => {
      const sandbox = open();
      const { processId } = await sandbox.exec(command("sleep 60", 0, { input: "open" }), quiet());
      const text = "x".repeat(12_000_000);
      for (const _ of [1, 2]) await sandbox.writeInput(processId, { text, isEnd: false });
      await expect(sandbox.writeInput(processId, { text, isEnd: false })).rejects.toMatchObject({
        code: "limit_reached",
      });
      expect(await sandbox.signalProcess(processId, "SIGKILL")).toEqual({ stdout: 0, stderr: 0 });
    });

    test("half a character in a command stands for one that is missing", async () => {
      const sandbox = open();
      expect((await sandbox.exec(command("echo \ud83d"), quiet())).stdout.text).toBe("\ufffd\n");
    });

    test("what was replaced keeps its permissions", async () => {
      const sandbox = open();
      await sandbox.exec(command("echo 'echo one' > tool; chmod 750 tool"), quiet());
      await sandbox.writeFile("tool", new TextEncoder().encode("echo two\n"));
      expect((await sandbox.exec(command("stat -c %a tool; ./tool"), quiet())).stdout.text).toBe("750\ntwo\n");
    });

    test("a tool's own command is never listed, and nothing is kept of it when it has ended", async () => {
      const sandbox = open();
      const look = async (script: string, waitMs?: number): Promise<string> =>
        (await sandbox.exec(command(script, waitMs, { isInternal: true }), quiet())).processId;
      const ids = [await look("echo looked"), await look("sleep 2", 0)];
      const { processId } = await sandbox.exec(command("ls /dev/pincer/commands"), quiet());
      expect((await sandbox.listProcesses()).map((info) => info.processId)).toEqual([processId]);
      const read = { after: { stdout: 0, stderr: 0 }, waitMs: 9_000, until: "end", maxChars: 100 } as const;
      for (const id of ids) await sandbox.readProcess(id, read, quiet()).catch(() => undefined);
      const kept = async (): Promise<readonly string[]> => {
        const { stdout } = await sandbox.exec(command("ls /dev/pincer/commands"), quiet());
        return [processId, ...ids].filter((id) => stdout.text.includes(id));
      };
      await expect.poll(kept).toEqual([processId]);
    });

    test("what was left behind by programs that were killed goes where there is too much of it", async () => {
      const sandbox = open();
      const leave =
        "cd /dev/pincer; for id in $(seq 300); do echo 1 1 > calls/$id; mkdir commands/$id; echo {} > commands/$id/request.json; done";
      await sandbox.exec(command(leave), quiet());
      const count = async (): Promise<readonly number[]> => {
        const { stdout } = await sandbox.exec(
          command("cd /dev/pincer; ls calls | wc -l; ls commands | wc -l"),
          quiet(),
        );
        return stdout.text.trim().split("\n").map(Number);
      };
      await expect.poll(count).toEqual([1, expect.toSatisfy((kept) => kept <= 202)]);
    });

    test.each(["memory.events", "memory/memory.oom_control"])(
      "a command of whose processes the kernel ended one for its memory says so, by %s",
      async (counters) => {
        const sandbox = open();
        const run = async (script: string): Promise<readonly string[] | undefined> => {
          const { processId, notes } = await sandbox.exec(command(script), quiet());
          const read = { after: { stdout: 0, stderr: 0 }, waitMs: 0, maxChars: 100 } as const;
          expect((await sandbox.readProcess(processId, read, quiet())).notes).toEqual(notes);
          return notes;
        };
        const count = (kills: number): string => `echo 'oom_kill ${kills}' >> /sys/fs/cgroup/${counters}`;
        const note =
          "The sandbox's memory was used up and the kernel ended a process in it; use less memory at a time.";
        expect(await run("kill -9 $$")).toBeUndefined();
        await run(`mkdir -p /sys/fs/cgroup/memory; echo 'oom_kill_disable 0' > /sys/fs/cgroup/${counters}`);
        expect(await run(`${count(2)}; kill -9 $$`)).toEqual([note]);
        expect(await run(`${count(3)}; bash -c 'kill -9 $$'`)).toEqual([note]);
        expect(await run("kill -9 $$")).toBeUndefined();
      },
    );

    test("what a preset starts lives on after its command, and programs of one's own are found", async () => {
      const sandbox = open();
      const server = `require("http").createServer((_, answer) => answer.end("here")).listen(4321)`;
      const preset = { title: "Tiny", description: "of a test", node: "22.0.0", install: {}, programs: {}, kept: [] };
      const whole = JSON.stringify({ ...preset, start: ["node", "-e", server], port: 4321, hint: "" });
      const run = async (script: string): Promise<string> => {
        const { stdout, stderr } = await sandbox.exec(command(script), quiet());
        return stdout.text + stderr.text;
      };
      await run(
        `mkdir -p ~/.local/bin; cp -r /opt/presets .; mkdir presets/tiny; echo '${whole}' > presets/tiny/preset.json`,
      );
      await run("ln -s /workspace/presets/program/preset.mjs ~/.local/bin/own-preset");
      expect(await run("own-preset start tiny")).toMatch(/^Starting Tiny; .*\nTiny runs\. \n$/);
      expect(await run("curl -sS http://127.0.0.1:4321/")).toBe("here");
      expect(await run("own-preset stop tiny; curl -sS http://127.0.0.1:4321/")).toMatch(
        /^Tiny has stopped\.\ncurl: \(7\)/,
      );
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
  describe("a container's commands", () => {
    test.skip(`hold at the edges (skipped: ${reason})`, () => undefined);
  });
}

function quiet(): Watch {
  return { signal: new AbortController().signal };
}

function command(script: string, waitMs = 30_000, rest: Partial<Command> = {}): Command {
  return { command: script, timeoutMs: 60_000, waitMs, maxChars: 10_000, ...rest };
}

import { createHash } from "node:crypto";
import { beforeEach, describe, expect, test } from "vitest";
import type { Code, Command, CommandResult, Sandbox } from "../../servers/sandbox/driver.ts";
import type { ProcessOutput, ProcessRead } from "../../servers/sandbox/process.ts";
import { findShell, resizeShell, startShell, writtenBytes } from "../../servers/sandbox/shell.ts";
import { ToolError } from "../../servers/shared/errors.ts";

/** The caller's files, from outside the sandbox. */
export interface ContractFiles {
  write(path: string, text: string): Promise<void>;
  /** Rejects with `not_found`. */
  read(path: string): Promise<string>;
  remove(path: string): Promise<void>;
}

export interface ContractSubject {
  /** A sandbox that no other case uses, and its caller's files. */
  readonly open: () => Promise<{ readonly sandbox: Sandbox; readonly files: ContractFiles }>;
  /** For each case; starting a sandbox may take its time. */
  readonly timeoutMs?: number;
  /** Cases that this driver cannot pass by what it is, by name, with the reason. */
  readonly cannot?: Readonly<Record<string, string>>;
}

export const TIMEOUT_MS = 60_000;

/** What `servers/sandbox/driver.ts` promises, as cases that every driver has to pass. */
export function describeSandbox(name: string, subject: ContractSubject): void {
  describeCommands(name, subject);
  describeProcesses(name, subject);
  describeFiles(name, subject);
  describeStore(name, subject);
  describeCode(name, subject);
  describeWhole(name, subject);
}

export function leaveOut({ cannot = {} }: ContractSubject): void {
  beforeEach(({ task, skip }) => {
    const reason = cannot[task.name];
    if (reason !== undefined) skip(reason);
  });
}

export function describeCommands(name: string, subject: ContractSubject): void {
  describe(`${name}: commands`, { timeout: subject.timeoutMs ?? TIMEOUT_MS }, () => {
    leaveOut(subject);

    test("a command's outputs and exit code come back apart", async () => {
      const { sandbox } = await subject.open();
      const result = await run(sandbox, "echo out; echo err >&2; exit 3");
      expect(result).toEqual({
        processId: expect.any(String),
        isRunning: false,
        exitCode: 3,
        hasTimedOut: false,
        stdout: { text: "out\n", totalBytes: 4, isCut: false },
        stderr: { text: "err\n", totalBytes: 4, isCut: false },
        durationMs: expect.any(Number),
      });
    });

    test("bash runs it in /workspace, with the folder, variables and standard input that were given", async () => {
      const { sandbox } = await subject.open();
      expect(text(await run(sandbox, "[[ $BASH_VERSION ]] && pwd"))).toBe("/workspace\n");
      await run(sandbox, "mkdir -p sub/folder");
      const result = await run(sandbox, "pwd; echo $GREETING; cat", {
        cwd: "sub/folder",
        env: { GREETING: "hello 'quoted' $HOME" },
        stdin: "from standard input",
      });
      expect(text(result)).toBe("/workspace/sub/folder\nhello 'quoted' $HOME\nfrom standard input");
    });

    test("a command without standard input reads its end at once", async () => {
      const { sandbox } = await subject.open();
      expect(text(await run(sandbox, "cat; echo over"))).toBe("over\n");
    });

    test("a folder that is not there is refused in words", async () => {
      const { sandbox } = await subject.open();
      await expectRefusal(run(sandbox, "true", { cwd: "/workspace/nowhere" }), "invalid_input");
    });

    test("a command longer than one argument may be runs all the same", async () => {
      const { sandbox } = await subject.open();
      const padding = "#".repeat(300_000);
      expect(text(await run(sandbox, `echo before\n${padding}\necho after`))).toBe("before\nafter\n");
    });

    test("megabytes of standard input arrive whole", async () => {
      const { sandbox } = await subject.open();
      expect(text(await run(sandbox, "wc -c", { stdin: "ü".repeat(1_000_000) })).trim()).toBe("2000000");
    });

    test("programs are found by their names: preset, and what lies in ~/.local/bin, wherever the command is", async () => {
      const { sandbox } = await subject.open();
      expect(text(await run(sandbox, "preset list"))).toMatch(/^claude-code\t.*\nopenclaw\t.*\nopencode\t.*\n$/);
      await run(
        sandbox,
        "mkdir -p ~/.local/bin; echo 'echo own' > ~/.local/bin/own-one; chmod +x ~/.local/bin/own-one",
      );
      expect(text(await run(sandbox, "own-one", { cwd: "/tmp" }))).toBe("own\n");
    });

    test("a command ended by a signal says which", async () => {
      const { sandbox } = await subject.open();
      const result = await run(sandbox, "kill -TERM $$");
      expect(result).toMatchObject({ exitCode: 143, signal: "SIGTERM", hasTimedOut: false });
    });

    test("output keeps head and tail, and the line between says that something is left out", async () => {
      const { sandbox } = await subject.open();
      const result = await run(sandbox, "seq 1 200000", { maxChars: 1_000 });
      expect(result.stdout.isCut).toBe(true);
      expect(result.stdout.totalBytes).toBe(1_288_895);
      expect(result.stdout.text.startsWith("1\n2\n3\n")).toBe(true);
      expect(result.stdout.text.endsWith("199999\n200000\n")).toBe(true);
      expect(result.stdout.text).toMatch(/\n….*left out.*…\n/);
      expect(result.stdout.text.length).toBeLessThan(1_100);
    });

    test("the whole output can be read afterwards", async () => {
      const { sandbox } = await subject.open();
      const { processId } = await run(sandbox, "seq 1 200000; echo problem >&2", { maxChars: 1_000 });
      const stored = await sandbox.readOutput(processId, "stdout");
      const whole = await new Response(stored.body).text();
      expect(whole.length).toBe(stored.sizeBytes);
      expect(whole).toBe(Array.from({ length: 200_000 }, (_, index) => `${index + 1}\n`).join(""));
      expect(await new Response((await sandbox.readOutput(processId, "stderr")).body).text()).toBe("problem\n");
    });

    // A gigabyte at a time is a case of the soak.
    test("more output than is kept is a result, and its first 64 MB are kept", async () => {
      const { sandbox } = await subject.open();
      const { processId, stdout } = await run(sandbox, "head -c 100M /dev/zero | tr '\\0' x", { waitMs: 40_000 });
      expect(stdout).toMatchObject({ totalBytes: 100 * 1024 ** 2, isCut: true });
      expect((await sandbox.readOutput(processId, "stdout")).sizeBytes).toBe(64 * 1024 ** 2);
    });

    test("bytes that are no text are replaced, and characters are never cut in two", async () => {
      const { sandbox } = await subject.open();
      expect(text(await run(sandbox, "printf 'a\\xff\\xfeb\\0c'"))).toBe("a\ufffd\ufffdb\0c");
      const cut = await run(sandbox, "for i in $(seq 5000); do printf '😀ü'; done", { maxChars: 999 });
      expect(cut.stdout.text).not.toContain("\ufffd");
      expect(cut.stdout.text.isWellFormed()).toBe(true);
    });

    test("output is told while the command runs", async () => {
      const { sandbox } = await subject.open();
      const heard: string[] = [];
      let isOver = false;
      const result = sandbox
        .exec(command("echo first; sleep 1.5; echo second"), {
          signal: new AbortController().signal,
          onOutput: (piece) => heard.push(`${isOver ? "after" : "during"}:${piece}`),
        })
        .finally(() => (isOver = true));
      await result;
      expect(heard[0]).toMatch(/^during:first/);
    });

    test("after waitMs it goes on as a process, and what it writes later is kept", async () => {
      const { sandbox } = await subject.open();
      const result = await run(sandbox, `echo early; ${waitFor("go")}; echo late; touch late`, {
        waitMs: 3_000,
      });
      expect(result).toMatchObject({ isRunning: true, hasTimedOut: false, stdout: { text: "early\n" } });
      expect(result.exitCode).toBeUndefined();
      await run(sandbox, `touch go; ${waitFor("late")}`);
      const stored = async () => await new Response((await sandbox.readOutput(result.processId, "stdout")).body).text();
      await expect.poll(stored).toBe("early\nlate\n");
    });

    test("at timeoutMs the whole tree is killed, daemons too", async () => {
      const { sandbox } = await subject.open();
      const mark = `7${Date.now() % 100_000}`;
      const result = await run(sandbox, `(setsid sleep ${mark} &); sleep ${mark} & sleep ${mark}`, { timeoutMs: 500 });
      expect(result).toMatchObject({ isRunning: false, hasTimedOut: true, signal: "SIGKILL", exitCode: 137 });
      expect(text(await run(sandbox, countOf(`sleep ${mark}`)))).toBe("0\n");
    });

    test("timeoutMs holds after waitMs too", async () => {
      const { sandbox } = await subject.open();
      const mark = `8${Date.now() % 100_000}`;
      const result = await run(sandbox, `sleep ${mark}`, { waitMs: 100, timeoutMs: 700 });
      expect(result.isRunning).toBe(true);
      expect(text(await run(sandbox, countWhenGone(`sleep ${mark}`)))).toBe("0\n");
    });

    test("a cancelled call kills the tree", async () => {
      const { sandbox } = await subject.open();
      const mark = `9${Date.now() % 100_000}`;
      const abort = new AbortController();
      const call = sandbox.exec(command(`sleep ${mark} & sleep ${mark}`), { signal: abort.signal });
      setTimeout(() => abort.abort(), 500);
      await expectRefusal(call, "cancelled");
      expect(text(await run(sandbox, countWhenGone(`sleep ${mark}`)))).toBe("0\n");
    });

    test("commands share processes, network and /tmp: a server that one starts is at localhost for the next", async () => {
      const { sandbox } = await subject.open();
      await run(sandbox, "echo served > /tmp/page; cd /tmp && nohup python3 -m http.server 8123 >/dev/null 2>&1 &");
      const fetchPage =
        "python3 -c 'import urllib.request as u; print(u.urlopen(\"http://localhost:8123/page\").read().decode())'";
      expect(
        text(await run(sandbox, `for i in $(seq 40); do ${fetchPage} 2>/dev/null && break; sleep 0.2; done`)),
      ).toContain("served");
    });

    test("a process left behind neither holds up its command nor dies when it writes", async () => {
      const { sandbox } = await subject.open();
      const result = await run(sandbox, `(${waitFor("go")}; echo tick && echo done > ticked) & echo started`);
      expect(result).toMatchObject({ isRunning: false, exitCode: 0, stdout: { text: "started\n" } });
      expect(text(await run(sandbox, `touch go; ${waitFor("ticked")}; cat ticked`))).toBe("done\n");
    });

    test("parallel commands neither wait for each other nor mix", async () => {
      const { sandbox } = await subject.open();
      // Each ends only when all have begun.
      const meet = "until [[ $(ls met-* | wc -l) == 20 ]]; do sleep 0.2; done";
      const results = await Promise.all(
        Array.from(
          { length: 20 },
          async (_, index) => await run(sandbox, `touch met-${index}; ${meet}; echo ${index}; echo e${index} >&2`),
        ),
      );
      expect(results.map((result) => result.stdout.text)).toEqual(results.map((_, index) => `${index}\n`));
      expect(results.map((result) => result.stderr.text)).toEqual(results.map((_, index) => `e${index}\n`));
    });

    test("the tools that the description names are there", async () => {
      const { sandbox } = await subject.open();
      const result = await run(
        sandbox,
        "for tool in git rg zstd python3 node; do command -v $tool >/dev/null || echo no $tool; done",
      );
      expect(text(result)).toBe("");
    });

    test("another caller's sandbox sees neither files nor processes", async () => {
      const [one, two] = [await subject.open(), await subject.open()];
      await run(one.sandbox, "echo secret > /workspace/secret; nohup sleep 4321 >/dev/null 2>&1 &");
      expect(text(await run(two.sandbox, `ls /workspace/secret 2>/dev/null; ${countOf("sleep 4321")}`))).toBe("0\n");
    });
  });
}

export function describeProcesses(name: string, subject: ContractSubject): void {
  describe(`${name}: processes`, { timeout: subject.timeoutMs ?? TIMEOUT_MS }, () => {
    leaveOut(subject);

    test("a command that goes on is listed, and how it ended is remembered", async () => {
      const { sandbox } = await subject.open();
      const script = `${waitFor("go")}; exit 4`;
      const { processId } = await run(sandbox, script, { waitMs: 0 });
      expect((await sandbox.listProcesses())[0]).toEqual({
        processId,
        command: script,
        startedAtMs: expect.any(Number),
        isRunning: true,
        hasTimedOut: false,
        durationMs: expect.any(Number),
      });
      await sandbox.writeFile("go", new Uint8Array());
      await read(sandbox, processId, { until: "end", waitMs: 20_000 });
      await run(sandbox, "true");
      const remembered = await sandbox.listProcesses();
      expect(remembered.map((process) => process.command)).toEqual(["true", script]);
      expect(remembered[1]).toMatchObject({ processId, isRunning: false, exitCode: 4 });
    });

    test("a tool's own look at the sandbox is neither listed nor remembered", async () => {
      const { sandbox } = await subject.open();
      const { processId } = await run(sandbox, "echo told");
      const look = await run(sandbox, "echo seen; echo wrong >&2; exit 3", { isInternal: true });
      expect(look).toMatchObject({ exitCode: 3, stdout: { text: "seen\n" }, stderr: { text: "wrong\n" } });
      const looking = run(sandbox, "sleep 1", { isInternal: true });
      expect((await sandbox.listProcesses()).map((process) => process.processId)).toEqual([processId]);
      await looking;
      expect((await sandbox.listProcesses()).map((process) => process.processId)).toEqual([processId]);
    });

    test("a reader gets what came after its cursor, and waits for what comes next", async () => {
      const { sandbox } = await subject.open();
      const script = `echo one; ${waitFor("first")}; echo no >&2; ${waitFor("second")}; echo two; sleep 30`;
      const { processId } = await run(sandbox, script, { waitMs: 0 });
      const one = await read(sandbox, processId, { until: { pattern: "one\n" }, waitMs: 20_000 });
      expect(one.stdout.totalBytes).toBe(4);
      const [no] = await Promise.all([
        read(sandbox, processId, { after: { stdout: 4, stderr: 0 }, waitMs: 20_000 }),
        run(sandbox, "touch first"),
      ]);
      expect(no).toMatchObject({
        isRunning: true,
        isReached: true,
        stdout: { text: "", totalBytes: 4, isCut: false },
        stderr: { text: "no\n", totalBytes: 3, isCut: false },
      });
      await run(sandbox, "touch second");
      const two = await read(sandbox, processId, { after: { stdout: 4, stderr: 3 }, waitMs: 20_000 });
      expect(two).toMatchObject({ isReached: true, stdout: { text: "two\n", totalBytes: 8 }, stderr: { text: "" } });
      const nothing = await read(sandbox, processId, { after: { stdout: 8, stderr: 3 }, waitMs: 200 });
      expect(nothing).toMatchObject({ isRunning: true, isReached: false, stdout: { text: "" }, stderr: { text: "" } });
      expect((await read(sandbox, processId, {})).stdout.text).toBe("one\ntwo\n");
    });

    test("a reader who wants output at once does not wait for a pause, and no character comes in two parts", async () => {
      const { sandbox } = await subject.open();
      const { processId } = await run(
        sandbox,
        `printf 'a\\xf0\\x9f'; ${waitFor("rest")}; printf '\\x98\\x80'; while sleep 0.05; do printf .; done`,
        { waitMs: 0 },
      );
      const half = await read(sandbox, processId, { until: "output", waitMs: 20_000 });
      expect(half).toMatchObject({ isReached: true, stdout: { text: "a", totalBytes: 3 } });
      const rest = { after: { stdout: 3, stderr: 0 }, until: "output" } as const;
      const none = await read(sandbox, processId, { ...rest, waitMs: 200 });
      expect(none).toMatchObject({ isReached: false, stdout: { text: "" } });
      await run(sandbox, "touch rest");
      const startedMs = performance.now();
      const whole = await read(sandbox, processId, { ...rest, waitMs: 20_000 });
      expect(whole.stdout.text).toMatch(/^😀/);
      expect(performance.now() - startedMs).toBeLessThan(10_000);
    });

    test("a reader waits for a pattern over pieces of output, and not longer than the process lives", async () => {
      const { sandbox } = await subject.open();
      const { processId } = await run(
        sandbox,
        "for i in 1 2 3 4; do printf 'step %s of' $i; sleep 0.3; echo ' 4'; done",
        {
          waitMs: 0,
        },
      );
      const reached = await read(sandbox, processId, { until: { pattern: "step [3] of 4" }, waitMs: 20_000 });
      expect(reached.isReached).toBe(true);
      expect(reached.stdout.text).toMatch(/step 3 of 4/);
      const never = await read(sandbox, processId, { until: { pattern: "step 9" }, waitMs: 20_000 });
      expect(never).toMatchObject({ isReached: false, isRunning: false, exitCode: 0 });
      await expectRefusal(read(sandbox, processId, { until: { pattern: "(" } }), "invalid_input");
    });

    test("a pattern that takes for ever to try is given up, and the next call works", async () => {
      const { sandbox } = await subject.open();
      const { processId } = await run(sandbox, `printf '%s' ${"a".repeat(60)}; sleep 30`, { waitMs: 0 });
      await read(sandbox, processId, { until: { pattern: "a{60}" }, waitMs: 20_000 });
      await expectRefusal(
        read(sandbox, processId, { until: { pattern: "^(a|a)*(a|aa)*b$" }, waitMs: 2_000 }),
        "invalid_input",
      );
      expect(text(await run(sandbox, "echo next"))).toBe("next\n");
    });

    test("a reader waits until something listens on a port", async () => {
      const { sandbox } = await subject.open();
      const server = "import http.server as h; h.test(h.SimpleHTTPRequestHandler, port=8231)";
      const { processId } = await run(sandbox, `${waitFor("go")}; python3 -c '${server}'`, { waitMs: 0 });
      const early = await read(sandbox, processId, { until: { port: 8231 }, waitMs: 200 });
      expect(early).toMatchObject({ isReached: false, isRunning: true });
      await run(sandbox, "touch go");
      expect(await read(sandbox, processId, { until: { port: 8231 }, waitMs: 20_000 })).toMatchObject({
        isReached: true,
        isRunning: true,
      });
    });

    test("a reader who waits for a port is not content with what only tries whether it is free", async () => {
      const { sandbox } = await subject.open();
      const server = `import socket, time
def listen():
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", 8232))
    listener.listen()
    return listener
tried = listen()
time.sleep(0.045)
tried.close()
time.sleep(3)
print("serves", flush=True)
served = listen()
time.sleep(60)`;
      const { processId } = await run(sandbox, `${waitFor("go")}; exec python3 -c '${server}'`, { waitMs: 0 });
      const served = read(sandbox, processId, { until: { port: 8232 }, waitMs: 20_000 });
      await run(sandbox, "touch go");
      expect(await served).toMatchObject({ isReached: true, stdout: { text: "serves\n" } });
    });

    test("more than fits keeps head and tail, and the cursor goes to the end", async () => {
      const { sandbox } = await subject.open();
      const { processId } = await run(sandbox, "seq 1 200000; sleep 30", { waitMs: 0 });
      await read(sandbox, processId, { until: { pattern: "^200000$" }, waitMs: 20_000 });
      const { stdout } = await read(sandbox, processId, { maxChars: 1_000 });
      expect(stdout).toMatchObject({ totalBytes: 1_288_895, isCut: true });
      expect(stdout.text).toMatch(/^1\n2\n[^]*\n….*left out.*…\n[^]*\n200000\n$/);
      expect(stdout.text.length).toBeLessThan(1_100);
      const tail = await read(sandbox, processId, { after: { stdout: 1_288_895 - 14, stderr: 0 }, maxChars: 1_000 });
      expect(tail.stdout).toEqual({ text: "199999\n200000\n", totalBytes: 1_288_895, isCut: false });
    });

    test("a cursor within a character stands for its beginning", async () => {
      const { sandbox } = await subject.open();
      const { processId } = await run(sandbox, "printf 'aü😀z'");
      expect((await read(sandbox, processId, { after: { stdout: 2, stderr: 0 } })).stdout.text).toBe("ü😀z");
      expect((await read(sandbox, processId, { after: { stdout: 6, stderr: 0 } })).stdout.text).toBe("😀z");
      expect((await read(sandbox, processId, { after: { stdout: 99, stderr: 0 } })).stdout.text).toBe("");
    });

    test("what is written to an open input arrives after the first, and its end ends it", async () => {
      const { sandbox } = await subject.open();
      const { processId } = await run(sandbox, "while read -r line; do echo got $line; done; echo over", {
        stdin: "first\n",
        input: "open",
        waitMs: 0,
      });
      await read(sandbox, processId, { until: { pattern: "got first" }, waitMs: 20_000 });
      const before = await sandbox.writeInput(processId, { text: "second\n", isEnd: false });
      expect(before).toEqual({ stdout: 10, stderr: 0 });
      expect((await read(sandbox, processId, { after: before, waitMs: 20_000 })).stdout.text).toBe("got second\n");
      await sandbox.writeInput(processId, { text: "third\n", isEnd: true });
      expect(await read(sandbox, processId, { until: "end", waitMs: 20_000 })).toMatchObject({
        isReached: true,
        exitCode: 0,
        stdout: { text: "got first\ngot second\ngot third\nover\n" },
      });
      await expectRefusal(sandbox.writeInput(processId, { text: "late\n", isEnd: false }), "conflict");
    });

    test("a process without an open input refuses to be written to", async () => {
      const { sandbox } = await subject.open();
      const { processId } = await run(sandbox, "sleep 30", { waitMs: 0 });
      await expectRefusal(sandbox.writeInput(processId, { text: "x", isEnd: false }), "conflict");
    });

    test.each([
      { program: "python3", calculation: "6 * 7\n", prompt: ">>> $", bye: "\u0004" },
      { program: "node -i", calculation: "6 * 7\n", prompt: "> (\\x1b\\[\\d*G)?$", bye: ".exit\n" },
      { program: "bash --norc -i", calculation: "echo $((6 * 7))\n", prompt: "[$#] $", bye: "exit\n" },
    ])("$program is driven through a terminal", async ({ program, calculation, prompt, bye }) => {
      const { sandbox } = await subject.open();
      const { processId } = await run(sandbox, program, { input: "terminal", waitMs: 0 });
      const ready = await read(sandbox, processId, { until: { pattern: prompt }, waitMs: 20_000 });
      expect(ready.isReached).toBe(true);
      const before = await sandbox.writeInput(processId, { text: calculation, isEnd: false });
      const answer = await read(sandbox, processId, {
        after: before,
        until: { pattern: `42[^]*${prompt}` },
        waitMs: 20_000,
      });
      expect(answer).toMatchObject({ isReached: true, stderr: { text: "" } });
      await sandbox.writeInput(processId, { text: bye, isEnd: false });
      expect(await read(sandbox, processId, { until: "end", waitMs: 20_000 })).toMatchObject({ isReached: true });
    });

    test("a person's shell has the size of their page, also when that changes, and is found again", async () => {
      const { sandbox } = await subject.open();
      const { signal } = new AbortController();
      const shell = await startShell(sandbox, { rows: 30, columns: 90 }, { signal });
      const types = async (text: string, pattern: string): Promise<void> => {
        await sandbox.writeInput(shell.processId, { text, isEnd: false });
        await shows(pattern);
      };
      const shows = async (pattern: string): Promise<void> => {
        const shown = await read(sandbox, shell.processId, { until: { pattern }, waitMs: 20_000 });
        expect([pattern, shown.isReached]).toEqual([pattern, true]);
      };
      const program = "bash -c \"trap 'echo resi''zed' WINCH; stty size; while sleep 0.1; do :; done\"";
      await types(`${program}\r`, "30 90\\s");
      await resizeShell(sandbox, shell, { rows: 50, columns: 160 }, signal);
      await shows("resized");
      await types("\u0003", "\\^C");
      await types("stty size; echo $TMOUT; env | grep -c TMOUT\r", "50 160\\s+1800\\s+0\\s");
      expect(await findShell(sandbox, shell.processId)).toEqual(shell);
      const { processId } = await run(sandbox, "echo no shell", {});
      expect(await findShell(sandbox, processId)).toBeUndefined();
      await types("exit 4\r", "exit");
      const ended = await read(sandbox, shell.processId, { until: "end", waitMs: 20_000 });
      expect(ended).toMatchObject({ isRunning: false, exitCode: 4 });
      expect(await writtenBytes(sandbox, shell, signal)).toBe(ended.stdout.totalBytes);
    });

    test("a terminal is one to the program, has a size, and Ctrl-C interrupts what runs in it", async () => {
      const { sandbox } = await subject.open();
      const { processId } = await run(
        sandbox,
        "tty -s && echo terminal; stty size; echo $TERM; sleep 300; echo after",
        {
          input: "terminal",
          waitMs: 1_000,
        },
      );
      const shown = (await read(sandbox, processId, { until: { pattern: "xterm" }, waitMs: 20_000 })).stdout.text;
      expect(shown).toMatch(/terminal\r?\n[1-9]\d+ [1-9]\d+\r?\nxterm/);
      await sandbox.writeInput(processId, { text: "\u0003", isEnd: false });
      expect(await read(sandbox, processId, { until: "end", waitMs: 20_000 })).toMatchObject({ isRunning: false });
    });

    test("a signal reaches the process, which may answer it", async () => {
      const { sandbox } = await subject.open();
      const script = "trap 'echo heard; exit 9' TERM; echo ready; while :; do sleep 0.1; done";
      const { processId } = await run(sandbox, script, { waitMs: 0 });
      await read(sandbox, processId, { until: { pattern: "ready" }, waitMs: 20_000 });
      expect(await sandbox.signalProcess(processId, "SIGTERM")).toEqual({ stdout: 6, stderr: 0 });
      expect(await read(sandbox, processId, { until: "end", waitMs: 20_000 })).toMatchObject({
        exitCode: 9,
        stdout: { text: "ready\nheard\n" },
      });
      await expectRefusal(sandbox.signalProcess(processId, "SIGTERM"), "conflict");
    });

    test("SIGKILL takes the whole tree along, daemons too", async () => {
      const { sandbox } = await subject.open();
      const mark = `6${Date.now() % 100_000}`;
      const { processId } = await run(
        sandbox,
        `trap '' TERM; (setsid sleep ${mark} &); sleep ${mark} & echo up; sleep ${mark}`,
        { waitMs: 0 },
      );
      await read(sandbox, processId, { until: { pattern: "up" }, waitMs: 20_000 });
      await sandbox.signalProcess(processId, "SIGKILL");
      expect(await read(sandbox, processId, { until: "end", waitMs: 20_000 })).toMatchObject({
        signal: "SIGKILL",
        exitCode: 137,
      });
      expect(text(await run(sandbox, countOf(`sleep ${mark}`)))).toBe("0\n");
    });

    test("a reader that goes away leaves the process alone", async () => {
      const { sandbox } = await subject.open();
      const { processId } = await run(sandbox, `${waitFor("go")}; echo done`, { waitMs: 0 });
      const abort = new AbortController();
      const reading = sandbox.readProcess(
        processId,
        { after: { stdout: 0, stderr: 0 }, waitMs: 20_000, until: "end", maxChars: 100 },
        { signal: abort.signal },
      );
      setTimeout(() => abort.abort(), 300);
      await expectRefusal(reading, "cancelled");
      await run(sandbox, "touch go");
      expect((await read(sandbox, processId, { until: "end", waitMs: 20_000 })).stdout.text).toBe("done\n");
    });

    test("what is not a process is not found, whatever it looks like", async () => {
      const { sandbox } = await subject.open();
      for (const id of ["", "nothing", "../../etc/passwd", crypto.randomUUID()]) {
        await expectRefusal(read(sandbox, id, {}), "not_found");
        await expectRefusal(sandbox.writeInput(id, { text: "x", isEnd: false }), "not_found");
        await expectRefusal(sandbox.signalProcess(id, "SIGTERM"), "not_found");
      }
    });
  });
}

export function describeFiles(name: string, subject: ContractSubject): void {
  describe(`${name}: files`, { timeout: subject.timeoutMs ?? TIMEOUT_MS }, () => {
    leaveOut(subject);

    test("bytes come back as they were written, and missing folders are made", async () => {
      const { sandbox } = await subject.open();
      // More than goes to a sandbox, or comes from one, in one piece.
      const bytes = new Uint8Array(9 * 1024 * 1024);
      for (let at = 0; at < bytes.length; at += 65_536) crypto.getRandomValues(bytes.subarray(at, at + 65_536));
      await sandbox.writeFile("/workspace/new/folder/data.bin", bytes);
      expect(isSame(await sandbox.readFile("new/folder/data.bin", bytes.length), bytes)).toBe(true);
      expect(text(await run(sandbox, "ls new/folder; stat -c %s new/folder/data.bin"))).toBe(
        `data.bin\n${bytes.length}\n`,
      );
    });

    test("text that is not quite UTF-8 keeps its bytes", async () => {
      const { sandbox } = await subject.open();
      const bytes = Uint8Array.of(0x61, 0xff, 0x0a, 0xc3, 0x28);
      await sandbox.writeFile("odd.txt", bytes);
      expect([...(await sandbox.readFile("odd.txt", 100))]).toEqual([...bytes]);
    });

    test("an empty file is a file", async () => {
      const { sandbox } = await subject.open();
      await sandbox.writeFile("empty", new Uint8Array());
      expect((await sandbox.readFile("empty", 100)).length).toBe(0);
    });

    test("a file that holds something else by now is not written over", async () => {
      const { sandbox } = await subject.open();
      await sandbox.writeFile("draft.txt", bytesOf("one\n"));
      await sandbox.writeFile("draft.txt", bytesOf("two\n"), sha256(bytesOf("one\n")));
      await expectRefusal(sandbox.writeFile("draft.txt", bytesOf("three\n"), sha256(bytesOf("one\n"))), "conflict");
      await expectRefusal(sandbox.writeFile("missing.txt", bytesOf("x"), sha256(bytesOf("one\n"))), "conflict");
      expect(text(await run(sandbox, "cat draft.txt; ls"))).toMatch(/^two\ndraft\.txt\n/);
    });

    test("of many that replace the same text, one wins and the others are told", async () => {
      const { sandbox } = await subject.open();
      await sandbox.writeFile("counter", bytesOf("0"));
      const before = sha256(bytesOf("0"));
      const writes = await Promise.allSettled(
        Array.from(
          { length: 8 },
          async (_, index) => await sandbox.writeFile("counter", bytesOf(`${index + 1}`), before),
        ),
      );
      expect(writes.filter(({ status }) => status === "fulfilled")).toHaveLength(1);
      const winner = writes.findIndex(({ status }) => status === "fulfilled");
      expect(text(await run(sandbox, "cat counter"))).toBe(`${winner + 1}`);
    });

    test("a file that somebody takes away as soon as it is there was written all the same", async () => {
      const { sandbox } = await subject.open();
      const takes = "import os\nwhile True:\n  try: os.unlink('fleeting')\n  except OSError: pass";
      const { processId } = await run(sandbox, `python3 -c "${takes}"`, { waitMs: 0 });
      for (let times = 0; times < 40; times += 1) await sandbox.writeFile("fleeting", new Uint8Array(1));
      await sandbox.signalProcess(processId, "SIGKILL");
    });

    test("what is not there, a folder and too much are refused each in their own way", async () => {
      const { sandbox } = await subject.open();
      await sandbox.writeFile("folder/big", new Uint8Array(101));
      await expectRefusal(sandbox.readFile("nothing", 100), "not_found");
      await expectRefusal(sandbox.readFile("folder", 100), "invalid_input");
      await expectRefusal(sandbox.readFile("folder/big", 100), "too_large");
      await expectRefusal(sandbox.readOutput("../../etc/passwd", "stdout"), "not_found");
    });
  });
}

export function describeStore(name: string, subject: ContractSubject): void {
  describe(`${name}: the caller's files at /workspace/files`, { timeout: subject.timeoutMs ?? TIMEOUT_MS }, () => {
    leaveOut(subject);

    test("a command reads what was stored before it, and what it writes is stored when it has ended", async () => {
      const { sandbox, files } = await subject.open();
      await files.write("data/in.txt", "from the store\n");
      expect(text(await run(sandbox, "cat /workspace/files/data/in.txt"))).toBe("from the store\n");
      await run(sandbox, "mkdir -p files/out && echo from the sandbox > files/out/report.txt");
      expect(await files.read("out/report.txt")).toBe("from the sandbox\n");
    });

    test("what changes or goes outside is changed or gone for the next command", async () => {
      const { sandbox, files } = await subject.open();
      await files.write("a.txt", "one\n");
      await files.write("b.txt", "stays for a while\n");
      expect(text(await run(sandbox, "cat files/a.txt; ls files"))).toBe("one\na.txt\nb.txt\n");
      await files.write("a.txt", "two, and longer\n");
      await files.write("c.txt", "new\n");
      await files.remove("b.txt");
      expect(text(await run(sandbox, "cat files/a.txt; ls files"))).toBe("two, and longer\na.txt\nc.txt\n");
      expect(text(await run(sandbox, "cat files/c.txt; stat -c %s files/c.txt"))).toBe("new\n4\n");
    });

    test("nothing that was seen before hides what is there now", async () => {
      const { sandbox, files } = await subject.open();
      await files.write("same-size.txt", "one\n");
      await files.write("gone.txt", "gone soon\n");
      const look = "cat files/same-size.txt files/new.txt files/folder/new.txt files/gone.txt 2>/dev/null";
      expect(text(await run(sandbox, look))).toBe("one\ngone soon\n");
      await files.write("same-size.txt", "two\n");
      await files.write("new.txt", "new\n");
      await files.write("folder/new.txt", "in a folder\n");
      await files.remove("gone.txt");
      expect(text(await run(sandbox, look))).toBe("two\nnew\nin a folder\n");
    });

    test("a process that went on has stored what it wrote when its reader hears of its end", async () => {
      const { sandbox, files } = await subject.open();
      const { processId } = await run(sandbox, "sleep 0.7; echo late > files/late.txt", { waitMs: 0 });
      await read(sandbox, processId, { until: "end", waitMs: 20_000 });
      expect(await files.read("late.txt")).toBe("late\n");
    });

    test("a reset leaves the files as they are", async () => {
      const { sandbox, files } = await subject.open();
      await files.write("kept.txt", "kept\n");
      await run(sandbox, "cat files/kept.txt; echo made > files/made.txt");
      await sandbox.reset();
      expect(text(await run(sandbox, "cat files/kept.txt files/made.txt"))).toBe("kept\nmade\n");
      expect(await files.read("kept.txt")).toBe("kept\n");
    });

    test("what a command removes or renames is removed or renamed in the store", async () => {
      const { sandbox, files } = await subject.open();
      await files.write("old.txt", "kept\n");
      await files.write("trash.txt", "not kept\n");
      await run(sandbox, "cd files && mv old.txt new.txt && rm trash.txt");
      expect(await files.read("new.txt")).toBe("kept\n");
      await expectRefusal(files.read("old.txt"), "not_found");
      await expectRefusal(files.read("trash.txt"), "not_found");
    });
  });
}

export function describeCode(name: string, subject: ContractSubject): void {
  describe(`${name}: code`, { timeout: subject.timeoutMs ?? TIMEOUT_MS }, () => {
    leaveOut(subject);

    test("python keeps its state per context, and the last expression comes back", async () => {
      const { sandbox } = await subject.open();
      await runCode(sandbox, "x = 20\ndef double(n): return 2 * n");
      const result = await runCode(
        sandbox,
        "print('said'); import sys; print('warned', file=sys.stderr)\ndouble(x) + 2",
      );
      expect(result.stdout.text).toBe("said\n");
      expect(result.stderr.text).toBe("warned\n");
      expect(result.results.at(-1)?.text).toBe("42");
      expect(result.error).toBeUndefined();
      expect((await runCode(sandbox, "x", { context: "other" })).error?.name).toBe("NameError");
    });

    test("python that throws is a result with name, message and plain traceback, also at a syntax error", async () => {
      const { sandbox } = await subject.open();
      const thrown = await runCode(sandbox, "def f():\n    return 1 / 0\nf()");
      expect(thrown.error).toMatchObject({ name: "ZeroDivisionError", message: "division by zero" });
      expect(thrown.error?.traceback).toContain("1 / 0");
      expect(thrown.error?.traceback).not.toContain("\u001b[");
      expect((await runCode(sandbox, "def (")).error?.name).toBe("SyntaxError");
    });

    test("python shows a figure as PNG and a table as HTML and text", async () => {
      const { sandbox } = await subject.open();
      const figure = await runCode(sandbox, "import matplotlib.pyplot as plt\nplt.plot([1, 3, 2])\nplt.show()");
      const png = figure.results.find((output) => output.png !== undefined)?.png ?? "";
      expect(atob(png).slice(1, 4)).toBe("PNG");
      const table = await runCode(sandbox, "import pandas as pd\npd.DataFrame({'a': [1, 2]})");
      expect(table.results.at(-1)?.html).toContain("<table");
      expect(table.results.at(-1)?.text).toContain("a");
    });

    test("what python's children write is captured", async () => {
      const { sandbox } = await subject.open();
      const result = await runCode(
        sandbox,
        "import os, subprocess\nos.system('echo one')\nsubprocess.run(['echo', 'two'])\nNone",
      );
      expect(result.stdout.text).toBe("one\ntwo\n");
      expect((await runCode(sandbox, "1 + 1")).results.at(-1)?.text).toBe("2");
    });

    test("javascript keeps its state, awaits at the top, and may declare again", async () => {
      const { sandbox } = await subject.open();
      await runCode(sandbox, "const base = 40; let step = await Promise.resolve(1)", { language: "javascript" });
      const result = await runCode(
        sandbox,
        "const base = 41; console.log('said'); console.error('warned'); base + step",
        {
          language: "javascript",
        },
      );
      expect(result).toMatchObject({ stdout: { text: "said\n" }, stderr: { text: "warned\n" } });
      expect(result.results.at(-1)?.text).toBe("42");
      const thrown = await runCode(sandbox, "throw new TypeError('no')", { language: "javascript" });
      expect(thrown.error).toMatchObject({ name: "TypeError", message: "no" });
    });

    test.each([
      { language: "python", code: "import os; os._exit(7)" },
      { language: "python", code: "import os; os.kill(os.getpid(), 9)" },
      { language: "javascript", code: "process.exit(7)" },
    ] as const)(
      "$language that ends its own process says so and is fresh on the next run: $code",
      async ({ language, code }) => {
        const { sandbox } = await subject.open();
        await runCode(sandbox, "marker = 1", { language });
        expect((await runCode(sandbox, code, { language })).error?.name).toBe("ContextCrashed");
        const next = await runCode(sandbox, language === "python" ? "'marker' in globals()" : "typeof marker", {
          language,
        });
        expect(next.results.at(-1)?.text).toMatch(language === "python" ? /False/ : /undefined/);
      },
    );

    test("typescript is javascript with types: they share a context's state", async () => {
      const { sandbox } = await subject.open();
      const typescript = { language: "typescript" } as const;
      const first = await runCode(
        sandbox,
        "enum Size { small = 1, large = 10 }\ninterface Box { readonly size: Size }\nconst box: Box = { size: Size.large };\nbox.size as number",
        typescript,
      );
      expect(first.error).toBeUndefined();
      expect(first.results.at(-1)?.text).toBe("10");
      expect((await runCode(sandbox, "box.size + 1", { language: "javascript" })).results.at(-1)?.text).toBe("11");
      expect((await runCode(sandbox, "const n: number = ;", typescript)).error?.name).toBe("SyntaxError");
    });

    test("a context that is to be fresh has forgotten everything, the others nothing", async () => {
      const { sandbox } = await subject.open();
      await runCode(sandbox, "kept = 1");
      await runCode(sandbox, "kept = 2", { context: "other" });
      const fresh = await runCode(sandbox, "'kept' in globals()", { isFresh: true });
      expect(fresh.results.at(-1)?.text).toBe("False");
      expect((await runCode(sandbox, "kept", { context: "other" })).results.at(-1)?.text).toBe("2");
    });

    test("contexts that hold state are listed, and a busy one is said to be", async () => {
      const { sandbox } = await subject.open();
      expect(await sandbox.listContexts()).toEqual([]);
      await runCode(sandbox, "1");
      const busy = runCode(sandbox, "await new Promise((resolve) => setTimeout(resolve, 3_000))", {
        language: "javascript",
        context: "waits",
      });
      await expect
        .poll(async () => await sandbox.listContexts())
        .toEqual([
          { language: "python", context: "main", isBusy: false },
          { language: "javascript", context: "waits", isBusy: true },
        ]);
      await busy;
    });

    test("a context that runs out of memory or dies leaves the others as they were", async () => {
      const { sandbox } = await subject.open();
      await runCode(sandbox, "kept = 3", { context: "other" });
      expect((await runCode(sandbox, "import os; os.abort()")).error?.name).toBe("ContextCrashed");
      expect((await runCode(sandbox, "kept", { context: "other" })).results.at(-1)?.text).toBe("3");
    });

    test("code and commands see each other's files", async () => {
      const { sandbox } = await subject.open();
      await run(sandbox, "echo from bash > /workspace/shared.txt");
      await runCode(sandbox, "text = open('shared.txt').read(); open('back.txt', 'w').write(text.upper())");
      expect(text(await run(sandbox, "cat back.txt"))).toBe("FROM BASH\n");
    });

    test("rich values come in every form that they have", async () => {
      const { sandbox } = await subject.open();
      const { results } = await runCode(
        sandbox,
        "from IPython.display import display, HTML, JSON, Latex, Markdown, SVG\ndisplay(HTML('<b>h</b>'), JSON({'a': 1}), Latex('$x$'), Markdown('*m*'), SVG('<svg xmlns=\"http://www.w3.org/2000/svg\"/>'))",
      );
      expect(results).toMatchObject([
        { html: "<b>h</b>" },
        { json: expect.stringMatching(/"a":\s*1/) },
        { latex: "$x$" },
        { markdown: "*m*" },
        { svg: expect.stringContaining("<svg") },
      ]);
    });

    test("an endless loop is interrupted at timeoutMs, and python keeps its state", async () => {
      const { sandbox } = await subject.open();
      await runCode(sandbox, "kept = 5");
      const result = await runCode(sandbox, "while True: pass", { timeoutMs: 700 });
      expect(result.error?.name).toBe("Interrupted");
      expect((await runCode(sandbox, "kept")).results.at(-1)?.text).toBe("5");
      const loop = await runCode(sandbox, "for (;;) {}", { language: "javascript", timeoutMs: 700 });
      expect(loop.error?.name).toMatch(/Interrupted|ContextCrashed/);
      expect((await runCode(sandbox, "6 * 7", { language: "javascript" })).results.at(-1)?.text).toBe("42");
    });

    test("code whose time is up before it has begun is interrupted as it begins, and its context keeps its state", async () => {
      const { sandbox } = await subject.open();
      // From then on the interpreter takes a while to begin anything.
      const busy = "import threading; threading.Thread(target=lambda: [0 for _ in iter(int, 1)], daemon=True).start()";
      await runCode(sandbox, `${busy}\nkept = 5`);
      for (const tries of [1, 2, 3]) {
        const stopped = await runCode(sandbox, "while True: pass", { timeoutMs: 1 });
        expect([tries, stopped.error]).toMatchObject([
          tries,
          { name: "Interrupted", message: expect.stringMatching(/kept|keeps/) },
        ]);
      }
      expect((await runCode(sandbox, "kept")).results.at(-1)?.text).toBe("5");
    });

    test("code that prints without end is cut and ends at timeoutMs", async () => {
      const { sandbox } = await subject.open();
      const result = await runCode(sandbox, "while True: print('x' * 1000)", { timeoutMs: 1_000, maxChars: 2_000 });
      expect(result.stdout.isCut).toBe(true);
      expect(result.stdout.text.length).toBeLessThan(2_200);
      expect(result.error?.name).toBe("Interrupted");
      expect((await runCode(sandbox, "1 + 1")).results.at(-1)?.text).toBe("2");
    });
  });
}

export function describeWhole(name: string, subject: ContractSubject): void {
  describe(`${name}: the sandbox as a whole`, { timeout: subject.timeoutMs ?? TIMEOUT_MS }, () => {
    leaveOut(subject);

    test("a sandbox that nobody has used is asleep, and asking does not wake it", async () => {
      const { sandbox } = await subject.open();
      expect(await sandbox.status()).toMatchObject({ state: "asleep", costUsd: expect.any(Number) });
      expect(await sandbox.listProcesses()).toEqual([]);
      expect(await sandbox.listContexts()).toEqual([]);
      expect((await sandbox.status()).state).toBe("asleep");
    });

    test("a running one says for how long, and what it uses", async () => {
      const { sandbox } = await subject.open();
      await run(sandbox, "head -c 5M /dev/urandom > data; nohup sleep 60 >/dev/null 2>&1 &");
      const status = await sandbox.status();
      expect(status.state).toBe("running");
      expect(status.uptimeMs).toBeGreaterThan(0);
      expect(status.processCount).toBeGreaterThan(0);
      expect(status.disk?.usedBytes).toBeGreaterThan(5_000_000);
      expect(status.memory?.usedBytes).toBeGreaterThan(0);
    });

    test("a running one is not said to be starting", async () => {
      const { sandbox } = await subject.open();
      await run(sandbox, "true");
      let starts = 0;
      const watch = { signal: new AbortController().signal, onStarting: () => (starts += 1) };
      await sandbox.exec(command("true"), watch);
      expect(starts).toBe(0);
    });

    test("a reset ends processes and contexts and empties the workspace", async () => {
      const { sandbox } = await subject.open();
      const mark = `5${Date.now() % 100_000}`;
      await run(sandbox, `mkdir -p a/b .hidden; touch a/b/c; nohup sleep ${mark} >/dev/null 2>&1 &`);
      await runCode(sandbox, "gone = 1");
      await sandbox.reset();
      expect(await sandbox.listContexts()).toEqual([]);
      expect(text(await run(sandbox, `ls -A; ${countOf(`sleep ${mark}`)}`))).toBe("files\n0\n");
      expect((await runCode(sandbox, "'gone' in globals()")).results.at(-1)?.text).toBe("False");
    });

    test("a reset of a sandbox that nobody has used is no error", async () => {
      const { sandbox } = await subject.open();
      await sandbox.reset();
      expect(text(await run(sandbox, "echo alive"))).toBe("alive\n");
    });
  });
}

function command(script: string, rest: Partial<Command> = {}): Command {
  return { command: script, timeoutMs: 60_000, waitMs: 30_000, maxChars: 10_000, ...rest };
}

export async function run(sandbox: Sandbox, script: string, rest: Partial<Command> = {}): Promise<CommandResult> {
  return await sandbox.exec(command(script, rest), { signal: new AbortController().signal });
}

/** Everything there is, at once, unless said otherwise. */
async function read(sandbox: Sandbox, processId: string, rest: Partial<ProcessRead>): Promise<ProcessOutput> {
  return await sandbox.readProcess(
    processId,
    { after: { stdout: 0, stderr: 0 }, waitMs: 0, maxChars: 10_000, ...rest },
    { signal: new AbortController().signal },
  );
}

function bytesOf(content: string): Uint8Array {
  return new TextEncoder().encode(content);
}

function sha256(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}

export async function runCode(
  sandbox: Sandbox,
  code: string,
  rest: Partial<Code> = {},
): ReturnType<Sandbox["runCode"]> {
  return await sandbox.runCode(
    { code, language: "python", context: "main", timeoutMs: 30_000, maxChars: 10_000, ...rest },
    { signal: new AbortController().signal },
  );
}

/** Faster and quieter than `toEqual` on megabytes. */
function isSame(one: Uint8Array, other: Uint8Array): boolean {
  return one.length === other.length && one.every((byte, index) => byte === other[index]);
}

export function text(result: CommandResult): string {
  return result.stdout.text;
}

/** A command that prints how many processes run exactly that, seen from inside. */
function countOf(commandLine: string): string {
  return `n=0; for f in /proc/[0-9]*/cmdline; do [ "$(tr '\\0' ' ' < $f 2>/dev/null)" = "${commandLine} " ] && n=$((n+1)); done; echo $n`;
}

/** The same, once there are none or after half a minute. */
function countWhenGone(commandLine: string): string {
  return `for i in $(seq 60); do n=$(${countOf(commandLine)}); [[ $n == 0 ]] && break; sleep 0.5; done; echo $n`;
}

/** A command that ends when there is such a file, so that a test decides when what follows it runs. */
function waitFor(file: string): string {
  return `until [[ -e ${file} ]]; do sleep 0.1; done`;
}

export async function expectRefusal(call: Promise<unknown>, code: string): Promise<void> {
  const error = await call.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  expect(error).toBeInstanceOf(ToolError);
  expect(error).toMatchObject({ code });
}

import { afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import type { Command, Sandbox } from "../../servers/sandbox/driver.ts";
import {
  type ContractFiles,
  type ContractSubject,
  TIMEOUT_MS,
  leaveOut,
  run as runIn,
  runCode,
} from "./sandbox-contract.ts";

const MEGABYTE = 1_000_000;

/** Input that nobody should send, and everybody does. Through all cases one sandbox has to go on working. */
export function describeBadInput(name: string, subject: ContractSubject): void {
  describe(`${name}: bad input`, { timeout: subject.timeoutMs ?? TIMEOUT_MS }, () => {
    let sandbox: Sandbox;
    let files: ContractFiles;

    leaveOut(subject);
    beforeAll(async () => {
      ({ sandbox, files } = await subject.open());
    });
    beforeEach(async () => {
      await run("echo kept > /workspace/kept");
    });
    afterEach(async () => {
      expect(await run("cat /workspace/kept")).toMatchObject({ exitCode: 0, stdout: { text: "kept\n" } });
    });

    const run = async (command: string, rest: Partial<Command> = {}) => await runIn(sandbox, command, rest);

    /** The whole standard output of a command that has to succeed. */
    const outputOf = async (command: string, rest: Partial<Command> = {}): Promise<string> => {
      const result = await run(command, { maxChars: 2 * MEGABYTE, ...rest });
      expect(result).toMatchObject({ exitCode: 0, stderr: { text: "" }, stdout: { isCut: false } });
      return result.stdout.text;
    };

    test("a NUL in a command, folder or variable is refused in words, and what runs beside it goes on", async () => {
      const beside = run("sleep 0.5; echo done");
      const refusal = { code: "invalid_input", message: expect.stringContaining("NUL") };
      await expect(run("echo a\0b > /workspace/kept")).rejects.toMatchObject(refusal);
      await expect(run("true", { cwd: "a\0b" })).rejects.toMatchObject(refusal);
      await expect(run("true", { env: { A: "a\0b" } })).rejects.toMatchObject(refusal);
      expect((await beside).stdout.text).toBe("done\n");
    });

    test("a NUL in standard input and in output is a byte like any other", async () => {
      expect(await outputOf("od -An -c", { stdin: "a\0b" })).toBe("   a  \\0   b\n");
      expect(await outputOf("cat", { stdin: "\0\0\n\0" })).toBe("\0\0\n\0");
    });

    test("half a character in a command arrives as the mark for what is none", async () => {
      expect(await outputOf("printf '%s' 'a\ud83db'")).toBe("a\ufffdb");
      expect(await outputOf("printf '%s' \"$HALF\"; cat", { env: { HALF: "\udc00" }, stdin: "\ud800" })).toBe(
        "\ufffd\ufffd",
      );
    });

    test("output that is no UTF-8 is marked, and its bytes stay readable", async () => {
      const command = String.raw`printf '\xc3\x28|\xed\xa0\x80|\xff\xfe|\xf0\x9f\x98' | tee bytes; printf '\xe2\x82' >&2`;
      const result = await run(command);
      expect(result.stdout.text).toBe("\ufffd(|\ufffd\ufffd\ufffd|\ufffd\ufffd|\ufffd");
      expect(result.stderr.text).toBe("\ufffd");
      expect([...(await sandbox.readFile("bytes", 100))].map((byte) => byte.toString(16)).join(" ")).toBe(
        "c3 28 7c ed a0 80 7c ff fe 7c f0 9f 98",
      );
      const { body } = await sandbox.readOutput(result.processId, "stderr");
      expect([...(await new Response(body).bytes())]).toEqual([0xe2, 0x82]);
    });

    test("a megabyte of arguments reaches bash and the programs that it starts", async () => {
      const word = "argument ";
      const start = "/bin/echo ";
      const words = word.repeat(Math.floor((MEGABYTE - start.length) / word.length)).trimEnd();
      expect(await outputOf(`${start}${words}`)).toBe(`${words}\n`);
    });

    test("more arguments than Linux takes are bash's error, not the sandbox's", async () => {
      const result = await run("/bin/true $(seq 1 1000000)");
      expect(result.exitCode).toBe(126);
      expect(result.stderr.text).toMatch(/Argument list too long/);
    });

    test("a command longer than a megabyte is refused, and one of a megabyte of Unicode is not", async () => {
      await expect(run(`true ${"#".repeat(MEGABYTE)}`)).rejects.toMatchObject({ code: "invalid_input" });
      const text = "ü😀".repeat(300_000);
      expect(await outputOf(`printf '%s' '${text}' | sha256sum`)).toBe(await outputOf("sha256sum", { stdin: text }));
    });

    test("a megabyte of variables arrives, and more than Linux takes is refused", async () => {
      const variables = (count: number) =>
        Object.fromEntries(Array.from({ length: count }, (_, index) => [`V${index}`, "x".repeat(99_000)]));
      expect(await outputOf("env | grep -c '^V[0-9]*=x*$'", { env: variables(10) })).toBe("10\n");
      await expect(run("true", { env: variables(40) })).rejects.toMatchObject({ code: "too_large" });
    });

    test("heredocs keep quotes, dollars and backslashes as bash's rules say", async () => {
      const text = `"double" 'single' \`tick\` $HOME \${x:-y} \\n 😀\n\ttab\n`;
      expect(await outputOf(`cat <<'END'\n${text}END\n`)).toBe(text);
      expect(await outputOf(`x=1; cat <<END\n$x $((x + 1)) \\$x "q"\nEND\n`)).toBe('1 2 $x "q"\n');
      expect(await outputOf("cat <<-END\n\t\tindented\n\tEND\n")).toBe("indented\n");
      expect(await outputOf("bash <<'OUT'\ncat <<'IN'\n$inner\nIN\nOUT\n")).toBe("$inner\n");
      expect(await outputOf(`python3 - <<'END'\nprint("""it's "fine" \\\\ ok""")\nEND`)).toBe('it\'s "fine" \\ ok\n');
    });

    test("a heredoc of a megabyte arrives whole", async () => {
      const line = `${"x".repeat(98)}\n`;
      expect(await outputOf(`wc -c <<'END'\n${line.repeat(10_000)}END\n`)).toBe("990000\n");
    });

    test("a heredoc without an end is told by bash, and what it held is used", async () => {
      const result = await run("cat <<'END'\nopen");
      expect(result).toMatchObject({ exitCode: 0, stdout: { text: "open\n" } });
      expect(result.stderr.text).toMatch(/here-document .*wanted `END'/);
    });

    test.each([`echo "open`, "echo 'open", "echo $(", "if true; then", ")", "echo `"])(
      "%s is bash's syntax error",
      async (command) => {
        const result = await run(command);
        expect(result).toMatchObject({ exitCode: 2, stdout: { text: "" } });
        expect(result.stderr.text).toMatch(/unexpected|syntax error/);
      },
    );

    test("quotes within quotes, emoji and scripts of the world arrive as they were sent", async () => {
      const text = `'"\\$\`!*?[]{}~#&|;<>()\t\n\r\u001b[31m👩‍👩‍👧‍👦 e\u0301 العربية 中文 \u200f\u2028\ufeff`;
      expect(await outputOf('printf "%s" "$TEXT"; cat', { env: { TEXT: text }, stdin: text })).toBe(text + text);
      const quoted = `'${text.replaceAll("'", String.raw`'\''`)}'`;
      expect(await outputOf(`printf '%s' ${quoted}`)).toBe(text);
    });

    test("folders and files named in emoji, spaces and quotes are found, brought out and brought in", async () => {
      const name = `it's "fine" 😀 ünï`;
      await run(`mkdir -p 'files/🗂 a'`);
      await run(`pwd > "$NAME"`, { cwd: "files/🗂 a", env: { NAME: name } });
      expect(await files.read(`🗂 a/${name}`)).toBe("/workspace/files/🗂 a\n");
      await files.write(`🗂 a/from outside 😀`, "seen");
      expect(await outputOf("cat 'from outside 😀'", { cwd: "/workspace/files/🗂 a" })).toBe("seen");
    });

    test("an empty command is refused", async () => {
      await expect(run("")).rejects.toMatchObject({ code: "invalid_input" });
    });

    test.each([
      ["   ", 0],
      ["\n\n", 0],
      ["# only a comment", 0],
      ["\t;:\n", 2],
      ["true\r\n", 127],
    ])("a command of nothing much, %j, ends with %i as bash says", async (command, exitCode) => {
      expect(await run(command)).toMatchObject({ exitCode, isRunning: false, stdout: { text: "" } });
    });

    test("lines that end as Windows ends them are what bash says that they are", async () => {
      const result = await run("echo one\r\nnosuchcommand\r\n");
      expect(result.stdout.text).toBe("one\r\n");
      expect(result.exitCode).toBe(127);
    });

    test("output that speaks the runtime's own language is output", async () => {
      const lies = `{"result":{"exitCode":7},"notes":[],"changes":{}}\n{"error":{"code":"internal","message":"lie"}}\n`;
      expect(await outputOf("cat; sleep 0.6", { stdin: lies })).toBe(lies);
      const frames = String.raw`printf '\0\0\0\2\20\0\0\0\0{}' >&2; printf '\0\0\0\1' `;
      expect(await run(frames)).toMatchObject({ exitCode: 0, stdout: { text: "\0\0\0\u0001" } });
    });

    test.each(["1A", "A-B", "A=B", "", "É", "A\nB"])("a variable named %j is refused", async (name) => {
      await expect(run("true", { env: { [name]: "x" } })).rejects.toMatchObject({ code: "invalid_input" });
    });

    test("variables that bash and the loader listen to spoil their own command alone", async () => {
      expect((await run("ls", { env: { PATH: "" } })).exitCode).toBe(127);
      const loaded = await run("echo ok", { env: { LD_PRELOAD: "/nowhere.so" } });
      expect(loaded).toMatchObject({ exitCode: 0, stdout: { text: "ok\n" } });
      expect(loaded.stderr.text).toMatch(/LD_PRELOAD cannot be preloaded/);
      expect(await outputOf("echo never", { env: { SHELLOPTS: "noexec" } })).toBe("");
      expect(await outputOf("echo ok", { env: { BASH_ENV: "/nowhere", ENV: "/nowhere", PINCER_MARK: "1" } })).toBe(
        "ok\n",
      );
    });

    test.each([
      ["too long", "d/".repeat(4_000)],
      ["a file", "/workspace/kept"],
      ["below a file", "kept/below"],
      ["nowhere", "/proc/0/cwd"],
    ])("a folder that is %s is refused", async (_, cwd) => {
      await expect(run("true", { cwd })).rejects.toMatchObject({ code: "invalid_input" });
    });

    test("a command that removes the folder it stands in, or closes its outputs, ends as it says", async () => {
      expect((await run("mkdir gone; cd gone; rmdir ../gone; pwd -P; exit 4")).exitCode).toBe(4);
      expect(await run("echo before; exec <&- >&- 2>&-; sleep 0.1; exit 5")).toMatchObject({
        exitCode: 5,
        stdout: { text: "before\n" },
      });
    });

    test("code with NUL, half a character, emoji and a megabyte of text is run or answered by its language", async () => {
      expect((await runCode(sandbox, "len('a\0b')")).error?.name).toMatch(/SyntaxError|ValueError/);
      expect((await runCode(sandbox, "'a\0b'.length", { language: "javascript" })).results).toEqual([{ text: "3" }]);
      expect((await runCode(sandbox, "'😀ü\ufffd'")).results).toEqual([{ text: "'😀ü\ufffd'" }]);
      expect((await runCode(sandbox, "'\ud800'.length", { language: "javascript" })).results).toEqual([{ text: "1" }]);
      expect((await runCode(sandbox, `len('${"x".repeat(MEGABYTE)}')`)).results).toEqual([{ text: String(MEGABYTE) }]);
      expect((await runCode(sandbox, "print('a\\ud800b')")).stdout.text).toBe("a\\ud800b\n");
      expect((await runCode(sandbox, "1 + 1")).results).toEqual([{ text: "2" }]);
    });

    test("code of two megabytes of control characters arrives whole, and its context keeps its state", async () => {
      await runCode(sandbox, "kept = 7");
      const controls = "\u0001".repeat(2 * MEGABYTE - 100);
      expect((await runCode(sandbox, `text = '${controls}'\nkept, len(text)`)).results).toEqual([
        { text: `(7, ${controls.length})` },
      ]);
      const found = await runCode(sandbox, `'${controls}'.length`, { language: "javascript" });
      expect(found.results).toEqual([{ text: String(controls.length) }]);
    });
  });
}

import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type ToolClient, connectOfficial, textOf } from "../support/mcp-clients.ts";
import { sharedSuite } from "../support/suite.ts";

const suite = sharedSuite();
let client: ToolClient;

beforeAll(async () => {
  client = await connectOfficial(new URL("/mcp", suite.url), await suite.token(), "modern");
});

afterAll(async () => await client[Symbol.asyncDispose]());

async function call(name: string, input: Record<string, unknown>): Promise<Record<string, unknown>> {
  const answer = await client.callTool(name, input);
  expect(answer, textOf(answer)).toMatchObject({ isError: false });
  return answer.structuredContent ?? {};
}

/** The error that a call ends in. */
async function refusal(name: string, input: Record<string, unknown>): Promise<string> {
  const answer = await client.callTool(name, input);
  expect(answer.isError).toBe(true);
  return textOf(answer);
}

async function startInBackground(command: string, rest: Record<string, unknown> = {}): Promise<string> {
  const { process_id: processId } = await call("sandbox_exec", { command, background: true, ...rest });
  expect(processId).toMatch(/^main:./);
  return String(processId);
}

describe("processes", () => {
  test("a server is started in the background, waited for at its port, used, and ended", async () => {
    const server = await startInBackground("cd /tmp && echo page > p.txt && exec python3 -um http.server 8311");
    expect(await call("sandbox_wait", { process_id: server, port: 8311, wait_ms: 20_000 })).toMatchObject({
      running: true,
      reached: true,
    });
    expect(
      await call("sandbox_exec", {
        command: "python3 -c 'import urllib.request as u; print(u.urlopen(\"http://localhost:8311/p.txt\").read())'",
      }),
    ).toMatchObject({ exit_code: 0, stdout: "b'page\\n'\n" });
    const ended = await call("sandbox_send", { process_id: server, signal: "SIGTERM", wait_ms: 10_000 });
    expect(ended).toMatchObject({ running: false, signal: "SIGTERM", exit_code: 143 });
    expect(await call("sandbox_wait", { process_id: server })).toMatchObject({ running: false, exit_code: 143 });
  });

  test("a REPL is driven through a terminal", async () => {
    const python = await startInBackground("python3", { input: "terminal" });
    await call("sandbox_wait", { process_id: python, pattern: ">>> $", wait_ms: 20_000 });
    const answer = await call("sandbox_send", { process_id: python, text: "6 * 7\n", pattern: "42\\r?\\n>>> $" });
    expect(answer).toMatchObject({ running: true, reached: true });
    const bye = await call("sandbox_send", { process_id: python, text: "exit()\n", wait_ms: 10_000 });
    expect(
      await call("sandbox_wait", { process_id: python, cursor: bye["cursor"], end: true, wait_ms: 20_000 }),
    ).toMatchObject({
      running: false,
      exit_code: 0,
    });
  });

  test("output is followed from cursor to cursor, and progress is told meanwhile", async () => {
    const command = "echo one; until [[ -e go ]]; do sleep 0.1; done; echo two; sleep 30";
    const first = await call("sandbox_exec", { command, wait_ms: 3_000 });
    expect(first).toMatchObject({ stdout: "one\n", cursor: "4.0", note: expect.stringContaining("sandbox_wait") });
    await call("sandbox_exec", { command: "touch go" });
    const next = await call("sandbox_wait", { process_id: first["process_id"], cursor: first["cursor"] });
    expect(next).toMatchObject({ stdout: "two\n", cursor: "8.0", running: true, reached: true });
    await call("sandbox_send", { process_id: first["process_id"], signal: "SIGKILL" });
  });

  test("what one client started, another one finds", async () => {
    const processId = await startInBackground("sleep 60 # for the other client");
    await using other = await connectOfficial(new URL("/mcp/sandbox", suite.url), await suite.token(), "legacy");
    const { structuredContent: status } = await other.callTool("sandbox_status", {});
    expect(status).toMatchObject({ driver: "local", state: "running", cost_usd: 0 });
    expect(status?.["processes"]).toContainEqual(
      expect.objectContaining({ process_id: processId, command: "sleep 60 # for the other client", running: true }),
    );
    expect((await other.callTool("sandbox_send", { process_id: processId, signal: "SIGKILL" })).isError).toBe(false);
    expect(await call("sandbox_wait", { process_id: processId, end: true })).toMatchObject({ signal: "SIGKILL" });
  });

  test("output that does not fit is linked whole", async () => {
    const processId = await startInBackground("seq 1 100000");
    const answer = await client.callTool("sandbox_wait", { process_id: processId, end: true });
    expect(answer.structuredContent).toMatchObject({ running: false, exit_code: 0 });
    expect(textOf(answer)).toContain("left out");
    expect(answer.content.at(-1)).toMatchObject({ type: "resource_link", size: 588_895 });
  });

  test.each([
    ["a process that never was", { process_id: "main:0123" }, /^not_found: /],
    [
      "a name that is none",
      { process_id: "../etc" },
      /^not_found: There is no such process; sandbox_status lists them/,
    ],
    ["a cursor that is none", { process_id: "main:0123", cursor: "soon" }, /^invalid_input: That is no cursor/],
    ["two things to wait for", { process_id: "main:0123", end: true, port: 80 }, /^invalid_input: Wait for one thing/],
  ])("%s is refused in words", async (_, input, words) => {
    expect(await refusal("sandbox_wait", input)).toMatch(words);
  });

  test("a process whose input is closed says so, and neither a text nor a signal is nothing to send", async () => {
    const processId = await startInBackground("sleep 30");
    expect(await refusal("sandbox_send", { process_id: processId, text: "hello\n" })).toMatch(/^conflict: /);
    expect(await refusal("sandbox_send", { process_id: processId })).toMatch(/^invalid_input: Give a text/);
    await call("sandbox_send", { process_id: processId, signal: "SIGKILL" });
  });

  test("sandboxes of several names are apart, and one that is reset is empty", async () => {
    const sandbox = "named-one";
    await call("sandbox_exec", { sandbox, command: "echo here > note; sleep 60 & " });
    expect(await call("sandbox_exec", { sandbox: "named-two", command: "ls note" })).toMatchObject({ exit_code: 2 });
    expect(await call("sandbox_reset", { sandbox })).toEqual({ sandbox, reset: true });
    expect(await call("sandbox_exec", { sandbox, command: "ls" })).toMatchObject({ stdout: "files\n" });
  });
});

describe("interpreter", () => {
  async function run(input: Record<string, unknown>): Promise<string> {
    return textOf(await client.callTool("interpreter_run", input));
  }

  test("typescript shares javascript's variables, and a context that is fresh has none", async () => {
    const context = "types";
    expect(await run({ context, language: "typescript", code: "const n: number = 41; n + 1" })).toBe("42");
    expect(await run({ context, language: "javascript", code: "n" })).toBe("41");
    expect((await call("interpreter_list", {}))["contexts"]).toContainEqual({
      ...{ language: "javascript", context, busy: false },
    });
    expect(await run({ context, language: "javascript", code: "typeof n", fresh: true })).toBe("'undefined'");
  });

  test("an endless loop is interrupted when asked to, and its variables survive", async () => {
    const context = "loops";
    await run({ context, code: "kept = 7" });
    expect(await run({ context, code: "while True: pass", timeout_ms: 500 })).toContain("Interrupted");
    expect(await run({ context, code: "kept" })).toBe("7");
  });

  test("a page and a drawing are kept as files, and a table is read as text", async () => {
    const code =
      "from IPython.display import HTML, SVG, display\nimport pandas as pd\ndisplay(HTML('<b>bold</b>'))\ndisplay(SVG('<svg xmlns=\"http://www.w3.org/2000/svg\"/>'))\npd.DataFrame({'a': [1, 2]})";
    const answer = await client.callTool("interpreter_run", { context: "forms", code });
    expect(textOf(answer)).toBe('<b>bold</b>\n<svg xmlns="http://www.w3.org/2000/svg"/>\n   a\n0  1\n1  2');
    expect(answer.content.slice(1)).toMatchObject([
      { type: "resource_link", mimeType: "text/html" },
      { type: "resource_link", mimeType: "image/svg+xml" },
    ]);
  });
});

import { once } from "node:events";
import { type Server, createServer } from "node:net";
import { Readable } from "node:stream";
import { setTimeout as pause } from "node:timers/promises";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { readBooks } from "../support/books.ts";
import { type ToolClient, connectOfficial, textOf } from "../support/mcp-clients.ts";
import { mcpHeaders, sendRaw } from "../support/raw-mcp.ts";
import { type OwnSuite, sharedSuite, startSuite } from "../support/suite.ts";

// A suite of its own: a fork bomb takes every process of its sandbox along.
let suite: OwnSuite;
let mcpUrl: URL;
let token: string;
let client: ToolClient;
let silent: Server;
let silentUrl: string;

beforeAll(async () => {
  silent = createServer().listen(0, "127.0.0.1");
  await once(silent, "listening");
  const address = silent.address();
  if (address === null || typeof address === "string") throw new Error("The silent server has no port.");
  silentUrl = `http://127.0.0.1:${address.port}/`;
  suite = await startSuite(["--allow-host", `127.0.0.1:${address.port}`]);
  mcpUrl = new URL("/mcp", suite.url);
  token = await suite.token();
  client = await connectOfficial(mcpUrl, token, "modern");
});

afterAll(async () => {
  await client?.[Symbol.asyncDispose]();
  await suite?.[Symbol.asyncDispose]();
  silent?.close();
});

/** Whatever a test did, the next call works. */
afterEach(async () => {
  const answer = await client.callTool("sandbox_exec", { command: "echo still here" });
  expect(answer.structuredContent).toMatchObject({ exit_code: 0, stdout: "still here\n" });
});

describe("a request that is not right", () => {
  const cases = [
    { what: "no JSON", body: "{oops", status: 400, code: -32700 },
    { what: "no JSON-RPC", body: `{"hello":1}`, status: 400, code: -32600 },
    { what: "nothing", body: "", status: 400, code: -32700 },
    { what: "an empty batch", body: "[]", status: 400, code: -32600 },
    { what: "a method of the wrong type", body: `{"jsonrpc":"2.0","id":1,"method":7}`, status: 400, code: -32600 },
    { what: "an unknown method", body: `{"jsonrpc":"2.0","id":1,"method":"tools/eat"}`, status: 200, code: -32601 },
    { what: "params of the wrong type", body: rpc("tools/call", 7), status: 400, code: -32600 },
    { what: "a tool name of the wrong type", body: rpc("tools/call", { name: 7 }), status: 200, code: -32602 },
    { what: "an unknown tool", body: rpc("tools/call", { name: "files_eat" }), status: 200, code: -32602 },
  ];
  test.for(cases)("that carries $what gets error $code", async ({ body, status, code }) => {
    const answer = await sendRaw(mcpUrl, { headers: mcpHeaders(token), body });
    expect(answer.status).toBe(status);
    expect(answer.text).toContain(`"code":${code}`);
  });

  test("that has arguments of the wrong types is told which", async () => {
    const answer = await client.callTool("sandbox_exec", { command: ["ls"], wait_ms: "soon" });
    expect(answer.isError).toBe(true);
    expect(textOf(answer)).toMatch(/^invalid_input: command: .*; wait_ms: .*call again\.$/);
  });

  test.for(["with its length", "without its length"])("that has a body of 100 MB, sent %s, gets 413", async (how) => {
    const length = how === "with its length" ? { "Content-Length": HUGE_BYTES } : {};
    const answer = await sendRaw(mcpUrl, { headers: { ...mcpHeaders(token), ...length }, body: hugeBody() });
    expect(answer.status).toBe(413);
    expect(answer.text).toContain("send large files in parts");
  });
});

describe("a stranger", () => {
  test("that reaches the suite under another host's name gets 421", async () => {
    const answer = await sendRaw(mcpUrl, { headers: { ...mcpHeaders(token), Host: "evil.example" }, body: LIST });
    expect(answer.status).toBe(421);
    expect(answer.text).not.toContain("files_list");
  });

  test("whose page is of another origin gets 403, and no leave to read the answer", async () => {
    const headers = { ...mcpHeaders(token), Origin: "https://evil.example" };
    const answer = await sendRaw(mcpUrl, { headers, body: LIST });
    expect(answer.status).toBe(403);
    expect(answer.headers["access-control-allow-origin"]).toBeUndefined();
    expect(answer.text).not.toContain("files_list");
  });

  test("without a token gets a 401", async () => {
    await expectRefusal(undefined);
  });

  test("whose token is made up, truncated or of another suite gets a 401", async () => {
    await expectRefusal("x".repeat(5_000));
    await expectRefusal(token.slice(0, -1));
    await expectRefusal(await sharedSuite().token());
  });
});

describe("a command", () => {
  test("that never ends is handed back as running, and killed at its timeout", async () => {
    const left = await client.callTool("sandbox_exec", { command: "sleep 1000", wait_ms: 300, timeout_ms: 2_000 });
    expect(left.structuredContent).toMatchObject({ process_id: expect.any(String), stdout: "", stderr: "" });
    const killed = await client.callTool("sandbox_exec", { command: "sleep 1000", wait_ms: 9_000, timeout_ms: 500 });
    expect(killed.structuredContent).toMatchObject({ timed_out: true, signal: "SIGKILL" });
  });

  // More than is kept; a gigabyte at a time is a case of the soak.
  test("that prints 100 MB gives head and tail, and what is kept as a file", async () => {
    const answer = await client.callTool("sandbox_exec", { command: "yes | head -c 100000000", wait_ms: 50_000 });
    expect(answer.structuredContent).toMatchObject({
      exit_code: 0,
      stdout: expect.stringContaining("left out"),
    });
    expect(JSON.stringify(answer.structuredContent).length).toBeLessThan(50_000);
    expect(answer.content.map(({ type }) => type)).toEqual(["text", "resource_link"]);
  });

  test("that forks without end ends", async () => {
    const answer = await client.callTool("sandbox_exec", { command: ":(){ :|:& };:; sleep 5", timeout_ms: 6_000 });
    expect(answer.structuredContent).toMatchObject({ exit_code: expect.any(Number) });
    expect(answer.structuredContent?.["exit_code"]).not.toBe(0);
  });
});

describe("code", () => {
  test("that exits takes its context along, and the next run has a fresh one", async () => {
    const exited = await client.callTool("interpreter_run", { code: "import os; os._exit(3)", context: "exits" });
    expect(textOf(exited)).toContain("exit code 3");
    expect(textOf(await client.callTool("interpreter_run", { code: "20 + 22", context: "exits" }))).toBe("42");
  });

  test("that forks without end ends", async () => {
    const code = "import os\nwhile True: os.fork()";
    const answer = await client.callTool("interpreter_run", { code, context: "forks" });
    expect(textOf(answer)).toContain("variables are lost");
    // While the crowd is being ended, it may say to try again.
    const next = async () => textOf(await client.callTool("interpreter_run", { code: "20 + 22", context: "forks" }));
    await expect.poll(next).toBe("42");
  });
});

test("each call, whatever its outcome, leaves one audit row and one cost row", async () => {
  await using fresh = await connectOfficial(mcpUrl, await suite.token(), "modern");
  await fresh.callTool("files_list", {});
  await fresh.callTool("files_read", { path: "not/there" });
  await fresh.callTool("files_read", { path: 7 });
  await fresh.callTool("sandbox_exec", { command: "exit 1" });
  const ofLatestClient = (): string[] => {
    const rows = readBooks(suite.dataDir);
    const own = rows.filter(({ client_id }) => client_id === rows.at(-1)?.client_id);
    return own.map(({ tool, outcome, costs }) => `${tool}: ${outcome}, ${costs} cost`);
  };
  await expect
    .poll(ofLatestClient)
    .toEqual([
      "files_list: ok, 1 cost",
      "files_read: not_found, 1 cost",
      "files_read: invalid_input, 1 cost",
      "sandbox_exec: ok, 1 cost",
    ]);
});

// The last ones, side by side: the token has to be old enough by then, and the browser is waited for.
describe.concurrent("what takes its time", () => {
  test("a page that never loads is an error that says so", async () => {
    const answer = await client.callTool("browser_open", { url: silentUrl });
    expect(answer.isError).toBe(true);
    expect(textOf(answer)).toMatch(/^timeout: /);
  });

  test("a stranger whose token has expired gets a 401", { timeout: 90_000 }, async () => {
    const { url, shortLived } = sharedSuite();
    await pause(Math.max(0, shortLived.expiresAtMs + 1_000 - Date.now()));
    await expectRefusal(shortLived.token, url);
  });
});

async function expectRefusal(bearer: string | undefined, suiteUrl = suite.url): Promise<void> {
  const { Authorization: _, ...headers } = mcpHeaders(token);
  const answer = await sendRaw(new URL("/mcp", suiteUrl), {
    headers: bearer === undefined ? headers : { ...headers, Authorization: `Bearer ${bearer}` },
    body: LIST,
  });
  expect(answer.status).toBe(401);
  expect(answer.headers["www-authenticate"]).toContain(
    `resource_metadata="${suiteUrl}/.well-known/oauth-protected-resource/mcp"`,
  );
  expect(answer.text).not.toContain("files_list");
}

const LIST = rpc("tools/list", {});
const HUGE_BYTES = 100 * 1024 * 1024;

function rpc(method: string, params: unknown): string {
  return JSON.stringify({ jsonrpc: "2.0", id: 1, method, params });
}

/** A call that would be in order, were it not for its size. */
function hugeBody(): Readable {
  const [head = "", tail = ""] = rpc("tools/call", {
    name: "files_write",
    arguments: { path: "x", content: "|" },
  }).split("|");
  return Readable.from(
    (function* () {
      yield head;
      const piece = "x".repeat(1024 * 1024);
      let left = HUGE_BYTES - head.length - tail.length;
      for (; left > piece.length; left -= piece.length) yield piece;
      yield piece.slice(0, left);
      yield tail;
    })(),
  );
}

import { Client, StreamableHTTPClientTransport } from "@modelcontextprotocol/client";
import { build } from "esbuild";
import { afterAll, beforeAll, expect, test } from "vitest";
import * as z from "zod";
import { readSuite } from "../../container/local/running-suite.ts";
import { readBooks } from "../support/books.ts";
import { sendRaw } from "../support/raw-mcp.ts";
import { sharedSuite } from "../support/suite.ts";

const suite = sharedSuite();
const SANDBOX = "inside-names";
let client: Client;

beforeAll(async () => {
  client = new Client({ name: "inside-test", version: "1.0.0" });
  const requestInit = { headers: { Authorization: `Bearer ${await suite.token()}` } };
  await client.connect(new StreamableHTTPClientTransport(new URL("/mcp", suite.url), { requestInit }));
});

afterAll(async () => await client.close());

const resultSchema = z.object({ exit_code: z.int(), stdout: z.string(), stderr: z.string() });

async function exec(command: string): Promise<z.output<typeof resultSchema>> {
  const { structuredContent } = await client.callTool({
    name: "sandbox_exec",
    arguments: { command, sandbox: SANDBOX },
  });
  return resultSchema.parse(structuredContent);
}

const PROGRAM = `
import { Client, StreamableHTTPClientTransport } from "@modelcontextprotocol/client";
const client = new Client({ name: "inside", version: "1.0.0" });
await client.connect(new StreamableHTTPClientTransport(new URL("http://pincer.internal/mcp")));
const { tools } = await client.listTools();
await client.callTool({ name: "files_write", arguments: { path: "from-inside.txt", content: "written from inside" } });
const { content } = await client.callTool({ name: "files_read", arguments: { path: "from-inside.txt" } });
await client.close();
console.log(JSON.stringify({ tools: tools.map(({ name }) => name), text: content[0].text }));
`;

test("the official MCP client in a sandbox uses the suite's tools without a token", async () => {
  const { outputFiles } = await build({
    stdin: { contents: PROGRAM, resolveDir: import.meta.dirname, loader: "js" },
    ...{ bundle: true, write: false, format: "esm", platform: "node", target: "node24" },
  });
  const script = outputFiles[0]?.text ?? "";
  await client.callTool({
    name: "sandbox_write",
    arguments: { path: "client.mjs", content: script, sandbox: SANDBOX },
  });
  const { exit_code: exitCode, stdout, stderr } = await exec("node client.mjs");
  expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: "" });
  const { tools } = await client.listTools();
  expect(JSON.parse(stdout)).toEqual({
    tools: tools.map(({ name }) => name),
    text: expect.stringContaining("written from inside"),
  });
  const { content } = await client.callTool({ name: "files_read", arguments: { path: "from-inside.txt" } });
  expect(JSON.stringify(content)).toContain("written from inside");
  const rows = () => readBooks(suite.dataDir).filter((row) => row.client_id === `sandbox:${SANDBOX}`);
  await expect.poll(rows).toEqual(
    ["files_write", "files_read"].map((tool) => ({
      ...{ client_id: `sandbox:${SANDBOX}`, tool },
      ...{ outcome: "ok", costs: 1 },
    })),
  );
});

const CALL = JSON.stringify({
  ...{ jsonrpc: "2.0", id: 1, method: "tools/call" },
  params: { name: "files_read", arguments: { path: "read-by-curl.txt" } },
});
const HEADERS = {
  "Content-Type": "application/json",
  Accept: "application/json, text/event-stream",
  "MCP-Protocol-Version": "2025-11-25",
};

test("curl and Node's fetch reach it, through the proxy and without", async () => {
  await client.callTool({ name: "files_write", arguments: { path: "read-by-curl.txt", content: "for curl" } });
  const options = Object.entries(HEADERS).map(([name, value]) => `-H '${name}: ${value}'`);
  const curl = `curl -sS ${options.join(" ")} -d '${CALL}' http://pincer.internal/mcp/files`;
  for (const way of ["", " --proxytunnel", " --noproxy '*'"]) {
    expect((await exec(curl + way)).stdout, way).toContain("for curl");
  }
  const init = JSON.stringify({ method: "POST", headers: HEADERS, body: CALL });
  const node = `node -e 'fetch("http://pincer.internal/mcp/files", ${init}).then((r) => r.text()).then(console.log)'`;
  for (const way of ["", "NODE_USE_ENV_PROXY= "]) expect((await exec(way + node)).stdout, way).toContain("for curl");
});

test("nothing in the sandbox shows a secret of the suite", async () => {
  const { adminSecret } = await readSuite(suite.dataDir);
  const token = await suite.token();
  const { stdout } = await exec("printenv; cat /proc/*/environ /proc/*/cmdline 2> /dev/null | tr '\\0' '\\n'; true");
  expect(stdout).toContain("HTTP_PROXY=http://127.0.0.1:3128");
  expect(stdout).not.toContain("left out");
  for (const secret of [adminSecret, token, suite.shortLived.token]) expect(stdout).not.toContain(secret);
  // The suite's own secrets are so many hex digits.
  expect(stdout).not.toMatch(/[0-9a-f]{48}/i);
});

test.each(["pincer.internal", "browser.internal", "model.internal", "pincer.internal:9222"])(
  "from outside, %s is a stranger's host, whatever the request says of itself",
  async (host) => {
    for (const headers of [
      {},
      { "x-pincer-inside-secret": "a".repeat(64), "x-pincer-inside-sandbox": "owner-main" },
      {
        "x-pincer-inside-secret": (await readSuite(suite.dataDir)).adminSecret,
        "x-pincer-inside-sandbox": "owner-main",
      },
    ]) {
      const answer = await sendRaw(new URL("/mcp", suite.url), {
        headers: { ...HEADERS, ...headers, Host: host },
        body: CALL,
      });
      expect(answer.status).toBe(421);
    }
  },
);

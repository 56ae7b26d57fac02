import { Client, StreamableHTTPClientTransport } from "@modelcontextprotocol/client";
import { expect, test } from "vitest";
import { serve } from "../egress/loopback.ts";
import { startSuite } from "../support/suite.ts";

/** Loopback, and not one of the names that programs ask without the proxy. */
const HOST = "127.0.0.2";

test("--allow-host opens hosts to sandbox and browser alike, and nothing beside them, the model's endpoint neither", async () => {
  await using first = await serve((_request, response) => response.end("first page"), undefined, HOST);
  await using second = await serve((_request, response) => response.end("second page"), undefined, HOST);
  await using model = await serve((_request, response) => response.end("model"), undefined, HOST);
  const allowed = [first, second].flatMap(({ port }) => ["--allow-host", `${HOST}:${port}`]);
  await using suite = await startSuite(allowed, { MODEL_BASE_URL: `http://${HOST}:${model.port}/v1` });
  const client = new Client({ name: "allow-host-test", version: "1.0.0" });
  const requestInit = { headers: { Authorization: `Bearer ${await suite.token()}` } };
  await client.connect(new StreamableHTTPClientTransport(new URL("/mcp", suite.url), { requestInit }));
  const call = async (name: string, input: Record<string, unknown>): Promise<string> =>
    JSON.stringify(await client.callTool({ name, arguments: input }));

  for (const { port, page } of [
    { port: first.port, page: "first page" },
    { port: second.port, page: "second page" },
  ]) {
    expect(await call("sandbox_exec", { command: `curl -sS http://${HOST}:${port}/` })).toContain(page);
    await call("browser_open", { url: `http://${HOST}:${port}/` });
    expect(await call("browser_snapshot", {})).toContain(page);
  }
  const refusal = `${HOST} is a loopback address; to open it, start Pincer with --allow-host ${HOST}:${model.port}`;
  const url = `http://${HOST}:${model.port}/v1/models`;
  expect(await call("sandbox_exec", { command: `curl -sS ${url}` })).toContain(refusal);
  expect(await call("browser_open", { url })).toContain(refusal);
  expect(model.seen).toEqual([]);
  await client.close();
});

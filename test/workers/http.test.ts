import { Server } from "@modelcontextprotocol/server";
import { expect, test } from "vitest";
import { refuseStranger, serveMcp } from "../../servers/core/http.ts";

function statusFor(publicUrl: string, host: string): number | undefined {
  const request = new Request("http://localhost/mcp", { headers: { Host: host } });
  return refuseStranger(request, { publicUrl: new URL(publicUrl), isLocal: true })?.status;
}

test("a local suite answers to each name of this machine, on its own port alone", () => {
  for (const name of ["localhost", "127.0.0.1", "[::1]", "LOCALHOST"]) {
    expect.soft(statusFor("http://localhost:8717", `${name}:8717`), name).toBeUndefined();
    expect.soft(statusFor("http://localhost:8717", name), name).toBe(421);
    expect.soft(statusFor("http://localhost:80", name), name).toBeUndefined();
    expect.soft(statusFor("http://localhost:80", `${name}:8717`), name).toBe(421);
  }
  expect(statusFor("http://localhost:8717", "evil.example:8717")).toBe(421);
});

async function callSlowly(capabilities: { tools: {}; logging?: {} }, params: object): Promise<Response> {
  const body = { jsonrpc: "2.0", id: 1, method: "tools/call", params: { name: "slow", ...params } };
  const headers = { "Content-Type": "application/json", Accept: "application/json, text/event-stream" };
  const request = new Request("http://localhost/mcp", { method: "POST", headers, body: JSON.stringify(body) });
  return await serveMcp(request, body, () => {
    const server = new Server({ name: "test", version: "1.0.0" }, { capabilities });
    server.setRequestHandler("tools/call", async (_request, { mcpReq }) => {
      const progressToken = mcpReq._meta?.progressToken;
      if (progressToken !== undefined) {
        await mcpReq.notify({ method: "notifications/progress", params: { progressToken, progress: 1 } });
      }
      return { content: [{ type: "text", text: "done" }] };
    });
    return server;
  });
}

test("a client of the 2025 revisions is answered in JSON where nothing comes before the result", async () => {
  const response = await callSlowly({ tools: {} }, {});
  expect(response.headers.get("Content-Type")).toBe("application/json");
  expect(await response.json()).toEqual({
    jsonrpc: "2.0",
    id: 1,
    result: { content: [{ type: "text", text: "done" }] },
  });
});

test("a client of the 2025 revisions that asks for progress is sent it before the result", async () => {
  const response = await callSlowly({ tools: {} }, { _meta: { progressToken: "p" } });
  expect(response.headers.get("Content-Type")).toBe("text/event-stream");
  expect(await response.text()).toMatch(/notifications\/progress[^]*"text":"done"/);
});

test("a client of a server that logs is answered by a stream, in which the log has a place", async () => {
  const response = await callSlowly({ tools: {}, logging: {} }, {});
  expect(response.headers.get("Content-Type")).toBe("text/event-stream");
  expect(await response.text()).toContain('"text":"done"');
});

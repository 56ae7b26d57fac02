import { createExecutionContext, reset, waitOnExecutionContext } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterEach, expect, test } from "vitest";
import * as z from "zod";
import { localUserId } from "../../auth/local.ts";
import { readArrival } from "../../servers/inside/arrival.ts";
import { INSIDE_HOSTS, INSIDE_SANDBOX, INSIDE_SECRET } from "../../servers/shared/inside-hosts.ts";
import worker from "../../servers/worker.ts";
import { accountOf } from "./admin-suite.ts";
import { rules } from "./gate-suite.ts";

afterEach(async () => {
  await reset();
});

const SECRET = "i".repeat(40);
const OWNER = await localUserId();

interface Asked {
  readonly settings?: Readonly<Record<string, string>>;
  readonly headers?: Readonly<Record<string, string>>;
  /** As the proxy says it; what a stranger says goes into `headers`. */
  readonly sandbox?: string;
  readonly body?: object;
}

/** One request to a suite of its own, with no memory of others. */
async function ask(url: string, { settings = {}, headers = {}, sandbox, body }: Asked = {}): Promise<Response> {
  const ctx = createExecutionContext();
  const passed = sandbox === undefined ? {} : { [INSIDE_SECRET]: SECRET, [INSIDE_SANDBOX]: sandbox };
  const request = new Request<unknown, IncomingRequestCfProperties>(url, {
    headers: { Host: new URL(url).host, ...passed, ...headers },
    ...(body === undefined ? {} : { method: "POST", body: JSON.stringify(body) }),
  });
  const bindings = { ...env, LOCAL_INSIDE_SECRET: SECRET, ...settings };
  const answer = await worker.fetch(request, bindings, ctx);
  const copy = new Response(answer.status === 101 ? null : await answer.arrayBuffer(), answer);
  await waitOnExecutionContext(ctx);
  return copy;
}

const messageSchema = z.object({
  result: z.looseObject({ isError: z.boolean().optional() }).optional(),
  error: z.looseObject({ message: z.string() }).optional(),
});

const MCP_HEADERS = {
  "Content-Type": "application/json",
  Accept: "application/json, text/event-stream",
  "MCP-Protocol-Version": "2025-11-25",
};

async function askMcp(method: string, params: object, asked: Asked = {}, path = "/mcp") {
  const answer = await ask(`http://pincer.internal${path}`, {
    ...{ sandbox: `${OWNER}-main`, ...asked },
    headers: { ...MCP_HEADERS, ...asked.headers },
    body: { jsonrpc: "2.0", id: 1, method, params },
  });
  const text = await answer.text();
  const message: unknown = JSON.parse(/^data: (.*)$/m.exec(text)?.[1] ?? text);
  return { status: answer.status, text, ...messageSchema.parse(message) };
}

async function callTool(name: string, input: object, asked: Asked = {}) {
  return await askMcp("tools/call", { name, arguments: input }, asked);
}

async function toolNames(asked: Asked = {}, path = "/mcp"): Promise<readonly string[]> {
  const { result } = await askMcp("tools/list", {}, asked, path);
  return z
    .object({ tools: z.array(z.object({ name: z.string() })) })
    .parse(result)
    .tools.map(({ name }) => name);
}

async function audit(): Promise<readonly (readonly [clientId: string, tool: string, outcome: string])[]> {
  const rows = await accountOf(OWNER).listAudit(20);
  return rows.map(({ clientId, tool, outcome }) => [clientId, tool, outcome] as const);
}

test("a sandbox calls the suite's tools as its owner, and the books say from where", async () => {
  const written = await callTool("files_write", { path: "a.txt", content: "mine" }, { sandbox: `${OWNER}-work` });
  expect(written).toMatchObject({ status: 200, result: { content: expect.anything() } });
  expect(written.result?.isError).not.toBe(true);
  expect(await (await env.FILES.get(`users/${OWNER}/files/a.txt`))?.text()).toBe("mine");
  expect(await audit()).toEqual([["sandbox:work", "files_write", "ok"]]);
});

test("endpoints and their narrowed forms answer as they do outside", async () => {
  expect(await toolNames({}, "/mcp/files")).toEqual(await toolNames({}, "/mcp?servers=files"));
  const all = await toolNames();
  expect(all.length).toBeGreaterThan(30);
  const answer = await ask("http://pincer.internal/authorize", { sandbox: `${OWNER}-main` });
  expect(answer.status).toBe(404);
  expect(await answer.json()).toEqual({
    error: "There is nothing at /authorize; MCP clients connect to http://pincer.internal/mcp.",
  });
});

test("from outside the names are a stranger's, whatever a request says of itself", async () => {
  const claims: readonly Readonly<Record<string, string>>[] = [
    {},
    { [INSIDE_SANDBOX]: `${OWNER}-main` },
    { [INSIDE_SECRET]: SECRET },
    { [INSIDE_SECRET]: `${SECRET}i`, [INSIDE_SANDBOX]: `${OWNER}-main` },
    { [INSIDE_SECRET]: "", [INSIDE_SANDBOX]: `${OWNER}-main` },
    { [INSIDE_SECRET]: "undefined", [INSIDE_SANDBOX]: `${OWNER}-main` },
    { "X-Forwarded-Host": "pincer.internal", [INSIDE_SANDBOX]: `${OWNER}-main` },
  ];
  for (const host of [...INSIDE_HOSTS, "pincer.internal:9222"]) {
    for (const headers of claims) {
      const answer = await ask(`http://${host}/mcp`, { headers, body: {} });
      expect.soft([host, headers, answer.status]).toEqual([host, headers, 421]);
    }
  }
  expect(await audit()).toEqual([]);
});

test("the secret that the proxy and the suite share goes no further", async () => {
  const headers = { [INSIDE_SECRET]: SECRET, [INSIDE_SANDBOX]: "owner-main", "X-Other": "kept" };
  const arrival = await readArrival(new Request("http://pincer.internal/", { headers }), SECRET);
  expect([...(arrival?.request.headers ?? [])]).toEqual([["x-other", "kept"]]);
});

test("where the settings have no secret, no request is taken for a sandbox's", async () => {
  for (const secret of [SECRET, "", "undefined"]) {
    const headers = { [INSIDE_SECRET]: secret, [INSIDE_SANDBOX]: `${OWNER}-main` };
    const answer = await ask("http://pincer.internal/mcp", {
      headers,
      settings: { LOCAL_INSIDE_SECRET: "" },
      body: {},
    });
    expect(answer.status).toBe(421);
  }
});

test("what the proxy knows opens nothing at other hosts", async () => {
  const sandbox = `${OWNER}-main`;
  expect((await ask("http://other.internal/mcp", { sandbox, body: {} })).status).toBe(421);
  expect((await ask("http://pincer.internal:8080/mcp", { sandbox, body: {} })).status).toBe(421);
  expect((await ask("http://localhost:8717/mcp", { sandbox, body: {} })).status).toBe(401);
});

test("a page in a browser that runs in the sandbox may not call them", async () => {
  for (const Origin of ["https://evil.example", "null", "http://localhost:3000", "http://browser.internal"]) {
    const { status, text } = await callRefused({ Origin });
    expect([Origin, status]).toEqual([Origin, 403]);
    expect(text).toContain("Pages may not call pincer.internal");
  }
  expect(await audit()).toEqual([]);
});

async function callRefused(headers: Readonly<Record<string, string>>) {
  const body = { jsonrpc: "2.0", id: 1, method: "tools/call", params: { name: "files_list", arguments: {} } };
  const asked = { sandbox: `${OWNER}-main`, headers: { ...MCP_HEADERS, ...headers }, body };
  const answer = await ask("http://pincer.internal/mcp", asked);
  return { status: answer.status, text: await answer.text() };
}

test("tools that need what is withheld inside are not there, and admin always is withheld", async () => {
  const settings = { INSIDE_WITHHOLDS: "files:write,delegate:run" };
  const all = await toolNames();
  const left = await toolNames({ settings });
  expect(all.filter((name) => !left.includes(name))).toEqual(
    expect.arrayContaining(["files_write", "files_share", "delegate_run"]),
  );
  expect(left).toEqual(expect.arrayContaining(["files_read", "sandbox_exec", "browser_open"]));
  const { text } = await callTool("files_write", { path: "a.txt", content: "x" }, { settings });
  expect(text).toMatch(/files_write/);
  expect(await env.FILES.get(`users/${OWNER}/files/a.txt`)).toBeNull();
});

test("a run's own sandbox has none of the names, since its run may be allowed less than its owner", async () => {
  for (const host of INSIDE_HOSTS) {
    const answer = await ask(`http://${host}/mcp`, { sandbox: `${OWNER}-run-0123456789abcdef`, body: {} });
    expect(answer.status).toBe(403);
    expect(await answer.json()).toEqual({ error: "A run's own sandbox has none of the names that exist only inside." });
  }
});

test("whoever is let in no longer has nothing in a sandbox that is still there", async () => {
  const settings = {
    ...{ IDENTITY: "access-edge", ACCESS_TEAM_DOMAIN: "https://team.cloudflareaccess.com", ACCESS_AUDIENCE: "aud" },
    ...{ LOCAL_SIGN_IN_CODE: "", LOCAL_ADMIN_SECRET: "", PUBLIC_URL: "https://pincer.example.com" },
  };
  for (const host of INSIDE_HOSTS) {
    const answer = await ask(`http://${host}/mcp`, { sandbox: `${OWNER}-main`, settings, body: {} });
    expect(answer.status).toBe(403);
    expect(await answer.json()).toEqual({ error: "The owner of this sandbox may use no sandbox any more." });
  }
});

test("a paused person is paused in their sandbox too", async () => {
  await rules.pausePerson(OWNER, "Reviewing");
  const { result } = await callTool("files_list", {});
  expect(result).toMatchObject({ isError: true });
  expect(JSON.stringify(result)).toContain("An admin paused you");
  for (const url of ["http://browser.internal/json/version", "http://model.internal/v1/models"]) {
    const answer = await ask(url, { sandbox: `${OWNER}-main` });
    expect(answer.status).toBe(403);
    expect(await answer.text()).toContain("An admin paused you");
  }
  await rules.resumePerson(OWNER);
  expect((await callTool("files_list", {})).result?.isError).not.toBe(true);
});

import { afterAll, beforeAll, expect, test } from "vitest";
import * as z from "zod";
import { type LoopbackServer, serve } from "../egress/loopback.ts";
import { type LocalSandboxes, startLocalSandboxes } from "../sandbox/local-sandboxes.ts";
import { type AccessSuite, signIn, startAccessSuite } from "../support/access-sign-in.ts";
import { type LocalBrowser, prepareBrowser } from "../support/local-browser.ts";
import { type ToolClient, connectOfficial, textOf } from "../support/mcp-clients.ts";
import { askModern } from "../support/modern-mcp.ts";
import { type TestGateway, startTestGateway } from "../support/test-gateway.ts";

/* Two people of one suite: what Bob gets who has learned the names and ids of what is Ann's. */

const TASKS = { extensions: { "io.modelcontextprotocol/tasks": {} } };

interface Signed {
  readonly token: string;
  readonly client: ToolClient;
}

let site: LoopbackServer;
let sandboxes: LocalSandboxes;
let browser: LocalBrowser;
let gateway: TestGateway;
let started: AccessSuite;
let ann: Signed;
let bob: Signed;

beforeAll(async () => {
  site = await serve((_request, response) => {
    response.setHeader("Content-Type", "text/html").end("<title>Ann's page</title><h1>For Ann alone</h1>");
  });
  const allowed = `127.0.0.1:${site.port}`;
  sandboxes = await startLocalSandboxes();
  browser = await prepareBrowser([allowed], "http://localhost:1");
  gateway = await startTestGateway();
  const settings = {
    LOCAL_RUNTIME_URL: sandboxes.runtime.url,
    LOCAL_RUNTIME_SECRET: sandboxes.secret,
    ALLOWED_HOSTS: allowed,
    MODEL_BASE_URL: gateway.baseUrl,
    MODEL_API_KEY: "key",
    MODEL_DEFAULT: "scripted",
  };
  started = await startAccessSuite(settings, browser.env);
  ann = await signedIn("ann");
  bob = await signedIn("bob");
}, 120_000);

afterAll(async () => {
  for (const { client } of [ann, bob]) await client[Symbol.asyncDispose]();
  for (const part of [started, gateway, browser, sandboxes, site]) await part[Symbol.asyncDispose]();
});

async function signedIn(name: string): Promise<Signed> {
  const { suite, access } = started;
  access.people.set(name, []);
  access.atBrowser = name;
  const { tokens } = await signIn(suite);
  const token = tokens.access_token;
  return { token, client: await connectOfficial(new URL("/mcp", suite.url), token, "modern") };
}

/** A call that has to succeed: what it says, as data and as text. */
async function call({ client }: Signed, name: string, input: Record<string, unknown>) {
  const answer = await client.callTool(name, input);
  expect(answer.isError, textOf(answer)).toBe(false);
  return { ...answer.structuredContent, text: textOf(answer) };
}

async function refusal({ client }: Signed, name: string, input: Record<string, unknown>): Promise<string> {
  const answer = await client.callTool(name, input);
  expect([name, answer.isError], textOf(answer)).toEqual([name, true]);
  return textOf(answer);
}

const idIn = (answer: object, name: string): string => z.looseObject({ [name]: z.string() }).parse(answer)[name] ?? "";

test("a sandbox of the same name is another one", async () => {
  await call(ann, "sandbox_exec", { command: "echo mine > /workspace/secret.txt", sandbox: "work" });
  const { text } = await call(bob, "sandbox_exec", { command: "ls -R /workspace", sandbox: "work" });
  expect(text).toContain('"exit_code":0');
  expect(text).not.toContain("secret.txt");
  expect(await refusal(bob, "sandbox_read", { path: "/workspace/secret.txt", sandbox: "work" })).toMatch(/^not_found:/);
});

test("a process is found by nobody else's process_id", async () => {
  const input = { command: "cat", background: true, input: "open" };
  const processId = idIn(await call(ann, "sandbox_exec", input), "process_id");
  expect(await refusal(bob, "sandbox_wait", { process_id: processId })).toMatch(/^not_found:/);
  expect(await refusal(bob, "sandbox_send", { process_id: processId, signal: "SIGKILL" })).toMatch(/^not_found:/);
  expect(await call(ann, "sandbox_wait", { process_id: processId, wait_ms: 100 })).toMatchObject({ running: true });
  await call(ann, "sandbox_send", { process_id: processId, signal: "SIGKILL" });
});

test("a code context of the same name holds other variables", async () => {
  await call(ann, "interpreter_run", { code: "secret = 'for Ann'", context: "ledger" });
  const { text } = await call(bob, "interpreter_run", { code: "secret", context: "ledger" });
  expect(text).toContain("NameError");
  expect(text).not.toContain("for Ann");
  expect((await call(ann, "interpreter_run", { code: "secret", context: "ledger" })).text).toContain("for Ann");
});

test("a browser of the same name shows another page", async () => {
  const opened = await call(ann, "browser_open", { url: `http://127.0.0.1:${site.port}/`, browser: "desk" });
  expect(opened.text).toContain("For Ann alone");
  for (const tool of ["browser_snapshot", "browser_read", "browser_screenshot"]) {
    expect(await refusal(bob, tool, { browser: "desk" })).toMatch(/^not_found: No page is open/);
  }
  const { client } = bob;
  await client.callTool("browser_close", { browser: "desk" });
  expect((await call(ann, "browser_snapshot", { browser: "desk" })).text).toContain("For Ann alone");
  await call(ann, "browser_close", { browser: "desk" });
});

test("a run and its task are found by nobody else's id, and nobody else answers or ends it", async () => {
  gateway.script({ kind: "calls", calls: [{ name: "ask_caller", input: { question: "Which one?" } }] });
  const runId = idIn(await call(ann, "delegate_run", { task: "Choose." }), "run_id");
  expect(await refusal(bob, "delegate_status", { run_id: runId })).toMatch(/^not_found:/);
  expect(await refusal(bob, "delegate_status", { run_id: runId, answer: "Mine." })).toMatch(/^not_found:/);
  expect(await refusal(bob, "delegate_cancel", { run_id: runId })).toMatch(/^not_found:/);
  expect((await call(bob, "delegate_list", {})).text).not.toContain(runId);
  const bobs = { mcpUrl: new URL("/mcp", started.suite.url), token: bob.token, capabilities: TASKS };
  for (const method of ["tasks/get", "tasks/update", "tasks/cancel"]) {
    const { error } = await askModern(bobs, method, { taskId: runId });
    expect([method, error?.message]).toEqual([method, expect.stringMatching(/^not_found:/)]);
  }
  expect(await call(ann, "delegate_status", { run_id: runId })).toMatchObject({ status: "input_required" });
});

test("a file is reached by no path of somebody else's, nor is a version in their trash", async () => {
  await call(ann, "files_write", { path: "private.txt", content: "for Ann" });
  const link = idIn(await call(ann, "files_share", { path: "private.txt" }), "url");
  const [, annsId] = /\/s\/(\w+)\./.exec(link) ?? [];
  expect(annsId).toMatch(/^[a-z0-9]{32}$/);
  const paths = ["private.txt", `users/${annsId}/files/private.txt`, `../../${annsId}/files/private.txt`];
  for (const path of [...paths, `/workspace/files/../../${annsId}/files/private.txt`]) {
    expect(await refusal(bob, "files_read", { path })).toMatch(/^(not_found|invalid_input):/);
    expect(await refusal(bob, "files_delete", { path })).toMatch(/^(not_found|invalid_input):/);
  }
  await call(ann, "files_delete", { path: "private.txt" });
  const [, trashId = ""] = /"id":"([^"]+)"/.exec((await call(ann, "files_list", { trash: true })).text) ?? [];
  expect(trashId).not.toBe("");
  expect(await refusal(bob, "files_delete", { trash_id: trashId, restore: true })).toMatch(/^not_found:/);
  expect(await refusal(bob, "files_delete", { trash_id: trashId, forever: true })).toMatch(/^not_found:/);
  await call(ann, "files_delete", { trash_id: trashId, restore: true });
});

test("a link is revoked by nobody else, and an upload goes on by nobody else's link", async () => {
  const url = idIn(await call(ann, "files_share", { path: "inbox/", upload: true }), "url");
  const bobsUrl = idIn(await call(bob, "files_share", { path: "inbox/", upload: true }), "url");
  expect(await refusal(bob, "files_share", { revoke: url })).toMatch(/^not_found:/);
  const begun = await fetch(`${url}a.txt?uploads&size=3`, { method: "POST" });
  const uploadId = (await begun.text()).trim();
  expect(begun.status).toBe(201);
  const part = `upload=${uploadId}&part=1`;
  expect((await fetch(`${bobsUrl}a.txt?${part}`, { method: "PUT", body: "bob" })).status).toBe(404);
  expect((await fetch(`${bobsUrl}a.txt?upload=${uploadId}&complete`, { method: "POST" })).status).toBe(404);
  expect((await fetch(`${url}a.txt?${part}`, { method: "PUT", body: "ann" })).ok).toBe(true);
  expect((await fetch(`${url}a.txt?upload=${uploadId}&complete`, { method: "POST" })).ok).toBe(true);
  expect((await call(ann, "files_read", { path: "inbox/a.txt" })).text).toContain("ann");
});

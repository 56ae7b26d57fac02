import { createHash } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, expect, test } from "vitest";
import * as z from "zod";
import { type LoopbackServer, serve } from "../egress/loopback.ts";
import { type LocalSandboxes, startLocalSandboxes } from "../sandbox/local-sandboxes.ts";
import { type AccessSuite, signIn, startAccessSuite } from "../support/access-sign-in.ts";
import { CookieBrowser } from "../support/cookie-browser.ts";
import { USAGE, call, say } from "../support/delegate-talk.ts";
import {
  type AskedModel,
  type ModelUsage,
  byText,
  served,
  serverOf,
  spent,
  sum,
  tallied,
  tally,
} from "../support/hand-count.ts";
import { type LocalBrowser, prepareBrowser } from "../support/local-browser.ts";
import { type ToolClient, connectOfficial, connectSdk1, textOf } from "../support/mcp-clients.ts";
import { askModern } from "../support/modern-mcp.ts";
import { type AuditLine, PageVisit } from "../support/page-visit.ts";
import type { ScriptedReply } from "../support/scripted-replies.ts";
import { type ScriptedModel, type TestGateway, startTestGateway } from "../support/test-gateway.ts";

/* A day of three people with all servers and sub-agents: what the books say of it, and what this test has counted. */

/** What an endpoint that says what its calls cost says. */
const COSTING = { ...USAGE, cost: 0.001 };
/** Of the model whose endpoint says none. */
const PRICE = { input: 1, output: 4 };
const TASKS = { extensions: { "io.modelcontextprotocol/tasks": {} } };
const DAYS = "days=7";

interface Person {
  readonly name: string;
  readonly clientId: string;
  readonly token: string;
  readonly modern: ToolClient;
  readonly old: ToolClient;
  readonly pages: PageVisit;
  /** What they and their sub-agents have done, as the test counts it. */
  readonly diary: AuditLine[];
  /** Calls of models for them. */
  readonly asked: AskedModel[];
}

let site: LoopbackServer;
let sandboxes: LocalSandboxes;
let browser: LocalBrowser;
let gateway: TestGateway;
let measured: ScriptedModel;
let priced: ScriptedModel;
let started: AccessSuite;
let people: readonly [ann: Person, bob: Person, eve: Person];

beforeAll(async () => {
  await newDay();
  site = await serve((_request, response) => {
    response.setHeader("Content-Type", "text/html").end("<title>News</title><h1>News</h1>");
  });
  const allowed = `127.0.0.1:${site.port}`;
  sandboxes = await startLocalSandboxes();
  browser = await prepareBrowser([allowed], "http://localhost:1");
  gateway = await startTestGateway();
  [measured, priced] = [gateway.newModel(), gateway.newModel()];
  const settings = {
    LOCAL_RUNTIME_URL: sandboxes.runtime.url,
    LOCAL_RUNTIME_SECRET: sandboxes.secret,
    ALLOWED_HOSTS: allowed,
    ADMIN_GROUPS: "ops",
    MEMBER_GROUPS: "staff",
    READER_GROUPS: "guests",
    MODEL_BASE_URL: gateway.baseUrl,
    MODEL_API_KEY: "key",
    MODEL_DEFAULT: measured.model,
    MODEL_PRICES: JSON.stringify({ [served(priced.model)]: PRICE }),
  };
  started = await startAccessSuite(settings, browser.env);
  people = [await come("ann", "ops"), await come("bob", "staff"), await come("eve", "guests")];
}, 120_000);

afterAll(async () => {
  for (const { modern, old } of people) for (const client of [modern, old]) await client[Symbol.asyncDispose]();
  for (const part of [started, gateway, browser, sandboxes, site]) await part[Symbol.asyncDispose]();
});

/** Figures of a day are not compared with those of the next. */
async function newDay(): Promise<void> {
  const leftMs = 86_400_000 - (Date.now() % 86_400_000);
  if (leftMs < 90_000) await sleep(leftMs);
}

async function come(name: string, group: string): Promise<Person> {
  const { suite, access } = started;
  access.people.set(name, [group]);
  access.atBrowser = name;
  const own = new CookieBrowser();
  const { client, tokens } = await signIn(suite, own);
  const token = tokens.access_token;
  const mcpUrl = new URL("/mcp", suite.url);
  const modern = await connectOfficial(mcpUrl, token, "modern");
  const old = await connectSdk1(mcpUrl, token);
  const pages = new PageVisit(own, suite.url);
  await pages.signIn();
  return { name, clientId: client.clientId, token, modern, old, pages, diary: [], asked: [] };
}

function note({ diary, clientId }: Person, tool: string, outcome: string, input: unknown, rest = {}): void {
  const digest = createHash("sha256").update(JSON.stringify(input)).digest("hex");
  diary.push({ client_id: clientId, tool, outcome, input_digest: digest, ...rest });
}

/** Calls a tool and notes that; what it answers. */
async function does(person: Person, tool: string, input: Record<string, unknown>, outcome = "ok", by = person.modern) {
  const answer = await by.callTool(tool, input);
  const said = answer.isError ? textOf(answer).split(":")[0] : "ok";
  expect([person.name, tool, said], textOf(answer)).toEqual([person.name, tool, outcome]);
  note(person, tool, outcome, input);
  return answer;
}

/** Asks by a method of MCP that is written down as it is called, and notes that. */
async function asks(person: Person, method: string, params: Record<string, unknown>, outcome = "ok") {
  const mcpUrl = new URL("/mcp", started.suite.url);
  const { result, error } = await askModern({ mcpUrl, token: person.token, capabilities: TASKS }, method, params);
  expect([method, error?.message.split(":")[0] ?? "ok"]).toEqual([method, outcome]);
  note(person, method, outcome, params);
  return result;
}

function told(reply: ScriptedReply, usage: ModelUsage): ScriptedReply {
  return reply.kind === "text" || reply.kind === "calls" ? { ...reply, usage } : reply;
}

/** Has a sub-agent call tools, one a turn, and notes its calls under its run. */
async function delegates(
  person: Person,
  { model, script }: ScriptedModel,
  usage: ModelUsage,
  calls: readonly (readonly [tool: string, input: Record<string, unknown>, outcome: string])[],
): Promise<string> {
  script(...calls.map(([tool, input]) => told(call(tool, input), usage)), told(say("Done."), usage));
  const { structuredContent } = await does(person, "delegate_run", { task: "Work.", model, wait_ms: 50_000 });
  const { run_id } = z.object({ run_id: z.string(), status: z.literal("completed") }).parse(structuredContent);
  for (const [tool, input, outcome] of calls) note(person, tool, outcome, input, { parent_run_id: run_id });
  for (let turn = 0; turn <= calls.length; turn += 1) person.asked.push({ model, usage });
  return run_id;
}

/** Calls until a change of the rules is heard of, and notes each of those calls. */
async function untilAnswered(person: Person, outcome: string): Promise<void> {
  const answer = async (): Promise<string | undefined> => {
    const listed = await person.modern.callTool("files_list", {});
    const said = listed.isError ? textOf(listed).split(":")[0] : "ok";
    note(person, "files_list", said ?? "", {});
    return said;
  };
  await expect.poll(answer, { interval: 300 }).toBe(outcome);
}

async function annsDay(ann: Person): Promise<void> {
  await does(ann, "sandbox_exec", { command: "echo hello > files/note.txt; exit 3" });
  await does(ann, "interpreter_run", { code: "6 * 7" }, "ok", ann.old);
  await does(ann, "files_read", { path: "note.txt" });
  await does(ann, "files_read", { path: "nothing.txt" }, "not_found", ann.old);
  const runId = await delegates(ann, measured, COSTING, [
    ["files_write", { path: "made.txt", content: "made" }, "ok"],
    ["sandbox_exec", { command: "cat files/made.txt" }, "ok"],
    ["files_read", { path: "never.txt" }, "not_found"],
  ]);
  await asks(ann, "tasks/get", { taskId: runId });
  await asks(ann, "resources/read", { uri: "files:///note.txt" });
  await ann.pages.act("/account/act", { act: "restart", kind: "sandbox", name: "main" });
  note(ann, "account/restart", "ok", { act: "restart", kind: "sandbox", name: "main" }, { client_id: "page" });
}

async function bobsDay(bob: Person): Promise<void> {
  await does(bob, "browser_open", { url: `http://127.0.0.1:${site.port}/` });
  await does(bob, "browser_snapshot", {}, "ok", bob.old);
  await does(bob, "browser_close", {});
  await does(bob, "browser_snapshot", {}, "not_found");
  await does(bob, "files_write", { path: "shared.txt", content: "shared" });
  const { structuredContent } = await does(bob, "files_share", { path: "shared.txt" });
  const { url } = z.object({ url: z.string() }).parse(structuredContent);
  const linkId = url.split(".")[1] ?? "";
  for (const text of [await (await fetch(url)).text(), await (await fetch(url)).text()]) {
    expect(text).toBe("shared");
    note(bob, "files_share/download", "ok", { path: "shared.txt" }, { client_id: `link:${linkId}` });
  }
  const child = gateway.newModel();
  child.script(told(call("files_list"), COSTING), told(say("Nothing."), COSTING));
  await delegates(bob, priced, USAGE, [
    ["browser_read", { url: `http://127.0.0.1:${site.port}/` }, "ok"],
    ["delegate_run", { task: "List.", model: child.model }, "ok"],
  ]);
  const [childId = ""] = /run-[0-9a-f]{16}/.exec(JSON.stringify(priced.requests.at(-1)?.body.messages.at(-1))) ?? [];
  note(bob, "files_list", "ok", {}, { parent_run_id: childId });
  for (const { model } of [child, child]) bob.asked.push({ model, usage: COSTING });
  await does(bob, "delegate_list", {});
  const order = { name: "ci", scopes: ["files:read"], days: 1 };
  await bob.pages.act("/account/tokens", { name: order.name, scope: "files:read", days: "1" });
  note(bob, "account/token", "ok", order, { client_id: "page" });
}

async function evesDay(eve: Person, ann: Person, idOf: (name: string) => string): Promise<void> {
  await does(eve, "files_list", {});
  await does(eve, "browser_read", { url: "http://10.0.0.1/" }, "forbidden");
  await does(eve, "files_read", { path: "../outside" }, "invalid_input", eve.old);
  const rules = async (act: string, form: Readonly<Record<string, string>>, input: object): Promise<void> => {
    await ann.pages.act(`/admin/people/${idOf("eve")}/${act}`, form);
    note(eve, `admin/${act}`, "ok", input, { client_id: `admin:${idOf("ann")}` });
  };
  await rules("pause", { reason: "Lunch" }, { reason: "Lunch" });
  await untilAnswered(eve, "forbidden");
  await rules("resume", {}, {});
  await untilAnswered(eve, "ok");
  await rules("limits", { callsPerMinute: "0" }, { callsPerMinute: 0 });
  await untilAnswered(eve, "limit_reached");
  await rules("limits", {}, {});
  await untilAnswered(eve, "ok");
}

/** How the suite says that the day stands, which is a call by itself. */
async function ledger(person: Person): Promise<unknown> {
  const mcpUrl = new URL("/mcp", started.suite.url);
  const { result } = await askModern({ mcpUrl, token: person.token }, "resources/read", { uri: "account://usage" });
  note(person, "account/usage", "ok", {});
  const [content] = z.object({ contents: z.array(z.object({ text: z.string() })) }).parse(result).contents;
  return JSON.parse(content?.text ?? "");
}

async function spentBy(visit: PageVisit, path: string): Promise<Record<string, string | undefined>[]> {
  const rows = await visit.table(`${path}?${DAYS}&by=model`);
  return rows
    .map(({ model, calls, input_tokens, output_tokens, usd_measured, usd_estimated }) => ({
      ...{ model, calls, input_tokens, output_tokens, usd_measured, usd_estimated },
    }))
    .toSorted((one, other) => String(one.model).localeCompare(String(other.model)));
}

test("what a day of three people comes to is the same in audit, usage, ledger and pages as counted by hand", async () => {
  const [ann, bob, eve] = people;
  const known = await ann.pages.read("/admin/people");
  const idOf = (name: string): string =>
    new RegExp(`/admin/people/([0-9a-z]{32})">${name}@example.com<`).exec(known)?.[1] ?? "";
  await Promise.all([annsDay(ann), bobsDay(bob), evesDay(eve, ann, idOf)]);

  for (const person of people) {
    const { pages, diary, asked, name } = person;
    await expect.poll(async () => (await pages.audit("/account/audit.jsonl")).length).toBe(diary.length);
    expect(byText(await pages.audit("/account/audit.jsonl"))).toEqual(byText(diary));
    expect(await ann.pages.audit(`/admin/people/${idOf(name)}/audit.jsonl`)).toEqual(
      await pages.audit("/account/audit.jsonl"),
    );
    const { calls, failed } = sum(diary);
    const usd = spent(asked, PRICE).reduce(
      (all, row) => all + Number(row["usd_measured"]) + Number(row["usd_estimated"]),
      0,
    );
    expect(await ledger(person)).toMatchObject({
      ...{ calls, failed, usd: expect.closeTo(usd, 9) },
      tokens: { input: asked.length * USAGE.prompt_tokens, output: asked.length * USAGE.completion_tokens },
    });
    await expect.poll(async () => (await pages.audit("/account/audit.jsonl")).length).toBe(diary.length);
    const own = async (by: string) => tallied(await pages.table(`/account/usage.csv?${DAYS}&by=${by}`));
    expect(await own("tool")).toEqual(tally(diary, ({ tool }) => tool));
    expect(await own("server")).toEqual(tally(diary, serverOf));
    expect(await own("client")).toEqual(tally(diary, ({ client_id }) => client_id));
    expect(Object.values(await own("day"))).toEqual([sum(diary)]);
    expect(await spentBy(pages, "/account/usage.csv")).toEqual(spent(asked, PRICE));
  }

  const all = people.flatMap(({ diary }) => diary);
  const everybodys = async (by: string) => tallied(await ann.pages.table(`/admin/usage.csv?${DAYS}&by=${by}`));
  await expect.poll(async () => Object.values(await everybodys("day"))).toEqual([sum(all)]);
  expect(await everybodys("person")).toEqual(
    Object.fromEntries(people.map(({ name, diary }) => [idOf(name), sum(diary)])),
  );
  expect(await everybodys("tool")).toEqual(tally(all, ({ tool }) => tool));
  expect(await everybodys("server")).toEqual(tally(all, serverOf));
  expect(await everybodys("client")).toEqual(tally(all, ({ client_id }) => client_id));
  const asked = people.flatMap((person) => person.asked);
  expect(await spentBy(ann.pages, "/admin/usage.csv")).toEqual(spent(asked, PRICE));

  const shown = await ann.pages.rows(`/admin/usage?${DAYS}&by=person`);
  for (const { name, diary } of people) {
    const { calls, failed } = sum(diary);
    expect(shown).toContainEqual(expect.arrayContaining([`${name}@example.com`, String(calls), String(failed)]));
  }
  const { calls, failed } = sum(all);
  expect(await ann.pages.read("/admin")).toContain(`<dd>${calls}<small>${failed} failed</small></dd>`);
});

import { reset } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterEach, expect, test } from "vitest";
import { createFileStore } from "../../servers/files/store.ts";
import { NO_FIGURES } from "../../servers/account/figures.ts";
import type { PersonsThings } from "../../servers/admin/desk.ts";
import { NOTHING_STARTED, accountOf, directory, entry, signedInOwner } from "./admin-suite.ts";

afterEach(async () => {
  await reset();
});

const SCRIPT = `<script>alert("x")</script>`;
const TODAY = new Date().toISOString().slice(0, 10);

/** Things that are all there, and called what a stranger would call them. */
function hostileThings(): PersonsThings {
  return {
    sandbox: () => ({
      ...NOTHING_STARTED,
      status: async () => ({
        driver: "local",
        state: "running",
        uptimeMs: 60_000,
        costUsd: 0,
        snapshot: { ageMs: 1_000, sizeBytes: 10 },
      }),
      listProcesses: async () => [
        {
          processId: "0123abcd",
          command: `echo ${SCRIPT}\n"><img src=x onerror=alert(1)>`,
          startedAtMs: Date.now(),
          isRunning: true,
          hasTimedOut: false,
          durationMs: 5,
        },
      ],
    }),
    previews: async (sandbox) => [
      { sandbox, port: 3000, url: `http://label.localhost:1/${SCRIPT}">`, sharedUntil: new Date() },
    ],
    browser: async () => ({
      usedAtMs: Date.now(),
      tabs: [{ number: 1, url: `https://evil.example/${SCRIPT}" onmouseover="alert(1)`, isCurrent: true }],
    }),
    run: async () => undefined,
  };
}

test("script in whatever strangers name or write is text on every page", async () => {
  const { visit, userId, key } = await signedInOwner((desk) => ({ ...desk, thingsOf: hostileThings }));
  const account = accountOf(userId);
  await account.record(userId, [
    entry({ tool: SCRIPT, clientId: `"><img src=x onerror=alert(1)>`, outcome: SCRIPT, inputDigest: `"${SCRIPT}` }),
    entry({ parentRunId: `run-"><script>alert(2)</script>` }, { handle: { kind: "sandbox", name: "main" } }),
    entry({ tool: "browser_open" }, { handle: { kind: "browser", name: "main" } }),
  ]);
  const run = { id: "run-0123456789abcdef", title: SCRIPT, startedAtMs: Date.now(), endsByMs: Date.now() + 60_000 };
  await account.beginRun(run, 4);
  await account.setRules({ paused: { sinceMs: 1, reason: SCRIPT } });
  const stranger = "c".repeat(32);
  await directory().notePerson({ userId: stranger, displayName: SCRIPT, role: "member" }, Date.now());
  await visit.post("/account/tokens", { key, name: SCRIPT, days: "1", scope: "files:read" });
  const hostile = encodeURIComponent(`"><script>alert(3)</script>`);
  const pages = [
    ...["/account", "/account/usage?by=tool", "/account/usage?by=client", "/account/audit", "/account/apps"],
    ...["/account/limits", `/account/audit?text=${hostile}&tool=${hostile}&client=${hostile}&from=${hostile}`],
    ...[`/account/audit?run=${hostile}&cursor=${hostile}`, `/account?done=${hostile}`, `/admin?x=${hostile}`],
    ...["/admin", "/admin/people", `/admin/people?query=${hostile}`, "/admin/audit", "/admin/usage?by=person"],
    ...[
      `/admin/people/${stranger}`,
      `/admin/people/${stranger}/limits`,
      `/admin/cost?type=${hostile}&hours=${hostile}`,
    ],
    ...["/admin/limits", "/admin/health"],
  ];
  let shown = "";
  for (const page of pages) {
    const { status, text } = await visit.read(page);
    expect([page, status]).toEqual([page, 200]);
    // The page's own program is all that there is to run.
    expect(text.match(/<script/g), page).toHaveLength(1);
    for (const markup of ["<script>alert", "<img", 'onmouseover="', 'onerror="'])
      expect(text, page).not.toContain(markup);
    shown += text;
  }
  expect(shown.match(/&lt;script&gt;alert\(&quot;x&quot;\)/g)?.length).toBeGreaterThan(6);
});

test("the overview tells of sandboxes, browsers and runs, each with what can be done to it", async () => {
  const { visit, userId } = await signedInOwner((desk) => ({ ...desk, thingsOf: hostileThings }));
  const account = accountOf(userId);
  await account.record(userId, [
    entry({}, { handle: { kind: "sandbox", name: "main" } }),
    entry({}, { handle: { kind: "browser", name: "desk" } }),
  ]);
  const run = { id: "run-0123456789abcdef", title: "Sum up", startedAtMs: Date.now(), endsByMs: Date.now() + 60_000 };
  await account.beginRun(run, 4);
  const { text } = await visit.read("/account");
  for (const words of [
    "1 process running",
    "1 preview",
    "whoever has the link",
    "1 min",
    ", 10 B",
    "1 tab",
    "Sum up",
    "0 tokens",
  ]) {
    expect(text).toContain(words);
  }
  const acts = [...text.matchAll(/name="act" value="(\w+)"/g)].map(([, act]) => act);
  expect(acts).toEqual(["snapshot", "restart", "sleep", "withdraw", "kill", "close", "cancel"]);
  expect(text).toContain('href="/account/confirm?act=reset&amp;kind=sandbox&amp;name=main"');
  const { text: asked } = await visit.read("/account/confirm?act=reset&kind=sandbox&name=main");
  expect(asked).toContain("This cannot be taken back.");
});

test("what does not answer within two seconds is said not to, and the page comes", async () => {
  const silent = async (): Promise<never> => await new Promise<never>(() => undefined);
  const things = (): PersonsThings => ({
    sandbox: () => ({ ...NOTHING_STARTED, status: silent, listProcesses: silent }),
    previews: silent,
    browser: async () => await Promise.reject(new Error("Gone.")),
    run: silent,
  });
  const { visit, userId } = await signedInOwner((desk) => ({ ...desk, thingsOf: things }));
  const names = ["main", "second", "third", "fourth", "fifth"];
  await accountOf(userId).record(userId, [
    ...names.map((name) => entry({}, { handle: { kind: "sandbox", name } })),
    entry({}, { handle: { kind: "browser", name: "desk" } }),
  ]);
  const startedMs = Date.now();
  const { status, text } = await visit.read("/account");
  // One after the other they would take more.
  expect(Date.now() - startedMs).toBeLessThan(names.length * 2_000);
  expect([status, text.match(/does not answer/g)?.length]).toEqual([200, names.length + 1]);
});

test("an account that does not answer is no reason for an admin to see nothing", async () => {
  const other = "b".repeat(32);
  const { visit } = await signedInOwner((desk) => ({
    ...desk,
    account: (userId) =>
      userId === other ? new Proxy(desk.account(userId), { get: () => gone }) : desk.account(userId),
  }));
  await directory().notePerson({ userId: other, displayName: "bob@example.com", role: "member" }, Date.now());
  for (const [page, words] of [
    ["/admin", "the account does not answer"],
    ["/admin/audit", "The account of bob@example.com does not answer right now."],
    [`/admin/people/${other}`, "The account does not answer right now"],
  ] as const) {
    const { status, text } = await visit.read(page);
    expect([page, status]).toEqual([page, 200]);
    expect(text).toContain(words);
  }
});

async function gone(): Promise<never> {
  return await Promise.reject(new Error("Gone."));
}

test("usage is shown by day, server, tool, model and client, as table and CSV, in which no cell is a formula", async () => {
  const { visit, userId } = await signedInOwner();
  await accountOf(userId).record(userId, [
    entry({ tool: "=HYPERLINK(1)", clientId: "+cmd" }),
    entry({ tool: "files_read", clientId: "c2", outcome: "not_found" }),
    entry({ tool: "files_read", clientId: "c2" }),
  ]);
  const { text } = await visit.read("/account/usage?days=7&by=tool");
  for (const words of ["files_read", "Calls by day", "Estimated", `there were 3 calls, 1 of which failed`]) {
    expect(text).toContain(words);
  }
  const csv = await (await visit.get("/account/usage.csv?days=7&by=tool")).text();
  expect(csv.split("\r\n")).toEqual([
    `"tool","name","calls","failed","duration_ms","output_bytes","input_tokens","output_tokens","usd_measured","usd_estimated"`,
    `"'=HYPERLINK(1)","'=HYPERLINK(1)",1,0,2,3,0,0,0,7e-9`,
    `"files_read","files_read",2,1,4,6,0,0,0,1.4e-8`,
    "",
  ]);
  const byDay = await (await visit.get("/account/usage.csv?days=30&by=day")).text();
  expect(byDay).toContain(`"${TODAY}","${TODAY}",3,1,6,9`);
  const byClient = await (await visit.get("/account/usage.csv?by=client")).text();
  expect(byClient).toContain(`"'+cmd","'+cmd",1`);
});

test("by model the calls are those that it was asked", async () => {
  const { visit, userId } = await signedInOwner();
  const use = {
    kind: "model",
    model: "acme/m",
    clientId: "c1",
    inputTokens: 30,
    outputTokens: 4,
    isMeasured: true,
  } as const;
  const atMs = Date.now();
  await accountOf(userId).keepCosts(["a", "b"].map((callId) => ({ callId, atMs, nanoUsd: 1_000, use })));
  const csv = await (await visit.get("/account/usage.csv?by=model")).text();
  expect(csv.split("\r\n")[1]).toBe(`"acme/m","acme/m",2,0,0,0,60,8,0.000002,0`);
  const byTool = await (await visit.get("/account/usage.csv?by=tool")).text();
  expect(byTool.split("\r\n")[1]).toBe(`"delegate/model","delegate/model",0,0,0,0,60,8,0.000002,0`);
});

test("everybody's table for spreadsheets has all people, and the page says that it shows the dearest", async () => {
  const { visit } = await signedInOwner();
  const figures = { ...NO_FIGURES, calls: 1, estimatedNanoUsd: 5 };
  const delta = { day: TODAY, server: "files", tool: "files_list", model: "", clientId: "c1", ...figures };
  for (let number = 0; number < 205; number += 1) {
    const batch = { sequence: 1, lastAtMs: Date.now(), deltas: [delta], broken: [] };
    await directory().tell(String(number).padStart(32, "0"), batch);
  }
  const csv = await (await visit.get("/admin/usage.csv?by=person&days=7")).text();
  expect(csv.trim().split("\r\n")).toHaveLength(1 + 205);
  expect((await visit.read("/admin/usage?by=person&days=7")).text).toContain(
    "The first 200 are here; all are in the CSV.",
  );
  expect((await visit.read("/admin/usage?by=tool&days=7")).text).not.toContain("all are in the CSV");
});

test("the audit is filtered and searched, goes on page by page, and hangs a run's calls together", async () => {
  const { visit, userId } = await signedInOwner();
  const startMs = Date.now() - 1_000_000;
  const calls = Array.from({ length: 130 }, (_, index) => entry({ atMs: startMs + index, tool: `tool_${index}` }));
  const ofRun = { parentRunId: "run-0123456789abcdef" };
  await accountOf(userId).record(userId, [
    ...calls,
    entry({ atMs: startMs + 500, tool: "first_of_run", ...ofRun }),
    entry({ atMs: startMs + 600, tool: "between", outcome: "timeout" }),
    entry({ atMs: startMs + 700, tool: "last_of_run", ...ofRun }),
  ]);
  const tools = (text: string): string[] =>
    [...text.matchAll(/data-head="Tool"><code>(\w+)</g)].map(([, tool = ""]) => tool);
  const { text } = await visit.read("/account/audit");
  expect(tools(text).slice(0, 4)).toEqual(["last_of_run", "first_of_run", "between", "tool_129"]);
  const [, further = ""] = /href="(\?cursor=[^"]+)"/.exec(text) ?? [];
  const rest = tools((await visit.read(`/account/audit${further}`)).text);
  expect([tools(text).length, rest.length, rest.at(-1)]).toEqual([100, 33, "tool_0"]);
  for (const [query, found] of [
    ["outcome=failed", ["between"]],
    ["tool=between", ["between"]],
    ["text=last_of", ["last_of_run"]],
    [`run=${ofRun.parentRunId}`, ["last_of_run", "first_of_run"]],
    ["from=2001-01-01&to=2001-01-02", []],
  ] as const) {
    expect([query, tools((await visit.read(`/account/audit?${query}`)).text)]).toEqual([query, [...found]]);
  }
});

test("the audit is taken along as JSON lines, as a download and into one's files, within the quota", async () => {
  const { visit, userId, key } = await signedInOwner();
  await accountOf(userId).record(userId, [entry({ tool: "files_read" }), entry({ tool: "files_write" })]);
  const download = await visit.get("/account/audit.jsonl?tool=files_read");
  expect(download.headers.get("Content-Disposition")).toContain("attachment");
  const lines = (await download.text()).trim().split("\n");
  expect(lines).toHaveLength(1);
  expect(JSON.parse(lines[0] ?? "")).toMatchObject({ tool: "files_read", client_id: "c1" });
  const kept = await visit.post("/account/audit-export", { key, tool: "files_" });
  expect([kept.status, kept.headers.get("Location")]).toEqual([303, "/account/audit?tool=files_&done=kept"]);
  const files = createFileStore(env.FILES, userId, { account: accountOf(userId), waitUntil: () => undefined });
  const { files: found } = await files.list({ folder: "audit-exports/", recursive: true, limit: 10 });
  expect(found.map(({ path }) => path)).toEqual([expect.stringMatching(/^audit-exports\/[\dT-]+Z\/001\.jsonl$/)]);
  const text = await new Response((await files.read(found[0]?.path ?? "")).body).text();
  expect(text.trim().split("\n")).toHaveLength(2);
  expect((await accountOf(userId).listAudit(1))[0]).toMatchObject({ tool: "account/audit_export", outcome: "ok" });
  await accountOf(userId).setRules({ own: { storageMb: 0 } });
  const refused = await visit.post("/account/audit-export", { key });
  expect([refused.status, await refused.text()]).toEqual([429, expect.stringContaining("It was not done")]);
  expect((await accountOf(userId).listAudit(1))[0]).toMatchObject({ outcome: "limit_reached" });
});

test("an admin keeps somebody else's audit in their own files", async () => {
  const { visit, userId, key } = await signedInOwner();
  const other = "b".repeat(32);
  await directory().notePerson({ userId: other, displayName: "bob@example.com", role: "member" }, Date.now());
  await accountOf(other).record(other, [entry()]);
  expect((await visit.post(`/admin/people/${other}/audit-export`, { key })).status).toBe(303);
  expect((await env.FILES.list({ prefix: `users/${userId}/files/audit-exports/` })).objects).toHaveLength(1);
  expect((await env.FILES.list({ prefix: `users/${other}/` })).objects).toHaveLength(0);
});

test("limits are shown as exactly as they are set", async () => {
  const { visit, key } = await signedInOwner();
  const other = "b".repeat(32);
  await directory().notePerson({ userId: other, displayName: "bob@example.com", role: "member" }, Date.now());
  const base = `/admin/people/${other}`;
  const limits = { sandboxHoursPerDay: "0.5", browserHoursPerDay: "1.5", storageMb: "500" };
  expect((await visit.post(`${base}/limits`, { key, ...limits })).status).toBe(303);
  const { text } = await visit.read(`${base}/limits`);
  for (const words of [">0.5 h<", ">1.5 h<", ">500 MB<"]) expect(text).toContain(words);
});

test("every page closes what it opens", async () => {
  const { visit, userId } = await signedInOwner();
  await accountOf(userId).record(userId, [entry({}, { handle: { kind: "sandbox", name: "main" } })]);
  const own = ["", "/usage", "/audit", "/apps", "/limits"].map((path) => `/account${path}`);
  const everybodys = ["", "/people", "/usage", "/cost", "/audit", "/limits"].map((path) => `/admin${path}`);
  for (const page of [...own, ...everybodys]) {
    const { text } = await visit.read(page);
    for (const tag of ["article", "details", "div", "dl", "form", "li", "main", "nav", "section", "table", "ul"]) {
      const opened = text.match(new RegExp(`<${tag}[ >]`, "g"))?.length ?? 0;
      expect([page, tag, text.split(`</${tag}>`).length - 1]).toEqual([page, tag, opened]);
    }
  }
});

test("limits and pauses are set on pages, shown to whom they hold for, and taken back", async () => {
  const { visit, userId, key } = await signedInOwner();
  const other = "b".repeat(32);
  await directory().notePerson({ userId: other, displayName: "bob@example.com", role: "member" }, Date.now());
  const base = `/admin/people/${other}`;
  expect((await visit.post(`${base}/limits`, { key, callsPerMinute: "5", usdPerDay: "0.25" })).status).toBe(303);
  expect((await accountOf(other).standing()).own).toEqual({ callsPerMinute: 5, usdPerDay: 0.25 });
  const { text } = await visit.read(`${base}/limits`);
  for (const words of ["$0.25", "this person", 'value="5"']) expect(text).toContain(words);
  for (const wrong of ["-1", "many", "1e99", "NaN"]) {
    expect((await visit.post(`${base}/limits`, { key, callsPerMinute: wrong })).status).toBe(400);
  }
  expect((await accountOf(other).standing()).own).toEqual({ callsPerMinute: 5, usdPerDay: 0.25 });
  await visit.post(`${base}/pause`, { key, reason: "It runs wild." });
  expect((await accountOf(other).standing()).paused).toMatchObject({ reason: "It runs wild." });
  expect((await visit.read(base)).text).toContain("It runs wild.");
  expect((await directory().person(other))?.isPaused).toBe(true);
  await visit.post(`${base}/resume`, { key });
  expect((await accountOf(other).standing()).paused).toBeUndefined();
  const { reader: built } = (await directory().policy()).ofRole;
  await visit.post("/admin/limits", { key, role: "reader", concurrentCalls: "2" });
  expect((await directory().policy()).ofRole.reader).toEqual({ concurrentCalls: 2 });
  expect((await visit.post("/admin/limits", { key, role: "king", concurrentCalls: "2" })).status).toBe(400);
  await visit.post("/admin/limits", { key, role: "reader", reset: "yes" });
  expect((await directory().policy()).ofRole.reader).toEqual(built);
  await visit.post("/admin/pause", { key, reason: "Fire drill." });
  expect((await visit.read("/account")).text).toContain("Fire drill.");
  await visit.post("/admin/resume", { key });
  expect((await directory().policy()).pausedAll).toBeUndefined();
  const acts = (await accountOf(userId).listAudit(20)).map(({ tool }) => tool);
  expect(acts.toSorted()).toEqual(["admin/pause_all", "admin/resume_all", "admin/role_limits", "admin/role_limits"]);
});

test("the cost page reckons with what is asked, and within what there is", async () => {
  const { visit } = await signedInOwner();
  const alone = "browser=0&storage=0&calls=0&people=1&cpu=10";
  const total = async (query: string): Promise<string | undefined> =>
    /All of it[\s\S]*?\$([\d.]+)</.exec((await visit.read(`/admin/cost?${query}`)).text)?.[1];
  expect(await total(`${alone}&hours=0`)).toBe("5.00");
  const twice = await total(`${alone}&hours=24&type=standard-1`);
  expect(await total(`${alone}&hours=999&type=standard-1`)).toBe(twice);
  expect(await total(`${alone}&hours=24&type=nonsense`)).toBe(twice);
  expect(Number(twice)).toBeGreaterThan(30);
  const { text } = await visit.read("/admin/cost?hours=1&people=7&type=standard-1");
  expect(text.replaceAll(/\s+/g, " ")).toContain(
    `A live socket prevents sleep: while an agent’s page, a terminal or any other WebSocket is open and in use, its sandbox runs and is paid for. One standard-1 that is never let asleep comes to $${twice} a month, the plan included.`,
  );
});

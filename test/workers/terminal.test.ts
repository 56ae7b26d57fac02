import { reset } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterEach, expect, test } from "vitest";
import { createRules } from "../../servers/suite-acts.ts";
import { accountOf, entry, signedInReaderAndAdmin } from "./admin-suite.ts";
import { ORIGIN } from "./auth-suite.ts";
import { type TerminalPage, terminalSuite } from "./terminal-suite.ts";

afterEach(async () => {
  await reset();
});

const SOCKET = "/account/terminal/socket?sandbox=main&rows=40&columns=100";
const UPGRADE = { Upgrade: "websocket", Origin: ORIGIN };

function outputOf({ told }: TerminalPage): string {
  return told.map((message) => ("output" in message ? message.output : "")).join("");
}

test("whoever is not signed in gets neither page nor WebSocket, and is sent back to it by signing in", async () => {
  const { suite, visit, sandbox } = await terminalSuite();
  for (const Cookie of ["", "__Host-pincer-account=made-up", visit.cookie.replace(/.$/, "")]) {
    const socket = await suite.fetch(SOCKET, { headers: { ...UPGRADE, Cookie } });
    expect([socket.status, socket.webSocket]).toEqual([200, null]);
    expect(await socket.text()).toContain("Sign in to Pincer");
  }
  const page = await visit.get("/account/terminal?sandbox=analysis", "");
  expect(await page.text()).toContain(`name="page" value="/account/terminal?sandbox=analysis"`);
  const back = await visit.signIn("/account/terminal?sandbox=analysis");
  expect(back.headers.get("Location")).toBe("/account/terminal?sandbox=analysis");
  const elsewhere = await visit.signIn("/account/terminal?sandbox=//evil.example");
  expect(elsewhere.headers.get("Location")).toBe("/account");
  expect(sandbox.opened).toEqual([]);
});

test("a WebSocket is opened by the suite's own pages alone, whatever cookie comes with it", async () => {
  const { ask, sandbox } = await terminalSuite();
  // Ports and previews of this machine are the same site, and send the cookie.
  for (const origin of [
    ...["", "null", "http://localhost:9999", "http://127.0.0.1:8717", "http://abc.localhost:8717"],
    ...["https://localhost:8717", "https://evil.example", `${ORIGIN}.evil.example`, ORIGIN.toUpperCase()],
  ]) {
    const { status, webSocket } = await ask("", origin);
    expect([origin, status, webSocket]).toEqual([origin, 403, null]);
  }
  expect(sandbox.opened).toEqual([]);
});

test("a role without commands has no terminal, and nobody has one in somebody else's sandbox", async () => {
  const { reader, admin } = await signedInReaderAndAdmin();
  await accountOf(reader.userId).record(reader.userId, [entry({}, { handle: { kind: "sandbox", name: "main" } })]);
  expect((await reader.visit.get("/account/terminal?sandbox=main")).status).toBe(403);
  const { status, webSocket } = await reader.suite.fetch(SOCKET, {
    headers: { ...UPGRADE, Cookie: reader.visit.cookie },
  });
  expect([status, webSocket]).toEqual([403, null]);
  expect((await reader.visit.read("/account")).text).not.toContain("/terminal");
  const theirs = `/admin/people/${reader.userId}`;
  for (const path of ["/terminal", "/terminal?sandbox=main", SOCKET.slice("/account".length)]) {
    const answer = await admin.suite.fetch(theirs + path, { headers: { ...UPGRADE, Cookie: admin.visit.cookie } });
    expect([path, answer.status, answer.webSocket]).toEqual([path, 404, null]);
  }
  expect((await admin.visit.read(theirs)).text).not.toContain("/terminal");
});

test("each sandbox on the overview leads to its terminal, and a link to one that is not there starts nothing", async () => {
  const { visit, userId, sandbox } = await terminalSuite();
  await accountOf(userId).record(userId, [entry({}, { handle: { kind: "sandbox", name: "analysis" } })]);
  expect((await visit.read("/account")).text).toContain(`href="/account/terminal?sandbox=analysis"`);
  const page = await visit.read("/account/terminal?sandbox=analysis");
  expect([page.status, page.text]).toEqual([200, expect.stringContaining(`data-sandbox="analysis"`)]);
  expect((await visit.get("/account/terminal")).status).toBe(200);
  for (const name of ["other", "a/b", "<script>"]) {
    expect((await visit.get(`/account/terminal?sandbox=${encodeURIComponent(name)}`)).status).toBe(404);
  }
  expect(sandbox.opened).toEqual([]);
});

test("what the page runs comes with its version in its name, may be kept, and nothing beside it is reachable", async () => {
  const { visit } = await terminalSuite();
  const { text } = await visit.read("/account/terminal");
  const paths = [...new Set(text.match(/\/account\/terminal\/[\w.-]+\.(mjs|css)/g))];
  expect(paths).toHaveLength(3);
  for (const path of paths) {
    expect(path).toMatch(/-\d+\.\d+\.\d+\.(mjs|css)$/);
    const file = await visit.get(path);
    expect([path, file.status]).toEqual([path, 200]);
    expect(file.headers.get("Cache-Control")).toBe("private, max-age=31536000, immutable");
    expect(file.headers.get("Content-Type")).toMatch(path.endsWith("css") ? /^text\/css/ : /^text\/javascript/);
    expect((await file.text()).length).toBeGreaterThan(1_000);
    expect((await visit.get(path, "")).headers.get("Content-Type")).toMatch(/^text\/html/);
  }
  for (const path of ["xterm.mjs", "xterm.js", "xterm-6.0.0.mjs.map", "..%2fxterm.mjs", "xterm/package.json"]) {
    expect([path, (await visit.get(`/account/terminal/${path}`)).status]).toEqual([path, 404]);
  }
});

test("a new shell has the page's size, and is in the audit and among what the person uses", async () => {
  const { connect, sandbox, userId } = await terminalSuite();
  const page = await connect();
  expect(await page.heard("shell")).toEqual({ shell: "0123456789abcdef", isReset: false });
  expect(sandbox.opened).toEqual([`${userId} main`]);
  expect(sandbox.commands).toEqual([
    expect.stringMatching(/^stty rows 40 cols 100; tty > \/tmp\/pincer-terminal-[0-9a-f-]{36}; exec bash -l$/),
  ]);
  sandbox.write("$ ");
  expect(await page.heard("output")).toEqual({ output: "$ ", at: 2 });
  const account = accountOf(userId);
  await expect
    .poll(async () => await account.listAudit(10))
    .toMatchObject([{ tool: "sandbox_terminal", clientId: "page", outcome: "ok" }]);
  expect((await account.things()).handles).toMatchObject([{ kind: "sandbox", name: "main" }]);
  sandbox.end(3);
  expect(await page.heard("over")).toEqual({ over: "The shell has ended (exit 3)." });
  expect(await page.closed).toBe(1_000);
});

test("what is typed arrives in order, in one piece while the sandbox is slow, and of many sizes the last holds", async () => {
  const { connect, sandbox } = await terminalSuite();
  sandbox.slowMs = 100;
  const page = await connect();
  await page.heard("shell");
  for (const input of "echo für 😀\r") page.say({ input });
  for (let columns = 80; columns <= 120; columns += 1) page.say({ size: { rows: 30, columns } });
  await expect.poll(() => sandbox.typed.join("")).toBe("echo für 😀\r");
  expect(sandbox.typed.length).toBeLessThan(4);
  await expect.poll(() => sandbox.commands.at(-1)).toMatch(/^stty rows 30 cols 120 -F "\$\(< \/tmp\/pincer-terminal-/);
  expect(sandbox.commands.length).toBeLessThan(6);
  page.close();
});

test("a page that comes back gets what it has not seen, or the last of it from the beginning of a line", async () => {
  const { connect, sandbox } = await terminalSuite();
  const first = await connect();
  await first.heard("shell");
  sandbox.write("one\ntwo\n");
  await first.heard("output");
  first.close();
  sandbox.write("three\n");
  const joined = await connect("&shell=0123456789abcdef&at=8");
  expect(await joined.heard("output")).toEqual({ output: "three\n", at: 14 });
  expect(joined.told[0]).toEqual({ shell: "0123456789abcdef", isReset: false });
  expect(sandbox.commands.at(-1)).toMatch(/^stty rows 40 cols 100 -F/);
  joined.close();
  sandbox.write(`${"x".repeat(99)}\n`.repeat(5_000));
  for (const [query, isReset] of [
    ["&shell=0123456789abcdef", false],
    ["&shell=0123456789abcdef&at=14", true],
    ["&shell=0123456789abcdef&at=9999999", true],
  ] as const) {
    const page = await connect(query);
    await page.heard("output");
    expect([query, page.told[0]]).toEqual([query, { shell: "0123456789abcdef", isReset }]);
    expect(outputOf(page)).toMatch(/^(x{99}\n)+$/);
    expect(outputOf(page).length).toBeLessThanOrEqual(256 * 1024);
    page.close();
  }
});

test("a page that does not say that it has shown what came is not sent more and more", async () => {
  const { connect, sandbox } = await terminalSuite();
  const page = await connect();
  await page.heard("shell");
  const piece = "y".repeat(200_000);
  for (let count = 1; count <= 3; count += 1) {
    sandbox.write(piece);
    await expect.poll(() => sandbox.sentBytes).toBe(count * piece.length);
  }
  sandbox.write(piece);
  await scheduler.wait(300);
  expect(sandbox.sentBytes).toBe(3 * piece.length);
  page.say({ seen: 3 * piece.length });
  await expect.poll(() => sandbox.sentBytes).toBe(4 * piece.length);
  page.close();
});

test("a process that is no terminal, or is not in the person's sandbox, is not reached", async () => {
  const { connect, sandbox } = await terminalSuite();
  for (const shell of ["plain", "feedfeedfeedfeed", "..%2F..", "main%3Aplain"]) {
    const page = await connect(`&shell=${shell}`);
    expect(await page.heard("over")).toEqual({ over: "The shell is gone: its sandbox was asleep, or was reset." });
    expect(await page.closed).toBe(1_000);
  }
  expect([sandbox.commands, sandbox.typed, sandbox.sentBytes]).toEqual([[], [], 0]);
});

test("whoever is paused starts no shell and comes back to none, and what is open ends within seconds", async () => {
  const { connect, sandbox, userId } = await terminalSuite();
  const open = await connect();
  await open.heard("shell");
  const rules = createRules(env);
  await rules.pausePerson(userId, "Enough");
  const paused = { over: expect.stringMatching(/^paused: An admin paused you .*\(Enough\)/) };
  expect(await open.heard("over")).toEqual(paused);
  expect(await open.closed).toBe(1_000);
  const before = sandbox.commands.length;
  for (const query of ["", "&shell=0123456789abcdef"]) {
    expect(await (await connect(query)).heard("over")).toEqual(paused);
  }
  expect(sandbox.commands).toHaveLength(before);
  await rules.resumePerson(userId);
  const again = await connect("&shell=0123456789abcdef");
  await again.heard("shell");
  again.close();
});

test("with the session the terminal ends, nothing more is typed, and the shell goes on", async () => {
  const { suite, connect, sandbox } = await terminalSuite();
  const page = await connect();
  await page.heard("shell");
  sandbox.slowMs = 7_000;
  page.say({ input: "in time" });
  await expect.poll(() => sandbox.typed).toEqual(["in time"]);
  page.say({ input: "late" });
  suite.clock.nowMs += 16 * 60_000;
  expect(await page.heard("over")).toEqual({
    over: "Your session has ended: load the page again to sign in. The shell goes on.",
  });
  await scheduler.wait(sandbox.slowMs);
  expect(sandbox.typed).toEqual(["in time"]);
});

test("what a page has no words for ends it", async () => {
  const { connect, sandbox } = await terminalSuite();
  for (const message of [
    {},
    { input: 7 },
    { size: { rows: 0, columns: 80 } },
    { size: { rows: "1; id", columns: 80 } },
  ]) {
    const page = await connect();
    await page.heard("shell");
    page.say(message);
    expect(await page.heard("over")).toMatchObject({ over: expect.stringContaining("not understood") });
  }
  expect((await (await terminalSuite()).ask("&rows=1;id")).status).toBe(400);
  expect(sandbox.commands.join()).not.toContain("id");
});

test("whoever types for long is given another connection in time, and nothing is lost", async () => {
  const { connect, sandbox } = await terminalSuite();
  const page = await connect();
  await page.heard("shell");
  let typed = "";
  while (!page.told.some((message) => "again" in message)) {
    typed += "k";
    page.say({ input: "k" });
    await scheduler.wait(1);
  }
  page.say({ input: "last" });
  page.close();
  await expect.poll(() => sandbox.typed.join("")).toBe(`${typed}last`);
});

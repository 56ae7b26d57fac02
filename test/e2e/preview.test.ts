import { once } from "node:events";
import { type IncomingMessage, request } from "node:http";
import { text as readAll } from "node:stream/consumers";
import { setTimeout as pause } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import * as z from "zod";
import type { Page } from "../egress/devtools.ts";
import { type Chrome, startChrome } from "../support/chrome.ts";
import { type ToolClient, connectOfficial, textOf } from "../support/mcp-clients.ts";
import { bringPackages } from "../support/sandbox-packages.ts";
import { type OwnSuite, startSuite } from "../support/suite.ts";

/* What runs in the sandbox, seen in a browser. */

let suite: OwnSuite;
let client: ToolClient;
let chrome: Chrome;

beforeAll(async () => {
  suite = await startSuite();
  client = await connectOfficial(new URL("/mcp", suite.url), await suite.token(), "modern");
  chrome = await startChrome();
});

afterAll(async () => {
  await chrome[Symbol.asyncDispose]();
  await client[Symbol.asyncDispose]();
  await suite[Symbol.asyncDispose]();
});

async function call(tool: string, input: Record<string, unknown>): Promise<Record<string, unknown>> {
  const answer = await client.callTool(tool, input);
  if (answer.isError) throw new Error(textOf(answer));
  return answer.structuredContent ?? {};
}

async function expose(port: number, input: Record<string, unknown> = {}) {
  const exposed = await call("sandbox_expose", { port, ...input });
  return z.object({ url: z.string(), share_url: z.string().optional(), listening: z.boolean() }).parse(exposed);
}

/** Puts a program into the sandbox and starts it, until it listens. */
async function serve(file: string, content: string, port: number, sandbox = "main"): Promise<void> {
  await call("sandbox_write", { sandbox, path: `/workspace/${file}`, content });
  await start(`node ${file}`, port, sandbox);
}

async function start(command: string, port: number, sandbox = "main"): Promise<void> {
  const started = await call("sandbox_exec", { sandbox, command, wait_ms: 0, timeout_ms: 600_000 });
  const { process_id } = z.object({ process_id: z.string() }).parse(started);
  const waited = await client.callTool("sandbox_wait", { process_id, port, wait_ms: 40_000 });
  if (!/"reached":true/.test(JSON.stringify(waited.structuredContent))) throw new Error(textOf(waited));
}

interface Sent {
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Uint8Array;
}

/** Sends requests as whoever has the link. */
async function enter(shareUrl: string): Promise<(path: string, sent?: Sent) => Promise<IncomingMessage>> {
  const { port, hostname, pathname } = new URL(shareUrl);
  const at = { host: "127.0.0.1", port, agent: false, maxHeaderSize: 2 ** 20 };
  const send = async (path: string, { method = "GET", headers = {}, body = "" }: Sent): Promise<IncomingMessage> => {
    const asked = request({ ...at, path, method, headers: { Host: `${hostname}:${port}`, ...headers } }).end(body);
    const [answer]: IncomingMessage[] = await once(asked, "response", { signal: AbortSignal.timeout(20_000) });
    if (answer === undefined) throw new Error("There was no answer.");
    // Whoever has answered need not take the rest.
    asked.on("error", () => undefined);
    return answer;
  };
  const cookie = (await send(pathname, {})).resume().headers["set-cookie"]?.[0]?.split(";")[0] ?? "";
  return async (path, sent = {}) => await send(path, { ...sent, headers: { Cookie: cookie, ...sent.headers } });
}

async function shows(page: Page, expression: string, wanted: string): Promise<string> {
  let seen = "";
  for (const deadline = Date.now() + 40_000; Date.now() < deadline; await pause(50)) {
    seen = String(await page.evaluate(expression).catch(() => ""));
    if (seen.includes(wanted)) return seen;
  }
  throw new Error(`The page never said ${wanted}, but ${seen}.`);
}

const TEXT = `document.body?.innerText ?? ""`;

/** A page shows what does not answer in time a moment later. */
async function press(page: Page, selector: string): Promise<void> {
  const found = `document.querySelector(${JSON.stringify(selector)})`;
  await shows(page, `${found} === null ? "" : "there"`, "there");
  await page.evaluate(`${found}.click() ?? ""`);
}

/** Opens a preview as its person, who signs in on the way where they have not. */
async function openAsPerson(page: Page, url: string, wanted: string): Promise<string> {
  const first = await page.open(url);
  if (!first.includes("Sign in to Pincer")) return await shows(page, TEXT, wanted);
  const code = /Sign-in code\W+(\S+)/i.exec(suite.output())?.[1] ?? "";
  await page.evaluate(`document.querySelector("#code").value = ${JSON.stringify(code)}`);
  await page.evaluate(`document.querySelector("button.primary").click() ?? ""`);
  return await shows(page, TEXT, wanted);
}

const CHAT = `
const { createServer } = require("node:http");
const { WebSocketServer } = require("ws");
const page = \`<!doctype html><title>Chat</title><ul id="log"></ul><script>
  const socket = new WebSocket(location.origin.replace("http", "ws") + "/chat");
  socket.onopen = () => { document.body.dataset.open = "yes"; };
  socket.onclose = () => { document.body.dataset.open = "no"; };
  socket.onmessage = ({ data }) => { const item = document.createElement("li"); item.textContent = data; log.append(item); };
  window.say = (text) => socket.send(text);
</script>\`;
const server = createServer((request, response) => {
  if (request.url === "/events") {
    response.writeHead(200, { "content-type": "text/event-stream" });
    const timer = setInterval(() => response.write("data: tick\\n\\n"), 100);
    return request.on("close", () => clearInterval(timer));
  }
  if (request.url === "/headers") return response.end(JSON.stringify(request.headers));
  response.writeHead(200, { "content-type": "text/html" }).end(page);
});
const sockets = new WebSocketServer({ server });
sockets.on("connection", (socket) => socket.on("message", (text) => {
  for (const one of sockets.clients) one.send("said: " + text);
}));
server.listen(4000, "127.0.0.1");
`;

const GREETER = JSON.stringify({
  ...{ title: "Greeter", description: "a test's", node: "22.0.0", install: {}, programs: {}, kept: [], hint: "" },
  start: [
    "node",
    "-e",
    `require("http").createServer((_, r) => r.end("hello from an agent")).listen(4321, "127.0.0.1")`,
  ],
  ...{ port: 4321, ready: "/", expose: true },
});

describe("a preview", { timeout: 180_000 }, () => {
  test("of a sandbox that sleeps wakes it, and says then that nothing listens", async () => {
    const { url, listening } = await expose(4999, { sandbox: "sleeper" });
    expect(listening).toBe(false);
    await openAsPerson(chrome.page, url, "The sandbox is waking up");
    // The page looks again by itself.
    expect(await shows(chrome.page, TEXT, "Nothing listens on port 4999")).toContain("sandbox_exec");
  });

  test("finds an agent again that ran when its sandbox fell asleep", async () => {
    const sandbox = "resident";
    const path = "presets/greeter/preset.json";
    const exec = async (command: string): Promise<unknown> => await call("sandbox_exec", { command, sandbox });
    // Presets of the test's own, in the place of those that need the network.
    await exec(
      "cp -r /opt/presets presets; mkdir -p presets/greeter .local/bin; ln -s ../../presets/program/preset.mjs .local/bin/preset",
    );
    await call("sandbox_write", { path, content: GREETER, sandbox });
    expect(await exec("preset start greeter")).toMatchObject({ exit_code: 0, stderr: "" });
    const { page } = chrome;
    const { url } = await expose(4321, { sandbox });
    await openAsPerson(page, url, "hello from an agent");
    await page.open(`${suite.url}/account`);
    await press(page, "#sandbox-resident-sleep");
    await shows(page, TEXT, "The sandbox was put to sleep");
    await page.open(url);
    await shows(page, TEXT, "hello from an agent");
    expect(await exec("preset status")).toMatchObject({ stdout: expect.stringContaining("greeter\truns for 0 min") });
    await exec("preset stop greeter");
    await page.open(`${suite.url}/account`);
    await press(page, "#sandbox-resident-sleep");
    await shows(page, TEXT, "The sandbox was put to sleep");
    await page.open(url);
    await shows(page, TEXT, "Nothing listens on port 4321");
    await pause(2_000);
    expect(await exec("preset status")).toMatchObject({
      stdout: expect.stringContaining("greeter\tinstalled, does not"),
    });
  });

  test("shows a server and its WebSocket chat, until it is withdrawn", async () => {
    await bringPackages(client, ["ws"]);
    await serve("chat.cjs", CHAT, 4000);
    const { url, listening } = await expose(4000);
    expect(listening).toBe(true);
    const { page } = chrome;
    await openAsPerson(page, url, "");
    await shows(page, `document.title + document.body.dataset.open`, "Chatyes");
    await page.evaluate(`say("hello") ?? ""`);
    await shows(page, TEXT, "said: hello");
    const headers = String(await page.evaluate(`fetch("/headers").then((answer) => answer.text())`));
    expect(JSON.parse(headers)).toMatchObject({ host: "localhost:4000", "x-forwarded-host": new URL(url).host });
    expect(headers).not.toContain("pincer-preview");
    await page.evaluate(
      `(window.ticks = 0, window.events = new EventSource("/events"), events.onmessage = () => (ticks += 1), events.onerror = () => (window.endedAtMs ??= Date.now(), window.ended = "ended"), "")`,
    );
    await shows(page, "ticks > 3 ? 'ticking' : ''", "ticking");
    await call("sandbox_expose", { port: 4000, withdraw: true });
    const beganMs = Date.now();
    await shows(page, "document.body.dataset.open + window.ended", "noended");
    expect(Number(await page.evaluate("window.endedAtMs")) - beganMs).toBeLessThan(5_000);
    await pause(2_000);
    expect(await page.open(url)).toContain("There is no such preview");
  });

  test("is on its person's overview, which opens and withdraws it", async () => {
    const { url } = await expose(4000);
    const { page } = chrome;
    await openAsPerson(page, new URL("/account", suite.url).href, "Opens for");
    const link = "#sandbox-main-preview-4000";
    expect(await page.evaluate(`document.querySelector("${link}").href`)).toBe(url);
    await press(page, "#sandbox-main-withdraw-4000");
    await shows(page, TEXT, "The preview was withdrawn");
    expect(await page.evaluate(`document.querySelector("${link}")`)).toBeNull();
    expect(JSON.stringify(await call("sandbox_expose", {}))).not.toContain("4000");
  });

  test("is opened by its share link in the suite's own browser, its WebSocket too, and leads to nothing else", async () => {
    const { share_url: shareUrl = "", url } = await expose(4000, { share_for: 60 });
    const open = async (address: string): Promise<string> =>
      textOf(await client.callTool("browser_open", { url: address }));
    expect(await open(shareUrl)).toContain("Chat");
    // Its socket opens after the page has loaded.
    const opened = `new Promise((open) => (socket.readyState === 1 ? open() : socket.addEventListener("open", open)))`;
    await client.callTool("browser_evaluate", { script: `${opened}.then(() => say("from the suite"))` });
    await client.callTool("browser_wait", { text: "said: from the suite" });
    expect(textOf(await client.callTool("browser_snapshot", {}))).toContain("said: from the suite");
    expect(await open(new URL("/account", suite.url).href)).toContain("only share links can be opened");
    await call("sandbox_expose", { port: 4000, withdraw: true });
    await expect.poll(async () => await open(url)).toContain("There is no such preview");
  });

  test("is opened by its share link in a browser that never signed in, until the link ends", async () => {
    await start("sh -c 'node chat.cjs || sleep 600'", 4000);
    const { url } = await expose(4000);
    await using stranger = await startChrome();
    expect(await stranger.page.open(url)).toContain("Sign in to Pincer");
    const { share_url: shareUrl = "" } = await expose(4000, { share_for: 12 });
    await stranger.page.open(shareUrl);
    expect(await stranger.page.evaluate("location.href")).toBe(url);
    await shows(stranger.page, "document.body.dataset.open", "yes");
    await shows(stranger.page, "document.body.dataset.open", "no");
    expect(await stranger.page.open(shareUrl)).toContain("There is no such preview");
  });

  test("says so of a request that it cannot pass on", async () => {
    const server = `createServer({ maxHeaderSize: 1 << 20 }, (q, r) => r.setHeader("x-again", q.headers["x-long"] ?? "").end("plain"))`;
    await serve("plain.cjs", `require("node:http").${server}.listen(4777);`, 4777);
    const { share_url: shareUrl = "" } = await expose(4777, { share_for: 60 });
    const send = await enter(shareUrl);
    expect((await send("/")).statusCode).toBe(200);
    expect((await send("/", { headers: { "Content-Length": "5" }, body: "hello" })).statusCode).toBe(400);
    const long = await send("/", { headers: { "x-long": "a".repeat(100_000) } });
    expect([long.statusCode, long.headers["x-again"]?.length]).toEqual([200, 100_000]);
    expect((await send("/", { headers: { "x-long": "a".repeat(200_000) } })).statusCode).toBe(431);
  });

  test("passes on what is answered before all was sent, and the next request after it", async () => {
    const refuse = `q.url === "/refuses" ? r.writeHead(413).end("no") : q.resume().on("end", () => r.end("all"))`;
    await serve("refuses.cjs", `require("node:http").createServer((q, r) => ${refuse}).listen(4778);`, 4778);
    const { share_url: shareUrl = "" } = await expose(4778, { share_for: 60 });
    const send = await enter(shareUrl);
    const upload = async (path: string): Promise<string> => {
      const answer = await send(path, { method: "POST", body: new Uint8Array(32_000_000) });
      return `${answer.statusCode} ${await readAll(answer)}`;
    };
    for (let round = 0; round < 4; round += 1) {
      // Node's client hears no answer where it is still writing as the connection ends.
      await expect.poll(async () => await upload("/refuses").catch((error: unknown) => error)).toBe("413 no");
      expect(await upload("/takes")).toBe("200 all");
    }
  });

  test("shows a Vite dev server, whose page changes as its files do", async () => {
    await bringPackages(client, [
      ...["vite", "rolldown", "lightningcss", `lightningcss-linux-${process.arch}-gnu`, "detect-libc", "postcss"],
      ...["picomatch", "tinyglobby", "fdir", "nanoid", "picocolors", "source-map-js", "@oxc-project", "@rolldown"],
    ]);
    const write = async (file: string, content: string): Promise<void> =>
      void (await call("sandbox_write", { path: `/workspace/site/${file}`, content }));
    await write("index.html", `<!doctype html><p id="said"></p><script type="module" src="/main.js"></script>`);
    await write(
      "main.js",
      `import { words } from "./words.js";\nconst show = (text) => (said.textContent = text);\nshow(words);\nimport.meta.hot.accept("./words.js", (next) => show(next.words));\n`,
    );
    await write("words.js", `export const words = "first words";\n`);
    await start("cd site && node ../node_modules/vite/bin/vite.js --port 5173 --strictPort", 5173);
    const { page } = chrome;
    await openAsPerson(page, (await expose(5173)).url, "first words");
    await page.evaluate(`window.isSame = "the same page"`);
    // Until its page and its watch of the files are there, it does not hear of a change.
    const change = async (): Promise<unknown> => {
      await write("words.js", `export const words = "other words";\n`);
      return await page.evaluate(TEXT);
    };
    await expect.poll(change, { interval: 500 }).toBe("other words");
    expect(await page.evaluate("window.isSame")).toBe("the same page");
  });

  test("reads nothing of the account, frames nothing of it, and sets it no cookie", async () => {
    await serve(
      "hostile.cjs",
      `require("node:http").createServer((q, r) => r.writeHead(200, { "content-type": "text/html", "set-cookie": ["evil=1; Domain=localhost; Path=/", "__Host-pincer-account=x; Path=/; Secure"] }).end("<!doctype html>hostile")).listen(4666);`,
      4666,
    );
    const { url } = await expose(4666);
    const { page } = chrome;
    await openAsPerson(page, url, "hostile");
    const tried = async (expression: string): Promise<unknown> =>
      await page.evaluate(
        `(async () => { try { return ${expression}; } catch (error) { return "refused: " + error.name; } })()`,
      );
    for (const route of ["/account", "/admin", "/mcp", "/account/preview?label=x&to=/"]) {
      for (const credentials of ["include", "omit"]) {
        const asked = `(await fetch(${JSON.stringify(suite.url + route)}, { credentials: "${credentials}" })).text()`;
        expect([route, await tried(`await (${asked})`)]).toEqual([route, "refused: TypeError"]);
      }
      const same = await tried(`(await fetch(${JSON.stringify(route)}, { redirect: "manual" })).text()`);
      expect(same).toContain("hostile");
    }
    const framed = `await new Promise((done) => { const frame = document.createElement("iframe"); frame.src = ${JSON.stringify(`${suite.url}/account`)}; frame.onload = () => { try { done("read: " + frame.contentDocument.body.innerText); } catch (error) { done("refused: " + error.name); } }; document.body.append(frame); setTimeout(done, 5000, "never loaded"); })`;
    expect(await tried(framed)).not.toMatch(/Overview|Sign in/);
    await page.evaluate(`document.cookie = "evil2=1; domain=localhost; path=/"`);
    await page.evaluate(`document.cookie = "__Host-pincer-account=x; path=/; secure; domain=localhost"`);
    await page.open(`${suite.url}/account`);
    const { cookies } = z
      .object({ cookies: z.array(z.object({ name: z.string(), domain: z.string() })) })
      .parse(await page.send("Network.getCookies", { urls: [suite.url] }));
    expect(cookies.map(({ name }) => name)).toEqual(["__Host-pincer-account"]);
    expect(await shows(page, TEXT, "Overview")).toContain("the owner of this machine");
  });
});

import * as z from "zod";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { commandOf, killAll, treeOf } from "../egress/processes.ts";
import { type BrowserSuite, type Person, startBrowserSuite } from "./browser-suite.ts";
import { type DevToolsSocket, openDeafSocket, openSocket } from "./devtools-socket.ts";
import { type Site, serveSite } from "./pages.ts";

let site: Site;
let closed: Site;
let suite: BrowserSuite;
/** A browser outlives what clients try: one serves most tests. */
let person: Person;
let door: string;
beforeAll(async () => {
  closed = await serveSite("127.0.0.1", { "/": "<p>private</p>", "/data": "secret" });
  site = await serveSite("127.0.0.1", {
    "/": "<title>Home</title><p>home</p>",
    "/file": (_request, response) =>
      response.writeHead(200, { "Content-Disposition": "attachment; filename=data.bin" }).end("bytes"),
  });
  suite = await startBrowserSuite([site.host], { closedHosts: [closed.host] });
  person = suite.person();
  door = await person.openDoor();
  await person.read("browser_open", { url: `${site.origin}/` });
});
afterAll(async () => {
  await person[Symbol.asyncDispose]();
  await suite[Symbol.asyncDispose]();
  await site[Symbol.asyncDispose]();
  await closed[Symbol.asyncDispose]();
});

const socketUrl = (origin: string, path = "/devtools/browser/main"): string => `${origin.replace("http", "ws")}${path}`;
const targetSchema = z.object({ id: z.string(), type: z.string(), url: z.string(), webSocketDebuggerUrl: z.string() });

async function listOf(origin: string): Promise<z.output<typeof targetSchema>[]> {
  return z.array(targetSchema).parse(await (await fetch(`${origin}/json/list`)).json());
}

const sessionSchema = z.object({ sessionId: z.string() });

/** A session of that page. */
async function attach(socket: DevToolsSocket, targetId: string, parentId?: string): Promise<string> {
  const { result } = await socket.ask("Target.attachToTarget", { targetId, flatten: true }, parentId);
  return sessionSchema.parse(result).sessionId;
}

/** A session of the person's first page. */
async function attachToFirst(socket: DevToolsSocket, origin: string, parentId?: string): Promise<string> {
  return await attach(socket, (await listOf(origin))[0]?.id ?? "", parentId);
}

/** What a page is asked for an answer that does not come. */
const NEVER = { expression: "new Promise(() => undefined)", awaitPromise: true };
const NO_SESSION = { code: -32_001, message: "Session with given id not found." };

describe("a client is refused", () => {
  test.each([
    ["SystemInfo.getInfo", {}],
    ["SystemInfo.getProcessInfo", {}],
    ["Browser.crash", {}],
    ["Browser.crashGpuProcess", {}],
    ["Browser.getBrowserCommandLine", {}],
    ["Browser.executeBrowserCommand", { commandId: "openTabSearch" }],
    ["Target.exposeDevToolsProtocol", { targetId: "any" }],
    ["Target.setRemoteLocations", { locations: [{ host: "127.0.0.1", port: 9222 }] }],
    ["Target.sendMessageToTarget", { message: "{}" }],
    ["Target.openDevTools", { targetId: "any" }],
    ["Tethering.bind", { port: 9999 }],
    ["Extensions.loadUnpacked", { path: "/etc" }],
    ["Cloudflare.getLiveView", { targetId: "any" }],
    ["Network.loadNetworkResource", { url: "http://169.254.169.254/", options: {} }],
    ["Network.continueInterceptedRequest", { interceptionId: "1", url: "http://169.254.169.254/" }],
    ["DOM.setFileInputFiles", { files: ["/etc/passwd"] }],
    [
      "Input.dispatchDragEvent",
      { type: "drop", x: 1, y: 1, data: { items: [], files: ["/etc/passwd"], dragOperationsMask: 1 } },
    ],
    ["IO.read", { handle: "1" }],
    ["IO.close", { handle: "1" }],
    ["IO.read", { handle: "blob:00000000-0000-0000-0000-000000000000" }],
    ["Tracing.start", { perfettoConfig: "" }],
    ["Target.createTarget", { url: "file:///etc/passwd" }],
    ["Target.createTarget", { url: " file:///etc/passwd" }],
    ["Target.createTarget", { url: "about:version" }],
    ["Target.createTarget", { url: "chrome://inducebrowsercrashforrealz/" }],
    ["Target.createTarget", { url: "http://browser.internal/json/list" }],
    ["Page.navigate", { url: "file:///etc/passwd" }],
    ["Target.createTarget", { url: "view-source:file:///etc/passwd" }],
    ["Target.createTarget", { url: "devtools://devtools/bundled/inspector.html" }],
    ["Target.createTarget", { url: ["file:///etc/passwd"] }],
    ["Target.createBrowserContext", { proxyServer: "127.0.0.1:1" }],
    ["Target.createBrowserContext", { proxyBypassList: "*" }],
    ["Target.disposeBrowserContext", { browserContextId: "another's" }],
    ["Target.detachFromTarget", { sessionId: "another's" }],
    ["NoSuch.command", {}],
  ])("%s %j", async (method, params) => {
    const socket = await openSocket(socketUrl(door));
    const { result, error } = await socket.ask(method, params);
    expect(result).toBeUndefined();
    expect(error?.message).toMatch(/\.$/);
    socket.close();
  });

  test("a session that is not its own, such as that of another client or of the tools", async () => {
    const [mine, theirs] = [await openSocket(socketUrl(door)), await openSocket(socketUrl(door))];
    const sessionId = await attachToFirst(theirs, door);
    const refused = { error: { code: -32001, message: "Session with given id not found." } };
    expect(await mine.ask("Runtime.evaluate", { expression: "1" }, sessionId)).toMatchObject(refused);
    expect(await mine.ask("Target.detachFromTarget", { sessionId })).toMatchObject({
      error: { message: "No session with given id." },
    });
    expect(await theirs.ask("Runtime.evaluate", { expression: "1 + 1" }, sessionId)).toMatchObject({
      result: { result: { value: 2 } },
    });
    expect(mine.heard.filter((message) => message.sessionId === sessionId && message.error === undefined)).toEqual([]);
    mine.close();
    theirs.close();
  });

  test("another person's page", async () => {
    await using other = suite.person();
    await other.read("browser_open", { url: `${site.origin}/` });
    const [theirPage] = await listOf(await other.openDoor());
    const socket = await openSocket(socketUrl(door));
    expect((await listOf(door)).map(({ id }) => id)).not.toContain(theirPage?.id);
    expect(await socket.ask("Target.attachToTarget", { targetId: theirPage?.id })).toMatchObject({
      error: { message: "No target with given id found" },
    });
    await expect(openSocket(socketUrl(door, `/devtools/page/${theirPage?.id}`))).rejects.toThrow();
    expect((await fetch(`${door}/json/close/${theirPage?.id}`)).status).toBe(404);
    expect(await other.read("browser_snapshot")).toContain("home");
    socket.close();
  });
});

describe("the gate stays", () => {
  test("whatever a client says of interception, in the browser and in a page", async () => {
    const socket = await openSocket(socketUrl(door));
    const sessionId = await attachToFirst(socket, door);
    const fetchPrivate = {
      expression: `fetch("${closed.origin}/data", { mode: "no-cors" }).then(() => "let out", () => "refused")`,
      awaitPromise: true,
    };
    for (const session of [undefined, sessionId]) {
      await socket.ask("Fetch.enable", { patterns: [] }, session);
      await socket.ask("Fetch.disable", {}, session);
      await socket.ask("Network.setBypassServiceWorker", { bypass: true }, sessionId);
      expect(await socket.ask("Runtime.evaluate", fetchPrivate, sessionId)).toMatchObject({
        result: { result: { value: "refused" } },
      });
    }
    socket.close();
    expect(closed.asked).toEqual([]);
  });

  test("where a client answers in a site's place and leads away from it", async () => {
    const socket = await openSocket(socketUrl(door));
    const sessionId = await attachToFirst(socket, door);
    await socket.ask("Fetch.enable", { patterns: [{ urlPattern: "*" }] });
    const asking = socket.ask("Page.navigate", { url: `${site.origin}/?paused` }, sessionId);
    await expect.poll(() => socket.heard.map(({ method }) => method)).toContain("Fetch.requestPaused");
    const paused = socket.heard.find(({ method }) => method === "Fetch.requestPaused");
    const { requestId } = z.object({ requestId: z.string() }).parse(paused?.params);
    await socket.ask("Fetch.fulfillRequest", {
      requestId,
      responseCode: 302,
      responseHeaders: [{ name: "Location", value: `${closed.origin}/` }],
    });
    await socket.ask("Fetch.disable");
    await asking;
    socket.close();
    await person.read("browser_open", { url: `${site.origin}/` });
    expect(closed.asked).toEqual([]);
  });

  test("and downloads are kept on no disk of Chrome's, though a client allows them", async () => {
    const socket = await openSocket(socketUrl(door));
    const allowed = { behavior: "allow", downloadPath: "/tmp", eventsEnabled: true };
    expect(await socket.ask("Browser.setDownloadBehavior", allowed)).toMatchObject({ result: {} });
    const sessionId = await attachToFirst(socket, door);
    expect(await socket.ask("Page.setDownloadBehavior", allowed, sessionId)).toMatchObject({ result: {} });
    await socket.ask("Runtime.evaluate", { expression: `location.href = "/file"` }, sessionId);
    await expect.poll(() => site.asked).toContain("/file");
    await expect.poll(async () => await person.read("browser_evaluate", { script: "1" })).toContain("data.bin");
    expect(socket.heard.map(({ method }) => method)).not.toContain("Browser.downloadWillBegin");
    socket.close();
  });
});

describe("a client that", () => {
  test("says what is no command is told so, and goes on", async () => {
    const socket = await openSocket(socketUrl(door));
    for (const text of [
      "",
      "no JSON",
      "[]",
      "null",
      `{"id":"1","method":"Browser.getVersion"}`,
      `{"id":-1,"method":"Browser.getVersion"}`,
    ]) {
      socket.say(text);
    }
    expect(await socket.ask("Browser.getVersion")).toMatchObject({ result: { protocolVersion: "1.3" } });
    const errors = socket.heard.filter(({ error }) => error?.message === "That is no command.");
    expect(errors.length).toBe(6);
    socket.close();
  });

  test("asks a page that closes meanwhile, or has closed, is answered as Chrome does", async () => {
    const socket = await openSocket(socketUrl(door));
    const { result } = await socket.ask("Target.createTarget", { url: "about:blank" });
    const { targetId } = z.object({ targetId: z.string() }).parse(result);
    const sessionId = await attach(socket, targetId);
    const asked = socket.ask("Runtime.evaluate", NEVER, sessionId);
    await socket.ask("Target.closeTarget", { targetId });
    expect(await asked).toEqual({ id: expect.any(Number), error: NO_SESSION });
    expect(await socket.ask("Runtime.evaluate", NEVER, sessionId)).toEqual({
      id: expect.any(Number),
      error: NO_SESSION,
    });
    socket.close();
  });

  test("asks by a session that goes with the one that it came by is answered as Chrome does", async () => {
    const socket = await openSocket(socketUrl(door));
    const { result } = await socket.ask("Target.attachToBrowserTarget");
    const { sessionId: parentId } = sessionSchema.parse(result);
    const sessionId = await attachToFirst(socket, door, parentId);
    const asked = socket.ask("Runtime.evaluate", NEVER, sessionId);
    await socket.ask("Target.detachFromTarget", { sessionId: parentId });
    expect(await asked).toEqual({ id: expect.any(Number), error: NO_SESSION });
    expect(await socket.ask("Runtime.evaluate", NEVER, sessionId)).toMatchObject({ error: NO_SESSION });
    socket.close();
  });

  test("says too much at once is cut off, and the browser goes on", async () => {
    const socket = await openSocket(socketUrl(door));
    socket.say(JSON.stringify({ id: 1, method: "Runtime.evaluate", params: { expression: "x".repeat(9_000_000) } }));
    expect(await socket.closed).toEqual({ code: 1009, reason: "A command may have 8 MB at most." });
    expect(await person.read("browser_snapshot")).toContain("home");
  });

  test("waits for no answer is cut off, and the browser goes on", async () => {
    const socket = await openSocket(socketUrl(door));
    const sessionId = await attachToFirst(socket, door);
    for (let id = 100; id < 1_200; id += 1) {
      socket.say(JSON.stringify({ id, method: "Runtime.evaluate", params: NEVER, sessionId }));
    }
    expect(await socket.closed).toEqual({ code: 1013, reason: "More than 1000 commands wait for their answers." });
    expect(await person.read("browser_snapshot")).toContain("home");
  });

  test("reads nothing of what it asks for is cut off before that fills the memory, and holds its place until it has gone", async () => {
    await using other = suite.person();
    const origin = await other.openDoor();
    await other.read("browser_open", { url: `${site.origin}/` });
    const [page] = await listOf(origin);
    const url = new URL(`/devtools/page/${page?.id}`, origin);
    const [reader, deaf] = [await openDeafSocket(url), await openDeafSocket(url)];
    for (let id = 1; id <= 12; id += 1) {
      const expression = `self.n=-~self.n;"x".repeat(5e6)`;
      const text = JSON.stringify({ id, method: "Runtime.evaluate", params: { expression } });
      for (const socket of [reader, deaf]) socket.say(text);
    }
    // Chrome has answered all of it then, before it answers this.
    await expect
      .poll(async () => await other.read("browser_evaluate", { script: "`asked ${self.n} times`" }), {
        timeout: 40_000,
      })
      .toContain("asked 24 times");
    const heard = await reader.hearAll();
    expect(heard.end).toBe("What the browser says is not read.");
    expect(heard.bytes).toBeLessThan(12 * 5e6);
    await expect.poll(async () => await countPlaces(origin)).toBe(15);
    deaf.hangUp();
    await expect.poll(async () => await countPlaces(origin)).toBe(16);
  });

  test("asks for too many contexts is told so, also where it asks for all at once", async () => {
    const socket = await openSocket(socketUrl(door));
    const made = await Promise.all(
      Array.from({ length: 25 }, async () => await socket.ask("Target.createBrowserContext")),
    );
    const refused = made.filter(({ error }) => error?.message === "A client may have 20 contexts; close one.");
    expect({ made: made.length - refused.length, refused: refused.length }).toEqual({ made: 20, refused: 5 });
    socket.close();
  });

  test("is one too many is told so, also where many come at once", async () => {
    await expect.poll(async () => await countPlaces(door)).toBe(16);
  });
});

/** How many of twenty that come at once are let in. */
async function countPlaces(origin: string): Promise<number> {
  const opening = Array.from({ length: 20 }, async () => await openSocket(socketUrl(origin)));
  const opened = (await Promise.allSettled(opening)).filter((each) => each.status === "fulfilled");
  for (const { value } of opened) value.close();
  return opened.length;
}

describe("the connection ends", () => {
  test("when its browser is stopped, as by a pause", async () => {
    await using other = suite.person();
    const socket = await openSocket(socketUrl(await other.openDoor()));
    await other.stop();
    expect(await socket.closed).toEqual({ code: 1001, reason: "The browser has ended." });
  });

  test("when browser_close ends it, and the next program starts another", async () => {
    await using other = suite.person();
    const origin = await other.openDoor();
    const socket = await openSocket(socketUrl(origin));
    await other.read("browser_close");
    expect((await socket.closed).code).toBe(1001);
    const next = await openSocket(socketUrl(origin));
    expect(await next.ask("Browser.getVersion")).toMatchObject({ result: { protocolVersion: "1.3" } });
    next.close();
  });

  test("when its person has no browser time left, and says so", async () => {
    await using other = suite.person();
    const socket = await openSocket(socketUrl(await other.openDoor()));
    await other.limit();
    await other.ring();
    expect(await socket.closed).toEqual({ code: 1008, reason: "browser_hours_per_day is used up." });
  });

  test("when its person is let in no longer, or has lost the scopes", async () => {
    await using other = suite.person();
    const socket = await openSocket(socketUrl(await other.openDoor()));
    await other.shutOut();
    await other.ring();
    const reason = "You may use no browser from a sandbox any more.";
    expect(await Promise.race([socket.closed, socket.ask("Browser.getVersion")])).toEqual({ code: 1008, reason });
  });

  test("when the session is evicted, and the next one finds the page again", async () => {
    await using other = suite.person();
    const origin = await other.openDoor();
    await other.read("browser_open", { url: `${site.origin}/` });
    const socket = await openSocket(socketUrl(origin));
    await other.evict();
    await socket.closed;
    expect((await listOf(origin)).map(({ url }) => url)).toEqual([`${site.origin}/`]);
  });

  test("when the page of its own is closed", async () => {
    await using other = suite.person();
    const origin = await other.openDoor();
    const made = await fetch(`${origin}/json/new?${encodeURIComponent(`${site.origin}/`)}`, { method: "PUT" });
    const page = targetSchema.parse(await made.json());
    const socket = await openSocket(page.webSocketDebuggerUrl);
    expect(await socket.ask("Runtime.evaluate", { expression: "1 + 1" })).toMatchObject({
      result: { result: { value: 2 } },
    });
    expect(await (await fetch(`${origin}/json/close/${page.id}`)).text()).toBe("Target is closing");
    expect(await socket.closed).toEqual({ code: 1000, reason: "The page was closed." });
  });

  test("when Chrome is killed", async () => {
    await using other = suite.person();
    const before = new Set(await chromes());
    const socket = await openSocket(socketUrl(await other.openDoor()));
    killAll((await chromes()).filter((pid) => !before.has(pid)));
    expect((await socket.closed).code).toBe(1001);
  });
});

describe("over HTTP", () => {
  test("the browser names itself and where its socket is", async () => {
    expect(await (await fetch(`${door}/json/version/`)).json()).toMatchObject({
      Browser: expect.stringMatching(/^HeadlessChrome\//),
      "Protocol-Version": "1.3",
      webSocketDebuggerUrl: socketUrl(door),
    });
    expect(await (await fetch(`${door}/json/version?browser=other`)).json()).toMatchObject({
      webSocketDebuggerUrl: socketUrl(door, "/devtools/browser/other"),
    });
    await person.read("browser_close", { browser: "other" });
  });

  test("a page is opened in the browser that is named, whose socket is in the answer", async () => {
    await using other = suite.person();
    const origin = await other.openDoor();
    for (const query of [
      encodeURIComponent(`${site.origin}/?a=1`),
      `url=${encodeURIComponent(`${site.origin}/?a=1`)}`,
    ]) {
      const made = await fetch(`${origin}/json/new?${query}&browser=named`, { method: "PUT" });
      const page = targetSchema.parse(await made.json());
      expect(page.webSocketDebuggerUrl).toBe(socketUrl(origin, `/devtools/page/${page.id}?browser=named`));
      const socket = await openSocket(page.webSocketDebuggerUrl);
      await expect
        .poll(async () => await socket.ask("Runtime.evaluate", { expression: "location.href" }))
        .toMatchObject({ result: { result: { value: `${site.origin}/?a=1` } } });
      socket.close();
    }
    expect(await other.call("browser_snapshot")).toMatchObject({ ok: false, code: "not_found" });
    expect(await other.read("browser_snapshot", { browser: "named" })).toContain("home");
    await other.read("browser_close", { browser: "named" });
  });

  test.each([
    ["PUT", "/json/new?%zz", 400, "That is not a URL"],
    ["GET", "/json/new?about:blank", 400, "Use PUT to open a page."],
    ["PUT", "/json/new?file:///etc/passwd", 403, "Only http and https pages can be opened"],
    ["PUT", "/json/new?url=http%3A%2F%2F169.254.169.254%2F", 403, "cloud metadata address"],
    ["GET", "/json/version?browser=a/b", 400, "No browser has such a name"],
    ["GET", "/devtools/browser/main", 400, "Open a WebSocket there."],
    ["GET", "/json/close/none", 404, "No such target"],
    ["GET", "/", 404, "Ask for /json/version"],
    ["GET", "/json/anything", 404, "Ask for /json/version"],
  ])("%s %s is refused", async (method, path, status, text) => {
    const answer = await fetch(`${door}${path}`, { method });
    expect(answer.status).toBe(status);
    expect(await answer.text()).toContain(text);
  });
});

test("a program that says nothing for ten minutes is let go", async () => {
  await using other = suite.person();
  const origin = await other.openDoor();
  const silent = await openSocket(socketUrl(origin));
  await other.ring();
  expect(await silent.ask("Browser.getVersion")).toHaveProperty("result");
  await other.ring({ afterMs: 600_000 });
  expect(await silent.closed).toEqual({ code: 1001, reason: "Nothing was said for ten minutes." });
});

test("a browser that a program starts is in its person's books, and ends unused", async () => {
  await using other = suite.person();
  const socket = await openSocket(socketUrl(await other.openDoor()));
  await other.ring();
  expect((await other.time()).browserMs).toBeGreaterThan(0);
  // Those of earlier tests take a moment to end, all but the one that serves most of them.
  await expect.poll(suite.countChromes).toBe(2);
  socket.close();
  await other.evict();
  await other.ring();
  await expect.poll(suite.countChromes).toBe(1);
});

async function chromes(): Promise<number[]> {
  const found: number[] = [];
  for (const pid of await treeOf(process.pid)) {
    const command = await commandOf(pid);
    if (command.includes("--remote-debugging") && !command.includes("--type=")) found.push(pid);
  }
  return found;
}

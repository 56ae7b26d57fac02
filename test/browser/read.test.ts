import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type BrowserSuite, type Person, startBrowserSuite } from "./browser-suite.ts";
import { type Site, redirectTo, serveSite, silence } from "./pages.ts";

let open: Site;
let closed: Site;
let suite: BrowserSuite;
let person: Person;
beforeAll(async () => {
  closed = await serveSite("127.0.0.1", { "/": "<p>private</p>", "/p.png": "no picture", "/data": "secret" });
  open = await serveSite("127.0.0.1", {
    "/": `<title>Shop</title><h1>Teas</h1><nav><a href="/cart">Cart</a></nav><script>console.error("no tea")</script>`,
    "/late": `<title>Late</title><script>setTimeout(() => { document.body.innerHTML = "<p>Rendered</p>" }, 700)</script>`,
    "/cookie": (request, response) => {
      response.writeHead(200, { "Content-Type": "text/html", "Set-Cookie": "who=me; Max-Age=3600" });
      response.end(`<p>cookie: ${request.headers.cookie ?? "none"}</p>`);
    },
    "/redirect": redirectTo(`${closed.origin}/`),
    "/parts": `<p>parts</p><img src="${closed.origin}/p.png"><script>
      fetch("${closed.origin}/data").catch(() => document.body.append("fetch failed"));
      new Worker("/worker.js"); navigator.serviceWorker.register("/service-worker.js"); window.open("${closed.origin}/");
      </script>`,
    "/worker.js": (_request, response) =>
      response
        .writeHead(200, { "Content-Type": "text/javascript" })
        .end(`fetch("${closed.origin}/data", { mode: "no-cors" })`),
    "/service-worker.js": (_request, response) =>
      response
        .writeHead(200, { "Content-Type": "text/javascript" })
        .end(`self.oninstall = () => fetch("${closed.origin}/data", { mode: "no-cors" })`),
    "/silent": silence,
  });
  suite = await startBrowserSuite([open.host], { closedHosts: [closed.host] });
  person = suite.person();
});
afterAll(async () => {
  await suite[Symbol.asyncDispose]();
  await open[Symbol.asyncDispose]();
  await closed[Symbol.asyncDispose]();
});

describe("the open page", () => {
  test("is read as Markdown, links and HTML, as a whole or in part", async () => {
    const opened = await person.read("browser_open", { url: `${open.origin}/` });
    const head = `${open.origin}/\nPage content, untrusted data:\ntitle: Shop\n`;
    expect(await person.read("browser_read")).toBe(`${head}# Teas\n\n[Cart](/cart)`);
    expect(await person.read("browser_read", { what: "links" })).toBe(`${head}Cart ${open.origin}/cart`);
    const [, ref] = /\[(e\d+)\] navigation/.exec(opened) ?? [];
    expect(await person.read("browser_read", { what: "html", ref })).toBe(`${head}<nav><a href="/cart">Cart</a></nav>`);
  });

  test("shows what it logged and asked for", async () => {
    await person.read("browser_open", { url: `${open.origin}/` });
    expect(await person.read("browser_read", { what: "console" })).toMatch(/\nerror: no tea$/);
    expect(await person.read("browser_read", { what: "network" })).toMatch(/\nGET 200 \/ \d+ ms(\n|$)/);
  });

  test("has to be there", async () => {
    expect(await suite.person().call("browser_read")).toMatchObject({ ok: false, code: "not_found" });
  });
});

describe("a URL on its own", () => {
  test("is read with what its scripts put there, without anybody's cookies, and leaves no Chrome", async () => {
    await person.read("browser_open", { url: `${open.origin}/cookie` });
    const before = await suite.countChromes();
    expect(await person.read("browser_read", { url: `${open.origin}/late` })).toBe(
      `${open.origin}/late (200)\nPage content, untrusted data:\ntitle: Late\nRendered`,
    );
    expect(await person.read("browser_read", { url: `${open.origin}/cookie` })).toContain("cookie: none");
    expect(await suite.countChromes()).toBe(before);
    expect(await person.read("browser_snapshot")).toContain(`${open.origin}/cookie\n`);
    expect(await person.read("browser_read", { url: `${open.origin}/nowhere`, what: "network" })).toMatch(
      /\/nowhere \(404\)\n[^]*\nGET 404 \/nowhere \d+ ms/,
    );
  });

  test.each(["http://127.0.0.1:1/", "http://2130706433/", "file:///etc/passwd", "/redirect"])(
    "%s is refused where the policy refuses it",
    async (path) => {
      const url = path.startsWith("/") ? `${open.origin}${path}` : path;
      expect(await person.call("browser_read", { url })).toMatchObject({
        ok: false,
        code: expect.stringMatching(/forbidden|invalid_input/),
      });
      expect(closed.asked).toEqual([]);
    },
  );

  test("reaches no private address by its parts, workers and pop-ups", async () => {
    const text = await person.read("browser_read", { url: `${open.origin}/parts` });
    expect(text).toContain("parts");
    expect(text).toContain("Note: The network policy refused a request of the page.");
    expect(closed.asked).toEqual([]);
  });

  test("that never answers leaves no Chrome when the client cancels", async () => {
    const before = await suite.countChromes();
    expect(await person.call("browser_read", { url: `${open.origin}/silent` }, 3_000)).toMatchObject({
      ok: false,
      code: "cancelled",
    });
    await expect.poll(async () => await suite.countChromes()).toBe(before);
  });

  test("goes with no ref", async () => {
    expect(await person.call("browser_read", { url: `${open.origin}/`, ref: "e1" })).toMatchObject({
      ok: false,
      code: "invalid_input",
    });
  });
});

import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type BrowserSuite, type Person, SUITE_ORIGIN, startBrowserSuite } from "./browser-suite.ts";
import { type Site, redirectTo, serveSite } from "./pages.ts";

let open: Site;
let closed: Site;
let suite: BrowserSuite;
let person: Person;
beforeAll(async () => {
  closed = await serveSite("127.0.0.1", {
    "/": "<p>private</p>",
    "/p.png": "no picture",
    "/sw.js": "",
    "/data": "secret",
  });
  open = await serveSite("127.0.0.1", {
    "/": "<title>Open</title><p>fine</p>",
    "/redirect": redirectTo(`${closed.origin}/`),
    "/metadata": redirectTo("http://169.254.169.254/latest/meta-data/"),
    "/leads": `<p>fine</p><a href="${closed.origin}/">Away</a>`,
    "/script-redirect": `<p>leaving</p><script>location.href = "${closed.origin}/"</script>`,
    "/parts": `<p>parts</p><img src="${closed.origin}/p.png"><iframe src="${closed.origin}/"></iframe><script>
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
  });
  suite = await startBrowserSuite([open.host], { closedHosts: [closed.host] });
  person = suite.person();
});
afterAll(async () => {
  await suite[Symbol.asyncDispose]();
  await open[Symbol.asyncDispose]();
  await closed[Symbol.asyncDispose]();
});

const NOT_A_PAGE = "Only http and https pages can be opened; give a whole URL, such as https://example.com/.";

describe("browser_open refuses", () => {
  test.each([
    "file:///etc/passwd",
    "chrome://version",
    "data:text/html,hi",
    "javascript:alert(1)",
    "ws://example.com/",
    "about:blank",
    "example.com",
  ])("%s, which is no page of the web", async (url) => {
    expect(await person.call("browser_open", { url })).toEqual({
      ok: false,
      code: "invalid_input",
      message: NOT_A_PAGE,
    });
  });

  test.each([
    "http://127.0.0.1:1/",
    "http://2130706433/",
    "http://[::ffff:7f00:1]/",
    "http://10.0.0.1/",
    "http://localhost/",
    "http://169.254.169.254/",
    "http://printer.local/",
  ])("%s, which is a private address", async (url) => {
    expect(await person.call("browser_open", { url })).toMatchObject({ ok: false, code: "forbidden" });
  });

  test("the suite's own pages, but not its share links", async () => {
    const refused = await person.call("browser_open", { url: `${SUITE_ORIGIN}/authorize` });
    expect(refused).toEqual({
      ok: false,
      code: "forbidden",
      message: expect.stringContaining("Of Pincer itself only share links can be opened; files_share makes one"),
    });
    // Nothing listens there in this test: it was let out, and not answered.
    expect(await person.call("browser_open", { url: `${SUITE_ORIGIN}/s/abc/report.html` })).not.toMatchObject({
      code: "forbidden",
    });
  });

  test.each(["/redirect", "/metadata"])("a redirect from %s to a private address", async (path) => {
    const refused = await person.call("browser_open", { url: `${open.origin}${path}` });
    expect(refused).toMatchObject({
      ok: false,
      code: "forbidden",
      message: expect.stringMatching(/^That page leads to another\. (127|169)\./),
    });
    expect(closed.asked).toEqual([]);
    expect(await person.call("browser_snapshot")).toMatchObject({ ok: false, code: "not_found" });
  });
});

describe("a page", () => {
  test("reaches no private address by a script that leaves", async () => {
    const text = await person.read("browser_open", { url: `${open.origin}/script-redirect` });
    expect(text).toContain("Note: The network policy refused a request of the page.");
    expect(closed.asked).toEqual([]);
  });

  test("that was left by a link to one can be gone back to", async () => {
    const [, ref] = /\[(e\d+)\] link/.exec(await person.read("browser_open", { url: `${open.origin}/leads` })) ?? [];
    const back = 'go back with browser_open {"go": "back"}';
    expect(await person.read("browser_click", { ref })).toContain(`Note: That page could not be loaded; ${back}.`);
    expect(await person.call("browser_snapshot")).toEqual({
      ok: false,
      code: "not_found",
      message: `The last page could not be loaded; ${back}, or open another one.`,
    });
    expect(await person.read("browser_open", { go: "back" })).toContain("fine");
    expect(closed.asked).toEqual([]);
  });

  test("reaches none by pictures, frames, scripts, workers and pop-ups", async () => {
    const text = await person.read("browser_open", { url: `${open.origin}/parts` });
    expect(text).toContain("parts");
    await expect.poll(async () => await person.read("browser_snapshot")).toContain("fetch failed");
    // Workers start when they like: wait until both were loaded, then for what they ask.
    await expect.poll(() => open.asked).toEqual(expect.arrayContaining(["/worker.js", "/service-worker.js"]));
    await new Promise((resolve) => setTimeout(resolve, 500));
    expect(closed.asked).toEqual([]);
  });
});

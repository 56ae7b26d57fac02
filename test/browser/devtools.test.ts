import { type Browser, type Page, chromium } from "playwright-core";
import { connect } from "puppeteer-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type BrowserSuite, type Person, startBrowserSuite } from "./browser-suite.ts";
import { type Site, redirectTo, serveSite } from "./pages.ts";

let site: Site;
let closed: Site;
let suite: BrowserSuite;
beforeAll(async () => {
  closed = await serveSite("127.0.0.1", { "/": "<p>private</p>", "/data": "secret" });
  site = await serveSite("127.0.0.1", {
    "/": `<title>Home</title><h1>home</h1><button onclick="document.body.append('pressed')">Press</button>`,
    "/cookie": ({ headers }, response) => {
      response.writeHead(200, { "Content-Type": "text/html", "Set-Cookie": "who=me; Max-Age=3600" });
      response.end(`<p>cookie: ${headers.cookie ?? "none"}</p>`);
    },
    "/asks": `<button onclick="document.body.append(confirm('sure?') ? 'yes' : 'no')">Ask</button>`,
    "/pop-up": `<button onclick="window.open('/')">Open</button>`,
    "/upload": `<input type="file" onchange="this.files[0].text().then((text) => document.body.append(text))">`,
    "/offer": `<a href="/file">get</a>`,
    "/file": (_request, response) =>
      response.writeHead(200, { "Content-Disposition": "attachment; filename=data.bin" }).end("bytes"),
    "/away": redirectTo(`${closed.origin}/`),
  });
  suite = await startBrowserSuite([site.host], { closedHosts: [closed.host] });
});
afterAll(async () => {
  await suite[Symbol.asyncDispose]();
  await site[Symbol.asyncDispose]();
  await closed[Symbol.asyncDispose]();
});

/** Playwright on the person's browser, and the page that is there first. */
async function drive(person: Person): Promise<{ readonly browser: Browser; readonly page: Page }> {
  const browser = await chromium.connectOverCDP(await person.openDoor());
  const page = browser.contexts()[0]?.pages()[0];
  if (page === undefined) throw new Error("Playwright sees no page.");
  return { browser, page };
}

describe("Playwright", () => {
  test("drives the page that the tools see, and leaves it to them", async () => {
    await using person = suite.person();
    const { browser, page } = await drive(person);
    await page.goto(`${site.origin}/`);
    await page.getByRole("button", { name: "Press" }).click();
    expect(await page.evaluate("document.title")).toBe("Home");
    expect((await page.screenshot()).subarray(1, 4).toString()).toBe("PNG");
    await browser.close();
    expect(await person.read("browser_snapshot")).toContain("pressed");
  });

  test("finds the page that the tools have opened, with its cookies, and hears of the next", async () => {
    await using person = suite.person();
    await person.read("browser_open", { url: `${site.origin}/cookie` });
    const { browser, page } = await drive(person);
    expect(page.url()).toBe(`${site.origin}/cookie`);
    const opened = browser.contexts()[0]?.waitForEvent("page");
    await person.read("browser_open", { tab: "new", url: `${site.origin}/cookie` });
    const next = await opened;
    await next?.waitForLoadState();
    expect(await next?.textContent("p")).toBe("cookie: who=me");
    await browser.close();
  });

  test("opens tabs that the tools are told of, and none of them is a pop-up", async () => {
    await using person = suite.person();
    await person.read("browser_open", { url: `${site.origin}/` });
    const { browser, page } = await drive(person);
    const tab = await page.context().newPage();
    await tab.goto(`${site.origin}/cookie`);
    expect(await person.read("browser_snapshot")).toContain(
      'Note: A program in the sandbox opened tab 2; look at it with browser_open {"tab": "2"}.',
    );
    expect(await person.read("browser_open", { tab: "2" })).toContain("cookie: none");
    await tab.close();
    // A call that meets the page as it closes says that.
    await expect.poll(async () => await person.read("browser_snapshot")).not.toContain("pop-up");
    await browser.close();
  });

  test("has contexts of their own, with the size that it wants, that go with it", async () => {
    await using person = suite.person();
    await person.read("browser_open", { url: `${site.origin}/cookie` });
    const { browser } = await drive(person);
    const context = await browser.newContext({ viewport: { width: 400, height: 300 } });
    const page = await context.newPage();
    await page.goto(`${site.origin}/cookie`);
    expect(await page.textContent("p")).toBe("cookie: none");
    expect(await page.evaluate("[innerWidth, innerHeight]")).toEqual([400, 300]);
    await browser.close();
    await expect.poll(async () => (await person.call("browser_open", { tab: "2" })).ok).toBe(false);
  });

  test("answers requests of its pages by itself", async () => {
    await using person = suite.person();
    const { browser } = await drive(person);
    const page = await (await browser.newContext()).newPage();
    await page.route("**/made-up", async (route) => await route.fulfill({ contentType: "text/html", body: "made" }));
    await page.goto(`${site.origin}/made-up`);
    expect(await page.textContent("body")).toBe("made");
    expect(site.asked).not.toContain("/made-up");
    await browser.close();
  });

  test("answers what a page asks, and the tools go on", async () => {
    await using person = suite.person();
    await person.read("browser_open", { url: `${site.origin}/asks` });
    const { browser, page } = await drive(person);
    page.on("dialog", (dialog) => void dialog.accept());
    await page.getByRole("button", { name: "Ask" }).click();
    expect(await person.read("browser_snapshot")).toContain("yes");
    await browser.close();
  });

  test("puts files of its own machine into a field", async () => {
    await using person = suite.person();
    const { browser, page } = await drive(person);
    await page.goto(`${site.origin}/upload`);
    await page.setInputFiles("input", import.meta.filename);
    await page.getByText("puts files of its own machine").waitFor();
    await browser.close();
  });

  test("does not see the page with which the tools save what the browser keeps", async () => {
    await using person = suite.person();
    await person.read("browser_open", { url: `${site.origin}/cookie` });
    const { browser, page } = await drive(person);
    const seen: string[] = [];
    page.context().on("page", (other) => seen.push(other.url()));
    const ended = new Promise((resolve) => browser.on("disconnected", resolve));
    expect(await person.read("browser_close", { save_storage: "state.json" })).toContain("1 cookie");
    await ended;
    expect(seen).toEqual([]);
  });

  test("has what it downloads put into files by tool calls that follow, also in a context of its own", async () => {
    await using person = suite.person();
    await person.read("browser_open", { url: `${site.origin}/` });
    const { browser } = await drive(person);
    const page = await (await browser.newContext()).newPage();
    await page.goto(`${site.origin}/offer`);
    await page.click("a");
    await expect.poll(() => site.asked).toContain("/file");
    await expect.poll(async () => await person.read("browser_click", { x: 1, y: 1 })).toContain("data.bin");
    await browser.close();
  });

  test.each([
    ["makes itself", `<a download="made.txt" href="data:text/plain,made">get</a>`],
    ["asks to have kept as a file", `<a download="page.txt" href="/">get</a>`],
  ])("is told that what its own page %s is for the program to read", async (_what, link) => {
    await using person = suite.person();
    await person.read("browser_open", { url: `${site.origin}/` });
    const { browser } = await drive(person);
    const page = await (await browser.newContext()).newPage();
    await page.goto(`${site.origin}/`);
    await page.setContent(link);
    await page.click("a");
    const note = "Note: A download of a program's page was left; have the program read it from the page.";
    await expect.poll(async () => await person.read("browser_snapshot")).toContain(note);
    await browser.close();
  });
});

describe("Playwright is refused", () => {
  test.each([
    ["file:///etc/passwd", "Only http and https pages can be opened"],
    ["chrome://version/", "Only http and https pages can be opened"],
    ["http://169.254.169.254/latest/meta-data/", "cloud metadata address"],
    ["http://localhost:8717/authorize", "Of Pincer itself only share links can be opened"],
  ])("%s, in any context", async (url, reason) => {
    await using person = suite.person();
    const { browser, page } = await drive(person);
    await expect(page.goto(url)).rejects.toThrow(reason);
    const other = await (await browser.newContext()).newPage();
    await expect(other.goto(url)).rejects.toThrow(reason);
    await browser.close();
  });

  test("a private address by redirects, scripts, frames and what it answers or changes itself", async () => {
    await using person = suite.person();
    const { browser } = await drive(person);
    const context = await browser.newContext();
    const away = await context.newPage();
    await expect(away.goto(`${site.origin}/away`)).rejects.toThrow("ERR_BLOCKED_BY_CLIENT");
    const scripted = await context.newPage();
    await scripted.goto(`${site.origin}/`);
    const fetching = `fetch("${closed.origin}/data", { mode: "no-cors" }).then(() => "let out", () => "refused")`;
    expect(await scripted.evaluate(fetching)).toBe("refused");
    await scripted.setContent(`<iframe src="${closed.origin}/"></iframe>`);
    const moved = await context.newPage();
    const elsewhere = { status: 302, headers: { Location: `${closed.origin}/` } };
    await moved.route("**/moved", async (route) => await route.fulfill(elsewhere));
    await expect(moved.goto(`${site.origin}/moved`)).rejects.toThrow("ERR_BLOCKED_BY_CLIENT");
    const changed = await context.newPage();
    await changed.route("**/changed", async (route) => await route.continue({ url: `${closed.origin}/data` }));
    await expect(changed.goto(`${site.origin}/changed`)).rejects.toThrow("ERR_BLOCKED_BY_CLIENT");
    await browser.close();
    expect(closed.asked).toEqual([]);
  });

  test("a proxy of its own", async () => {
    await using person = suite.person();
    const { browser } = await drive(person);
    await expect(browser.newContext({ proxy: { server: "http://127.0.0.1:1" } })).rejects.toThrow(
      "leave the proxy out",
    );
    await browser.close();
  });

  test("a ninth tab", async () => {
    await using person = suite.person();
    const { browser, page } = await drive(person);
    for (let tabs = 1; tabs < 8; tabs += 1) await page.context().newPage();
    await expect(page.context().newPage()).rejects.toThrow("there is room for no more");
    await browser.close();
  });
});

describe("puppeteer", () => {
  test("drives what it opens, which the tools see", async () => {
    await using person = suite.person();
    const browser = await connect({ browserURL: await person.openDoor() });
    const page = await browser.newPage();
    await page.goto(`${site.origin}/`);
    await page.click("button");
    expect(await page.evaluate("document.title")).toBe("Home");
    const pdf = await page.pdf();
    expect(new TextDecoder().decode(pdf.subarray(0, 5))).toBe("%PDF-");
    expect(await person.read("browser_snapshot")).toContain("pressed");
    await browser.disconnect();
    expect(await person.read("browser_snapshot")).toContain("pressed");
  });

  test("closes what it has opened with the browser, which goes on", async () => {
    await using person = suite.person();
    await person.read("browser_open", { url: `${site.origin}/cookie` });
    const browser = await connect({ browserURL: await person.openDoor() });
    const page = await browser.newPage();
    await page.goto(`${site.origin}/`);
    const context = await browser.createBrowserContext();
    await (await context.newPage()).goto(`${site.origin}/`);
    await browser.close();
    for (const tab of ["3", "2"]) {
      await expect
        .poll(async () => await person.call("browser_open", { tab }))
        .toMatchObject({ ok: false, code: "not_found" });
    }
    expect(await person.read("browser_open", { url: `${site.origin}/cookie` })).toContain("cookie: who=me");
  });

  test("is refused the files of Chrome's machine", async () => {
    await using person = suite.person();
    const browser = await connect({ browserURL: await person.openDoor() });
    const page = await browser.newPage();
    await page.goto(`${site.origin}/upload`);
    const field = await page.waitForSelector("input[type=file]");
    await expect(field?.uploadFile("/etc/hostname")).rejects.toThrow("which has none of your files");
    await browser.disconnect();
  });

  test("meets two programs at once, and each hears of its own sessions alone", async () => {
    await using person = suite.person();
    const door = await person.openDoor();
    const [one, other] = await Promise.all([connect({ browserURL: door }), connect({ browserURL: door })]);
    const pages = [await one.newPage(), await other.newPage()] as const;
    await Promise.all(pages.map(async (page, index) => await page.goto(`${site.origin}/?${index}`)));
    await one.disconnect();
    expect(await pages[1].evaluate("location.search")).toBe("?1");
    await other.disconnect();
  });
});

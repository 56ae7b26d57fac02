import { chromium } from "playwright-core";
import { connect } from "puppeteer-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type BrowserSuite, startBrowserSuite } from "./browser-suite.ts";
import { type Site, serveSite } from "./pages.ts";

let site: Site;
let closed: Site;
let suite: BrowserSuite;
beforeAll(async () => {
  closed = await serveSite("127.0.0.1", { "/": "<p>private</p>", "/data": "secret" });
  site = await serveSite("127.0.0.1", {
    "/": `<title>Home</title><h1>home</h1><button onclick="document.body.append('pressed')">Press</button>`,
  });
  suite = await startBrowserSuite([site.host]);
});
afterAll(async () => {
  await suite[Symbol.asyncDispose]();
  await site[Symbol.asyncDispose]();
  await closed[Symbol.asyncDispose]();
});

describe("Playwright", () => {
  test("drives the page that the tools see", async () => {
    await using person = suite.person();
    const browser = await chromium.connectOverCDP(await person.openDoor());
    const [page] = browser.contexts()[0]?.pages() ?? [];
    await page?.goto(`${site.origin}/`);
    await page?.getByRole("button", { name: "Press" }).click();
    expect(await page?.evaluate("document.title")).toBe("Home");
    expect((await page?.screenshot())?.subarray(1, 4).toString()).toBe("PNG");
    expect(await person.read("browser_snapshot")).toContain("pressed");
    await browser.close();
    expect(await person.read("browser_snapshot")).toContain("pressed");
  });
});

describe("puppeteer", () => {
  test("drives the page that the tools see", async () => {
    await using person = suite.person();
    const browser = await connect({ browserURL: await person.openDoor() });
    const page = await browser.newPage();
    await page.goto(`${site.origin}/`);
    await page.click("button");
    expect(await page.evaluate("document.title")).toBe("Home");
    expect(await person.read("browser_snapshot")).toContain("pressed");
    await browser.disconnect();
  });
});

import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { type BrowserSuite, startBrowserSuite } from "./browser-suite.ts";
import { type HardPages, serveHardPages } from "./hard-pages/site.ts";
import { visitorOf } from "./visitor.ts";

let pages: HardPages;
let suite: BrowserSuite;
beforeAll(async () => {
  pages = await serveHardPages();
  suite = await startBrowserSuite(pages.hosts);
});
afterAll(async () => {
  await suite[Symbol.asyncDispose]();
  await pages[Symbol.asyncDispose]();
});

const NEXT = "We value your privacy";

describe.concurrent("the next page opens after", () => {
  test("redirects without end, which are said to be", async () => {
    await using person = suite.person();
    expect(await person.call("browser_open", { url: `${pages.origin}/loop` })).toEqual({
      ok: false,
      code: "unavailable",
      message: `${pages.hosts[0]} redirects in a circle; try another URL.`,
    });
    expect(await visitorOf(person, pages.origin).open("/banner")).toContain(NEXT);
  });

  test("a page that leads to itself by script without end", async () => {
    await using person = suite.person();
    expect(await person.read("browser_open", { url: `${pages.origin}/loop/script` })).toContain(
      "Note: The page is still loading.",
    );
    expect(await visitorOf(person, pages.origin).open("/banner")).toContain(NEXT);
  });

  test("a page that has eaten all memory, which is said to have crashed", async ({ expect }) => {
    await using person = suite.person();
    const visitor = visitorOf(person, pages.origin);
    await visitor.open("/hungry");
    await person.call("browser_click", { ref: await visitor.refOf('button "Eat"') });
    const crashed = await vi.waitFor(
      async () => {
        const answer = await person.call("browser_snapshot");
        expect(answer).toMatchObject({ ok: false, code: "unavailable" });
        return answer;
      },
      { timeout: 40_000, interval: 500 },
    );
    expect(crashed).toMatchObject({ message: "The page crashed; open it, or another one, with browser_open." });
    expect(await visitorOf(person, pages.origin).open("/banner")).toContain(NEXT);
  });
});

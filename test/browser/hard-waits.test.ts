import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type BrowserSuite, type Person, startBrowserSuite } from "./browser-suite.ts";
import { type HardPages, serveHardPages } from "./hard-pages/site.ts";
import { type Visitor, visitorOf } from "./visitor.ts";

let pages: HardPages;
let suite: BrowserSuite;
let person: Person;
let visitor: Visitor;
beforeAll(async () => {
  pages = await serveHardPages();
  suite = await startBrowserSuite(pages.hosts);
  person = suite.person();
  visitor = visitorOf(person, pages.origin);
});
afterAll(async () => {
  await suite[Symbol.asyncDispose]();
  await pages[Symbol.asyncDispose]();
});

describe("what a click sets off", () => {
  test("is told where it comes 400 ms later, without any request", async () => {
    await visitor.open("/patience");
    expect(await visitor.click('button "Answer later"')).toContain("The answer is 42");
  });

  test("is told where a server answers 400 ms later", async () => {
    await visitor.open("/patience");
    expect(await visitor.click('button "Answer from afar"')).toContain("Hello from afar");
  });

  test("is told where one thing leads to another for a second", async () => {
    await visitor.open("/patience");
    expect(await visitor.click('button "Ask around"')).toContain("At last: Hello from afar");
  });

  test.each([
    ["in a moment", "700"],
    ["when answered", "400"],
  ])("is another page, which comes %s", async (when, member) => {
    await visitor.open("/patience");
    expect(await visitor.click(`button "Leave ${when}"`)).toContain(`This is member ${member}`);
  });

  test.each([
    ["Count", "Counted to 5"],
    ["Work", "Worked"],
    ["Talk", "Heard through the socket"],
  ])("is told where an interval, a worker or a socket says it: %s", async (button, said) => {
    await visitor.open("/echoes");
    expect(await visitor.click(`button "${button}"`)).toContain(said);
  });

  test.each([
    ["Fade", "The sheet is gone"],
    ["Draw", "Drawn"],
    ["Say", "Said"],
    ["Ask below", "Asked below"],
  ])("is waited for where nothing tells that it will come: %s", async (button, said) => {
    await visitor.open("/echoes");
    await visitor.click(`button "${button}"`);
    expect(await person.read("browser_wait", { text: said })).toContain(said);
  });

  test("is waited for where it takes two seconds", async () => {
    await visitor.open("/patience");
    await visitor.click('button "Build a button"');
    expect(await person.read("browser_wait", { text: "Built" })).toContain('button "Built"');
    expect(await visitor.click('button "Built"')).toContain("Pressed the built one");
  });

  test("comes too where a button is disabled for half a second", async () => {
    await visitor.open("/patience");
    expect(await visitor.click('button "Ready soon"')).toContain("Pressed in time");
  });
});

describe("a page that never becomes idle", () => {
  test("is opened, used and pictured all the same", async () => {
    await visitor.open("/restless");
    expect(await visitor.click('button "Add"')).toContain("Count is 1");
    expect(await visitor.click('button "Add"')).toContain("Count is 2");
    expect(await person.read("browser_screenshot")).toContain("1280×800 pixels");
  });

  test("leaves nothing for the next one to wait for", async () => {
    await visitor.open("/restless");
    await person.read("browser_evaluate", {
      script: `void fetch("/patience/never"); void fetch("/restless/ping?slow")`,
    });
    await visitor.open("/banner");
    expect(await person.read("browser_wait", { idle: true, seconds: 5 })).not.toContain("Note:");
  });

  test("is idle as soon as it does no more than it always does", async () => {
    await visitor.open("/restless");
    expect(await person.read("browser_wait", { idle: true, seconds: 10 })).not.toContain("Note:");
  });
});

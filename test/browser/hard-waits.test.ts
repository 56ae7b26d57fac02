import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type HardVisit, startHardVisit } from "./hard-visit.ts";

let visit: HardVisit;
beforeAll(async () => {
  visit = await startHardVisit();
});
afterAll(async () => await visit[Symbol.asyncDispose]());

describe("what a click sets off", () => {
  test("is told where it comes 400 ms later, without any request", async () => {
    await visit.open("/patience");
    expect(await visit.click('button "Answer later"')).toContain("The answer is 42");
  });

  test("is told where a server answers 400 ms later", async () => {
    await visit.open("/patience");
    expect(await visit.click('button "Answer from afar"')).toContain("Hello from afar");
  });

  test("is told where one thing leads to another for a second", async () => {
    await visit.open("/patience");
    expect(await visit.click('button "Ask around"')).toContain("At last: Hello from afar");
  });

  test.each([
    ["in a moment", "700"],
    ["when answered", "400"],
  ])("is another page, which comes %s", async (when, member) => {
    await visit.open("/patience");
    expect(await visit.click(`button "Leave ${when}"`)).toContain(`This is member ${member}`);
  });

  test.each([
    ["Count", "Counted to 5"],
    ["Work", "Worked"],
    ["Talk", "Heard through the socket"],
  ])("is told where an interval, a worker or a socket says it: %s", async (button, said) => {
    await visit.open("/echoes");
    expect(await visit.click(`button "${button}"`)).toContain(said);
  });

  test.each([
    ["Fade", "The sheet is gone"],
    ["Draw", "Drawn"],
    ["Say", "Said"],
    ["Ask below", "Asked below"],
  ])("is waited for where nothing tells that it will come: %s", async (button, said) => {
    await visit.open("/echoes");
    await visit.click(`button "${button}"`);
    expect(await visit.read("browser_wait", { text: said })).toContain(said);
  });

  test("is waited for where it takes two seconds", async () => {
    await visit.open("/patience");
    await visit.click('button "Build a button"');
    expect(await visit.read("browser_wait", { text: "Built" })).toContain('button "Built"');
    expect(await visit.click('button "Built"')).toContain("Pressed the built one");
  });

  test("comes too where a button is disabled for half a second", async () => {
    await visit.open("/patience");
    expect(await visit.click('button "Ready soon"')).toContain("Pressed in time");
  });
});

describe("a page that never becomes idle", () => {
  test("is opened, used and pictured all the same", async () => {
    await visit.open("/restless");
    expect(await visit.click('button "Add"')).toContain("Count is 1");
    expect(await visit.click('button "Add"')).toContain("Count is 2");
    expect(await visit.read("browser_screenshot")).toContain("1280×800 pixels");
  });

  test("leaves nothing for the next one to wait for", async () => {
    await visit.open("/restless");
    await visit.read("browser_evaluate", {
      script: `void fetch("/patience/never"); void fetch("/restless/ping?slow")`,
    });
    await visit.open("/banner");
    expect(await visit.read("browser_wait", { idle: true, seconds: 5 })).not.toContain("Note:");
  });

  test("is idle as soon as it does no more than it always does", async () => {
    await visit.open("/restless");
    expect(await visit.read("browser_wait", { idle: true, seconds: 10 })).not.toContain("Note:");
  });
});

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

describe("a canvas", () => {
  test("is painted on by coordinates", async () => {
    await visitor.open("/canvas");
    await person.read("browser_click", { x: 280, y: 40 });
    await person.read("browser_click", { x: 100, y: 200, action: "drag", to_x: 300, to_y: 300 });
    await expect
      .poll(() => pages.told("canvas"))
      .toMatchObject({ colour: "blue", strokes: [{ colour: "blue", points: expect.any(Array) }] });
    const painted: unknown = pages.told("canvas");
    expect(JSON.stringify(painted)).toMatch(/"points":\[\[100,200\],.*\[300,300\]\]/);
    await person.read("browser_click", { x: 400, y: 400, action: "double" });
    await expect.poll(() => pages.told("canvas")).toMatchObject({ strokes: [] });
  });
});

describe("things to drag", () => {
  test("are put in another order", async () => {
    await visitor.open("/drag");
    const shown = await visitor.see();
    const [apples, , cheese] = [...shown.matchAll(/\[(e\d+)\] (?:Apples|Bread|Cheese)/g)].map(([, ref]) => ref);
    expect(await person.read("browser_click", { ref: cheese, action: "drag", to: apples })).toContain(
      "Order: Cheese, Apples, Bread.",
    );
  });

  test("are put where they are to go", async () => {
    await visitor.open("/drag");
    const shown = await visitor.see();
    const [, ref] = /\[(e\d+)\] Bread/.exec(shown) ?? [];
    const [, to] = /\[(e\d+)\] button "Basket"/.exec(shown) ?? [];
    expect(await person.read("browser_click", { ref, action: "drag", to })).toContain(
      "Order: Apples, Cheese. Basket: Bread",
    );
  });
});

describe("a slider of a page's own", () => {
  test("is dragged to a value, and stepped by keys", async () => {
    await visitor.open("/slider");
    const ref = await visitor.refOf('slider "Volume"');
    expect(await person.read("browser_click", { ref, action: "drag", to_x: 48 + 280, to_y: 50 })).toContain(
      "Volume is 70",
    );
    expect(await person.read("browser_type", { ref, press: "PageUp" })).toContain("Volume is 80");
  });
});

describe("a menu that opens under the pointer", () => {
  test("is gone down to its last entry", async () => {
    await visitor.open("/menu");
    expect(await visitor.click('link "File"', { action: "hover" })).toContain('button "Open"');
    expect(await visitor.click('link "Export"', { action: "hover" })).toContain('button "As PDF"');
    expect(await visitor.click('button "As PDF"')).toContain("Exported as PDF");
  });
});

describe("a button", () => {
  test("out of sight in boxes that scroll is clicked", async () => {
    await visitor.open("/scroll");
    expect(await visitor.click('button "Deep inside"')).toContain("Pressed the hidden one");
    expect(await visitor.click('button "At the very end"')).toContain("Pressed the last one");
  });

  test("that is still arriving is clicked", async () => {
    await visitor.open("/moving");
    expect(await visitor.click('button "Catch me"')).toContain("Caught while arriving");
  });

  test("that runs away when it is clicked is clicked again", async () => {
    await visitor.open("/moving");
    for (const times of [1, 2, 3]) expect(await visitor.click('button "Shy"')).toContain(`Pressed ${times} times`);
  });
});

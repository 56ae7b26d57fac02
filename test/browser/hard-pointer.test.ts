import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type HardVisit, startHardVisit } from "./hard-visit.ts";

let visit: HardVisit;
beforeAll(async () => {
  visit = await startHardVisit();
});
afterAll(async () => await visit[Symbol.asyncDispose]());

describe("a canvas", () => {
  test("is painted on by coordinates", async () => {
    await visit.open("/canvas");
    await visit.read("browser_click", { x: 280, y: 40 });
    await visit.read("browser_click", { x: 100, y: 200, action: "drag", to_x: 300, to_y: 300 });
    await expect
      .poll(() => visit.told("canvas"))
      .toMatchObject({ colour: "blue", strokes: [{ colour: "blue", points: expect.any(Array) }] });
    const painted: unknown = visit.told("canvas");
    expect(JSON.stringify(painted)).toMatch(/"points":\[\[100,200\],.*\[300,300\]\]/);
    await visit.read("browser_click", { x: 400, y: 400, action: "double" });
    await expect.poll(() => visit.told("canvas")).toMatchObject({ strokes: [] });
  });
});

describe("boxes that only a hand shows to be controls", () => {
  test("are clicked as buttons are", async () => {
    await visit.open("/plain");
    expect(await visit.click("Open the card")).toContain("The card is open");
    expect(await visit.click("Second of many")).toContain("Picked the second");
  });

  test("have refs, and no other boxes have", async () => {
    await visit.open("/plain");
    expect((await visit.see()).replace(/e\d+/g, "e").split("\n").slice(3)).toEqual([
      "# Boxes that are controls",
      "[e] Open the card",
      "[e] First of many",
      "[e] Second of many",
      "Just text",
      "More text",
      "- [e] Loose one",
      "Nothing clicked",
    ]);
  });
});

describe("things to drag", () => {
  test("are put in another order", async () => {
    await visit.open("/drag");
    const to = await visit.refOf("Apples");
    expect(await visit.click("Cheese", { action: "drag", to })).toContain("Order: Cheese, Apples, Bread.");
  });

  test("are put where they are to go", async () => {
    await visit.open("/drag");
    const to = await visit.refOf('button "Basket"');
    expect(await visit.click("Bread", { action: "drag", to })).toContain("Order: Apples, Cheese. Basket: Bread");
  });
});

describe("a slider of a page's own", () => {
  test("is dragged to a value, and stepped by keys", async () => {
    await visit.open("/slider");
    const ref = await visit.refOf('slider "Volume"');
    expect(await visit.read("browser_click", { ref, action: "drag", to_x: 48 + 280, to_y: 50 })).toContain(
      "Volume is 70",
    );
    expect(await visit.read("browser_type", { ref, press: "PageUp" })).toContain("Volume is 80");
  });
});

describe("a menu that opens under the pointer", () => {
  test("is gone down to its last entry", async () => {
    await visit.open("/menu");
    expect(await visit.click('link "File"', { action: "hover" })).toContain('button "Open"');
    expect(await visit.click('link "Export"', { action: "hover" })).toContain('button "As PDF"');
    expect(await visit.click('button "As PDF"')).toContain("Exported as PDF");
  });
});

describe("a button", () => {
  test("out of sight in boxes that scroll is clicked", async () => {
    await visit.open("/scroll");
    expect(await visit.click('button "Deep inside"')).toContain("Pressed the hidden one");
    expect(await visit.click('button "At the very end"')).toContain("Pressed the last one");
  });

  test("does not move any more when the key that scrolls to it has been pressed", async () => {
    await visit.open("/scroll");
    const scrolled: string[] = [];
    for (const key of ["End", "Home", "PageDown"]) {
      await visit.read("browser_type", { press: key });
      const first = await visit.read("browser_evaluate", { script: "scrollY" });
      expect(await visit.read("browser_evaluate", { script: "scrollY" })).toBe(first);
      scrolled.push(first);
    }
    expect(new Set(scrolled).size).toBe(3);
  });

  test("far down the page is clicked by its place on a picture of the whole page", async () => {
    await visit.open("/scroll");
    const place = await visit.read("browser_evaluate", {
      ref: await visit.refOf('button "At the very end"'),
      script: "(button) => { const { x, y } = button.getBoundingClientRect(); return [x + scrollX, y + scrollY]; }",
    });
    const [x = 0, y = 0] = [...place.matchAll(/\d+(?:\.\d+)?/g)].map(Number);
    await visit.read("browser_screenshot", { full_page: true });
    expect(await visit.read("browser_click", { x: x + 5, y: y + 5 })).toContain("Pressed the last one");
  });

  test("that is still arriving is clicked", async () => {
    await visit.open("/moving");
    expect(await visit.click('button "Catch me"')).toContain("Caught while arriving");
  });

  test("that runs away when it is clicked is clicked again", async () => {
    await visit.open("/moving");
    for (const times of [1, 2, 3]) expect(await visit.click('button "Shy"')).toContain(`Pressed ${times} times`);
  });
});

import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type BrowserSuite, type Person, startBrowserSuite } from "./browser-suite.ts";
import { type Site, serveSite } from "./pages.ts";

const ROWS = Array.from({ length: 5_000 }, (_, n) => `<tr><td>${n}<td>name ${n}<td><a href="/row/${n}">open</a>`);
const LEAVE = `<button onclick="(window.kept = document.querySelector('#go')).remove()">Remove</button>`;

let site: Site;
let suite: BrowserSuite;
let person: Person;
beforeAll(async () => {
  site = await serveSite("127.0.0.1", {
    "/order": `<main><h1>All</h1><form aria-label="Order"><p>Two teas</p><button>Buy</button></form><p>End</p></main>`,
    "/frame": `<p>Outer</p><iframe title="inner" srcdoc="<nav><p>Menu</p></nav><p>Inner</p>"></iframe>`,
    "/many": `<nav>Menu</nav><table aria-label="Many">${ROWS.join("")}</table><p>Bottom</p>`,
    "/small": `<button id="go">Go</button>${LEAVE}<p>Stay</p>`,
    "/large": `<button id="go">Go</button>${LEAVE}<p>Stay</p><table>${ROWS.join("")}</table>`,
  });
  suite = await startBrowserSuite([site.host]);
  person = suite.person();
});
afterAll(async () => {
  await suite[Symbol.asyncDispose]();
  await site[Symbol.asyncDispose]();
});

async function show(path: string): Promise<string> {
  return await person.read("browser_open", { url: `${site.origin}${path}` });
}

/** The ref that a snapshot shows before those words. */
function refOf(text: string, words: string): string {
  return /\[([^\]]+)\] $/.exec(text.slice(0, text.indexOf(words)))?.[1] ?? "";
}

async function part(ref: string, maxChars = 2_000): Promise<string> {
  const text = await person.read("browser_snapshot", { ref, max_chars: maxChars });
  return (text.split("untrusted data:\n")[1] ?? "").replace(/e\d+\]/g, "e]");
}

describe("a part of the page", () => {
  test("is the element and what is in it", async () => {
    const page = await show("/order");
    expect(await part(refOf(page, 'form "Order"'))).toBe('[e] form "Order"\n Two teas\n [e] button "Buy"');
    expect(await part(refOf(page, 'button "Buy"'))).toBe('[e] button "Buy"');
  });

  test("may be in a frame, or be one", async () => {
    const page = await show("/frame");
    const inFrame = refOf(page, "navigation");
    expect(inFrame).toMatch(/^f1e\d+$/);
    expect(await part(inFrame)).toBe("[f1e] navigation\n Menu");
    expect(await part(refOf(page, 'frame "inner"'))).toMatch(
      /^\[e\] frame "inner" .*\n \[f1e\] navigation\n {2}Menu\n Inner$/,
    );
  });

  test("of a page too large to be read at once is read from its own top", async () => {
    const page = await show("/many");
    expect(await part(refOf(page, 'table "Many"'), 500)).toMatch(
      /^\[e\] table "Many"\n 0 \| name 0 \| \[e\] link "open" \/row\/0\n 1 \| name 1 \|/,
    );
    const found = await person.read("browser_snapshot", { find: "name 4321" });
    expect(await part(refOf(found, 'link "open" /row/4321'))).toBe('[e] link "open" /row/4321');
  });

  test.each(["/small", "/large"])("that is gone from %s is said to be", async (path) => {
    const page = await show(path);
    const ref = refOf(page, 'button "Go"');
    await person.read("browser_click", { ref: refOf(page, 'button "Remove"') });
    expect(await person.call("browser_snapshot", { ref })).toEqual({
      ok: false,
      code: "not_found",
      message: `${ref} is not on the page any more; call browser_snapshot for fresh refs.`,
    });
    for (const other of ["e99999999", "f7e1"])
      expect(await person.call("browser_snapshot", { ref: other })).toMatchObject({ ok: false, code: "not_found" });
  });
});

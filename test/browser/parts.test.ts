import type { Page } from "@cloudflare/puppeteer";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { readAccessibility, readPart } from "../../servers/browser/accessibility.ts";
import { FrameNumbers } from "../../servers/browser/frame-numbers.ts";
import { handleOf } from "../../servers/browser/puppeteer-internals.ts";
import { formatRef, parseRef } from "../../servers/browser/ref.ts";
import { renderPage, renderPart } from "../../servers/browser/snapshot.ts";
import { ToolError } from "../../servers/shared/errors.ts";
import { type DrivenChrome, driveChrome } from "./driven-chrome.ts";

const MAX_CHARS = 2_000;
const ROWS = Array.from(
  { length: 5_000 },
  (_, n) => `<tr><td>${n}<td>name ${n}<td><a href="https://shop.example/${n}">open</a>`,
);

let chrome: DrivenChrome;
beforeAll(async () => {
  chrome = await driveChrome();
});
afterAll(async () => await chrome[Symbol.asyncDispose]());

interface Shown {
  readonly page: Page;
  readonly frames: FrameNumbers;
  readonly text: string;
  /** The ref that a snapshot shows before those words. */
  readonly refOf: (words: string) => string;
}

async function show(html: string): Promise<Shown> {
  const page = await chrome.newPage();
  await page.setContent(html, { waitUntil: "load" });
  const frames = new FrameNumbers();
  const { text } = renderPage(await readAccessibility(page, (id) => frames.numberOf(id), MAX_CHARS), MAX_CHARS);
  const refOf = (words: string): string => /\[([^\]]+)\] $/.exec(text.slice(0, text.indexOf(words)))?.[1] ?? "";
  return { page, frames, text, refOf };
}

async function refTo(page: Page, selector: string): Promise<string> {
  const { session } = handleOf(page.mainFrame());
  const { root } = await session.send("DOM.getDocument", { depth: 0 });
  const { nodeId } = await session.send("DOM.querySelector", { nodeId: root.nodeId, selector });
  const { node } = await session.send("DOM.describeNode", { nodeId });
  return formatRef({ frameNumber: 0, backendNodeId: node.backendNodeId });
}

async function part({ page, frames }: Shown, ref: string, maxChars = MAX_CHARS): Promise<string> {
  const element = parseRef(ref);
  return renderPart(await readPart(page, frames, element, maxChars), element, maxChars).text;
}

function plain(text: string): string {
  return text.replace(/e\d+\]/g, "e]");
}

describe("a part of the page", () => {
  test("is the element and what is in it", async () => {
    const shown = await show(
      `<main><h1>All</h1><form aria-label="Order"><p>Two teas</p><button>Buy</button></form><p>End</p></main>`,
    );
    expect(plain(await part(shown, shown.refOf('form "Order"')))).toBe(
      '[e] form "Order"\n Two teas\n [e] button "Buy"',
    );
    expect(plain(await part(shown, shown.refOf('button "Buy"')))).toBe('[e] button "Buy"');
  });

  test("may be in a frame, or be one", async () => {
    const shown = await show(`<p>Outer</p><iframe title="inner" srcdoc="<nav><p>Menu</p></nav><p>Inner</p>"></iframe>`);
    const inFrame = shown.refOf("navigation");
    expect(inFrame).toMatch(/^f1e\d+$/);
    expect(plain(await part(shown, inFrame))).toBe("[f1e] navigation\n Menu");
    expect(plain(await part(shown, shown.refOf('frame "inner"')))).toMatch(
      /^\[e\] frame "inner" .*\n \[f1e\] navigation\n {2}Menu\n Inner$/,
    );
  });

  test("of a page too large to be read at once is read from its own top", async () => {
    const shown = await show(`<nav>Menu</nav><table aria-label="Many">${ROWS.join("")}</table><p>Bottom</p>`);
    const table = plain(await part(shown, shown.refOf('table "Many"'), 300));
    expect(table).toMatch(
      /^\[e\] table "Many"\n 0 \| name 0 \| \[e\] link "open" https:\/\/shop\.example\/0\n 1 \| name 1 \|/,
    );
    const row = await refTo(shown.page, "tr:nth-child(4322)");
    expect(plain(await part(shown, row))).toBe('4321 | name 4321 | [e] link "open" https://shop.example/4321');
  });

  test.each(["", `<table>${ROWS.join("")}</table>`])(
    "that is gone is said to be, on small pages and large ones",
    async (more) => {
      const shown = await show(`<button>Go</button><p>Stay</p>${more}`);
      const ref = shown.refOf('button "Go"');
      await shown.page.evaluate("(window.kept = document.querySelector('button')).remove()");
      await expect(part(shown, ref)).rejects.toThrow(
        new ToolError("not_found", `${ref} is not on the page any more; call browser_snapshot for fresh refs.`),
      );
      await expect(part(shown, "e99999999")).rejects.toMatchObject({ code: "not_found" });
      await expect(part(shown, "f7e1")).rejects.toMatchObject({ code: "not_found" });
    },
  );
});

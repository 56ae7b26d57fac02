import type { Page } from "@cloudflare/puppeteer";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { findOnPage } from "../../servers/browser/snapshot/find-on-page.ts";
import { RefBook } from "../../servers/browser/snapshot/ref-book.ts";
import { type DrivenChrome, driveChrome } from "./driven-chrome.ts";

let chrome: DrivenChrome;
let shop: Page;
let table: Page;
beforeAll(async () => {
  chrome = await driveChrome();
  shop = await chrome.newPage();
  await shop.setContent(
    `<nav aria-label="Top"><a href="https://shop.example/cart">Cart</a></nav>
    <main><h1>Teas</h1><p>We have <b>green</b>
      tea.</p><ul><li>Green <button>Buy</button><li>Black <button disabled>Sold out</button></ul>
      <h2>Delivery</h2><form aria-label="Order"><label>Town <input value="Oslo"></label><button>Buy now</button></form></main>
    <div id="a"></div><iframe title="pay" srcdoc="<h3>Card</h3><button>Pay</button>"></iframe>
    <script>a.attachShadow({ mode: "closed" }).innerHTML = "<button>Secret door</button>"</script>`,
    { waitUntil: "load" },
  );
  table = await chrome.newPage();
  const rows = Array.from({ length: 5_000 }, (_, n) => {
    const input = n === 4_000 ? `<input aria-label="Remark" value="urgent">` : "";
    return `<tr><td>${n}<td>name <i>no ${n}</i>${input}<td><a href="https://shop.example/row/${n}">open ${n}</a>`;
  });
  await table.setContent(
    `<h1>Orders</h1><table>${rows.join("")}</table><h2>Legal</h2><p>Terms <b>and</b> conditions <button>Accept</button></p>
    <div hidden>name no 4321</div><div id="b"></div><iframe title="help" srcdoc="<p>Ask us about order 4321</p>"></iframe>
    <script>b.attachShadow({ mode: "open" }).innerHTML = "<p>In the shadow</p>"; var unused = "name no 4321"</script>`,
    { waitUntil: "load" },
  );
});
afterAll(async () => await chrome[Symbol.asyncDispose]());

async function find(page: Page, what: string): Promise<string> {
  const { text, notes } = await findOnPage(page, new RefBook(), what);
  return [...notes.map((note) => `Note: ${note}`), text.replace(/e\d+\]/g, "e]")].join("\n");
}

describe("on a page", () => {
  test.each([
    ["a text, whatever its case and white space", "we have  GREEN tea", "# Teas\n We have green tea."],
    ["a control by its name", "sold out", '# Teas\n - Black [e] button "Sold out" disabled'],
    [
      "a control by its role and name",
      "button buy now",
      '[e] form "Order"\n Town [e] textbox "Town" = "Oslo" [e] button "Buy now"',
    ],
    ["a value", "oslo", '[e] form "Order"\n Town [e] textbox "Town" = "Oslo" [e] button "Buy now"'],
    ["a heading", 'heading "Delivery"', "# Teas\n ## Delivery"],
    ["what is in a region", "cart", '[e] navigation "Top"\n [e] link "Cart" https://shop.example/cart'],
    ["what is in a closed shadow tree", "secret door", '## Delivery\n [e] button "Secret door"'],
    ["what is in a frame", 'button "Pay"', '### Card\n [f1e] button "Pay"'],
  ])("%s is found", async (_, what, expected) => {
    expect(await find(shop, what)).toBe(expected);
  });

  test("all that has a role is found, each under its heading", async () => {
    expect(await find(shop, "button")).toBe(
      [
        "# Teas",
        ' - Green [e] button "Buy"',
        ' - Black [e] button "Sold out" disabled',
        '[e] form "Order"',
        ' Town [e] textbox "Town" = "Oslo" [e] button "Buy now"',
        "## Delivery",
        ' [e] button "Secret door"',
        "### Card",
        ' [f1e] button "Pay"',
      ].join("\n"),
    );
  });

  test("lines that have the words in another order are found where none has the phrase", async () => {
    expect(await find(shop, "tea green")).toBe(
      "Note: No line has just that; these have all its words.\n# Teas\n We have green tea.",
    );
  });

  test("what is not there is said not to be", async () => {
    expect(await find(shop, "coffee")).toBe("Note: Nothing on the page has that; try fewer words.\n");
    await expect(find(shop, "  ")).rejects.toMatchObject({ code: "invalid_input" });
  });
});

const LARGE = "Note: The page is large; it may have more such lines.";

describe("on a page with 5,000 rows", () => {
  test.each([
    [
      "a link in a row deep below",
      "link open 4321",
      '# Orders\n 4321 | name no 4321 | [e] link "open 4321" https://shop.example/row/4321',
    ],
    [
      "a text across elements",
      "name no 4321",
      '# Orders\n 4321 | name no 4321 | [e] link "open 4321" https://shop.example/row/4321',
    ],
    [
      "a control by its label",
      "remark",
      '# Orders\n 4000 | name no 4000 [e] textbox "Remark" = "urgent" | [e] link "open 4000" https://shop.example/row/4000',
    ],
    ["the one button", "button", '## Legal\n [e] button "Accept"'],
    ["a heading", "legal", "## Legal"],
    ["what is in an open shadow tree", "in the shadow", "## Legal\n In the shadow"],
    ["what is in a frame", "us about order", " Ask us about order 4321"],
  ])("%s is found", async (_, what, expected) => {
    expect(await find(table, what)).toContain(`${LARGE}\n`);
    expect(await find(table, what)).toContain(expected);
  });

  test("the first twenty lines are shown", async () => {
    const found = await find(table, "link");
    expect(found.split("\n").filter((line) => line.includes("link"))).toHaveLength(20);
    expect(found).toMatch(/\n {1}0 \| name no 0 \| \[e\] link "open 0"/);
    expect(found.length).toBeLessThan(2_500);
  });

  test("words are found where no line has the phrase", async () => {
    expect(await find(table, "4321 open")).toContain('4321 | name no 4321 | [e] link "open 4321"');
  });

  test("what is not there, or not to be seen, is not found", async () => {
    expect(await find(table, "unused")).toBe("Note: Nothing on the page has that; try fewer words.\n");
    expect((await find(table, "name no 4321")).match(/name no 4321/g)).toHaveLength(1);
  });
});

test("a page too large to be searched says so", async () => {
  const page = await chrome.newPage();
  await page.setContent("<p>start</p>");
  await page.evaluate("document.body.innerHTML += '<br>'.repeat(260_000)");
  await expect(find(page, "start")).rejects.toMatchObject({ code: "too_large" });
});

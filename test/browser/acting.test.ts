import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type BrowserSuite, type Person, startBrowserSuite } from "./browser-suite.ts";
import { type Site, serveSite } from "./pages.ts";
import { refOf } from "./visitor.ts";

let site: Site;
let suite: BrowserSuite;
let person: Person;
beforeAll(async () => {
  site = await serveSite("127.0.0.1", {
    "/": `<title>Home</title><button onclick="said.textContent = 'pressed'">Press</button><p id="said"></p>
      <a href="/other" target="_blank">Another tab</a>`,
    "/other": `<title>Other</title><button onclick="document.title = 'wrong'">Elsewhere</button>`,
    "/asks": `<title>Asks</title><form onsubmit="said.textContent = 'sent ' + this.code.value; return false">
      <label>Code <input name="code"></label></form><p id="said">not sent</p><script>
      document.querySelector("input").onkeydown = ({ key }) => { if (key === "2") confirm("Send?"); }</script>`,
    "/later": `<title>Later</title><p>in a moment</p><a id="a" href="/file">get</a>
      <script>setTimeout(() => a.click(), 1500)</script>`,
    "/file": (_request, response) =>
      response.writeHead(200, { "Content-Disposition": "attachment; filename=late.txt" }).end("late"),
    "/moved": (_request, response) => response.writeHead(302, { Location: "http://127.0.0.1:1/" }).end(),
  });
  suite = await startBrowserSuite([site.host]);
  person = suite.person();
});
afterAll(async () => {
  await suite[Symbol.asyncDispose]();
  await site[Symbol.asyncDispose]();
});

describe("a ref", () => {
  test("holds over an eviction", async () => {
    const page = await person.read("browser_open", { url: `${site.origin}/` });
    await person.evict();
    expect(await person.read("browser_click", { ref: refOf(page, 'button "Press"') })).toContain("+ pressed");
  });

  test("of one tab names nothing in another", async () => {
    const page = await person.read("browser_open", { url: `${site.origin}/` });
    await person.read("browser_click", { ref: refOf(page, 'link "Another tab"') });
    const other = await person.read("browser_open", { tab: "2" });
    await person.read("browser_open", { tab: "1" });
    for (let look = 0; look < 3; look += 1) await person.read("browser_snapshot");
    expect(await person.call("browser_click", { ref: refOf(other, 'button "Elsewhere"') })).toMatchObject({
      ok: false,
      code: "not_found",
    });
    await person.read("browser_close", { tab: 2 });
  });

  test("that was never shown names nothing", async () => {
    await person.read("browser_open", { url: `${site.origin}/` });
    expect(await person.call("browser_click", { ref: "e99999" })).toMatchObject({ ok: false, code: "not_found" });
  });
});

test("what was still to be typed when the page asked is not typed, whatever the answer", async () => {
  const page = await person.read("browser_open", { url: `${site.origin}/asks` });
  const typed = await person.read("browser_type", {
    ref: refOf(page, 'textbox "Code"'),
    text: "1234",
    press: "Enter",
  });
  expect(typed).toContain('confirm: "Send?"');
  await person.read("browser_dialog", { accept: false });
  const after = await person.read("browser_snapshot");
  expect(after).toContain("not sent");
  expect(after).toContain('textbox "Code" = "12"');
});

test("a page that is refused while a download comes is not taken for the file", async () => {
  await person.read("browser_open", { url: `${site.origin}/later` });
  await expect.poll(() => site.asked).toContain("/file");
  expect(await person.call("browser_open", { url: `${site.origin}/moved` })).toMatchObject({
    ok: false,
    code: "forbidden",
  });
});

test("a long value of a script is cut", async () => {
  await person.read("browser_open", { url: `${site.origin}/` });
  const text = await person.read("browser_evaluate", { script: `"x".repeat(1_000_000)` });
  expect(text.length).toBeLessThan(20_000);
  expect(text).toContain("characters left out");
});

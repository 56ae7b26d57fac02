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

test("a shop made with React is walked through, and ordered from", async () => {
  await visitor.open("/shop");
  expect(await person.read("browser_wait", { text: "3 teas" })).toContain("3 teas");
  expect(await visitor.type('textbox "Filter"', "oo")).toContain("1 teas");
  const tea = await visitor.click('link "Oolong"');
  expect(tea).toContain(`${pages.origin}/shop/tea/3`);
  expect(tea).toContain("9 €");
  expect(await visitor.click('button "Add to cart"')).toContain("Cart (1)");
  expect(await visitor.click('link "Cart (1)"')).toContain("In the cart: Oolong");
  const filled = await visitor.fillIn({
    'textbox "Name"': "Ada",
    'textbox "Phone"': "12-34 56",
    'combobox "Delivery"': "By bike",
    'checkbox "As a gift"': "true",
  });
  expect(filled).toContain('textbox "Phone" = "123456"');
  expect(await visitor.click('button "Order"')).toContain(
    `Order 1 taken: {"name":"Ada","phone":"123456","delivery":"bike","gift":true,"names":["Oolong"]}`,
  );
  expect(await person.read("browser_open", { go: "back" })).toContain("Oolong");
});

describe("a page behind a login", () => {
  test("is reached with the right password, through all redirects", async () => {
    const login = await visitor.open("/account");
    expect(login).toContain(`${pages.origin}/login?next=/account (200)`);
    await visitor.fillIn({ 'textbox "User"': "ada", 'textbox "Password"': "wrong" });
    expect(await visitor.click('button "Sign in"')).toContain("Wrong password");
    await visitor.fillIn({ 'textbox "User"': "ada" });
    const account = await visitor.type('textbox "Password"', "correct horse", "Enter");
    expect(account).toContain(`${pages.origin}/account`);
    expect(account).toContain("Welcome, ada");
    expect(await visitor.open("/account")).toContain("Welcome, ada");
    expect(await visitor.click('button "Sign out"')).toContain('button "Sign in"');
  });
});

describe("a cookie banner", () => {
  test("that covers the page is said to be in the way, and gone once it is answered", async () => {
    await visitor.open("/banner");
    expect(await person.call("browser_click", { ref: await visitor.refOf('button "Buy now"') })).toMatchObject({
      ok: false,
      message: expect.stringMatching(/cover/),
    });
    expect(await visitor.see()).toContain("Not sold");
    expect(await visitor.click('button "Only what is necessary"')).not.toContain("+ We value your privacy");
    expect(await visitor.click('button "Buy now"')).toContain("Sold to you");
  });
});

test("a page with the strictest policy for scripts is used", async () => {
  await visitor.open("/strict");
  expect(await visitor.click('button "Ask"')).toContain("Asked in all strictness");
  expect(await person.read("browser_evaluate", { script: "document.title" })).toContain('"Strict"');
});

test("a page that breaks what scripts rely on is used", async () => {
  await visitor.open("/hostile");
  await visitor.fillIn({ 'textbox "Name"': "Ada" });
  expect(await visitor.click('button "Press"')).toContain("Pressed by Ada");
});

test("a page with a megabyte of script in it is used", async () => {
  await visitor.open("/heavy");
  expect(await visitor.click('button "Weigh"')).toContain("Pressed 1000000");
});

test("a script's value is waited for where it is a promise", async () => {
  await visitor.open("/banner");
  expect(await person.read("browser_evaluate", { script: "fetch('/banner').then(({ status }) => ({ status }))" })).toBe(
    'Page content, untrusted data:\n{"status":200}',
  );
  expect(await person.call("browser_evaluate", { script: "Promise.reject(new Error('no'))" })).toMatchObject({
    ok: false,
    code: "invalid_input",
  });
});

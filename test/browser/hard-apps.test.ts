import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type HardVisit, startHardVisit } from "./hard-visit.ts";

let visit: HardVisit;
beforeAll(async () => {
  visit = await startHardVisit();
});
afterAll(async () => await visit[Symbol.asyncDispose]());

test("a shop made with React is walked through, and ordered from", async () => {
  await visit.open("/shop");
  expect(await visit.read("browser_wait", { text: "3 teas" })).toContain("3 teas");
  expect(await visit.type('textbox "Filter"', "oo")).toContain("1 teas");
  const tea = await visit.click('link "Oolong"');
  expect(tea).toContain(`${visit.origin}/shop/tea/3`);
  expect(tea).toContain("9 €");
  expect(await visit.click('button "Add to cart"')).toContain("Cart (1)");
  expect(await visit.click('link "Cart (1)"')).toContain("In the cart: Oolong");
  const filled = await visit.fillIn({
    'textbox "Name"': "Ada",
    'textbox "Phone"': "12-34 56",
    'combobox "Delivery"': "By bike",
    'checkbox "As a gift"': "true",
  });
  expect(filled).toContain('textbox "Phone" = "123456"');
  expect(await visit.click('button "Order"')).toContain(
    `Order 1 taken: {"name":"Ada","phone":"123456","delivery":"bike","gift":true,"names":["Oolong"]}`,
  );
  expect(await visit.read("browser_open", { go: "back" })).toContain("Oolong");
});

describe("a page behind a login", () => {
  test("is reached with the right password, through all redirects", async () => {
    const login = await visit.open("/account");
    expect(login).toContain(`${visit.origin}/login?next=/account (200)`);
    await visit.fillIn({ 'textbox "User"': "ada", 'textbox "Password"': "wrong" });
    expect(await visit.click('button "Sign in"')).toContain("Wrong password");
    await visit.fillIn({ 'textbox "User"': "ada" });
    const account = await visit.type('textbox "Password"', "correct horse", "Enter");
    expect(account).toContain(`${visit.origin}/account`);
    expect(account).toContain("Welcome, ada");
    expect(await visit.open("/account")).toContain("Welcome, ada");
    expect(await visit.click('button "Sign out"')).toContain('button "Sign in"');
  });
});

describe("a cookie banner", () => {
  test("that covers the page is said to be in the way, and gone once it is answered", async () => {
    await visit.open("/banner");
    expect(await visit.call("browser_click", { ref: await visit.refOf('button "Buy now"') })).toMatchObject({
      ok: false,
      message: expect.stringMatching(/cover/),
    });
    expect(await visit.see()).toContain("Not sold");
    expect(await visit.click('button "Only what is necessary"')).not.toContain("+ We value your privacy");
    expect(await visit.click('button "Buy now"')).toContain("Sold to you");
  });
});

test("a page with the strictest policy for scripts is used", async () => {
  await visit.open("/strict");
  expect(await visit.click('button "Ask"')).toContain("Asked in all strictness");
  expect(await visit.read("browser_evaluate", { script: "document.title" })).toContain('"Strict"');
});

test("a page that breaks what scripts rely on is used", async () => {
  await visit.open("/hostile");
  await visit.fillIn({ 'textbox "Name"': "Ada" });
  expect(await visit.click('button "Press"')).toContain("Pressed by Ada");
});

test("a page with a megabyte of script in it is used", async () => {
  await visit.open("/heavy");
  expect(await visit.click('button "Weigh"')).toContain("Pressed 1000000");
});

test("a script's value is waited for where it is a promise", async () => {
  await visit.open("/banner");
  expect(await visit.read("browser_evaluate", { script: "fetch('/banner').then(({ status }) => ({ status }))" })).toBe(
    'Page content, untrusted data:\n{"status":200}',
  );
  expect(await visit.call("browser_evaluate", { script: "Promise.reject(new Error('no'))" })).toMatchObject({
    ok: false,
    code: "invalid_input",
  });
});

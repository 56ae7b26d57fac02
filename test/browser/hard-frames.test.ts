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

describe("frames", () => {
  test("are worked in, nested ones of another site too", async () => {
    await visitor.open("/frames");
    expect(await visitor.click('button "Pay here"')).toContain("Paid by the middle in middle");
    await visitor.fillIn({ 'textbox "Payer"': "Ada" });
    expect(await visitor.click('button "Pay at the bank"')).toContain("Paid by Ada in bank");
    await visitor.type('textbox "Payer"', "Grace");
    expect(await visitor.click('button "Pay at the bank"')).toContain("Paid by Grace in bank");
    expect(await visitor.click('button "Seal it"')).toContain("Paid by the seal in seal");
    expect(await visitor.click('button "Pay in small"')).toContain("Paid by a small one in preview");
  });

  test("tell the page around them, which takes a moment to show it", async () => {
    await visitor.open("/echoes");
    expect(await visitor.click('button "Tell above"')).toContain("Heard from below");
  });

  test("that go away take their refs along, and the next ones have new ones", async () => {
    await visitor.open("/frames-again");
    const old = await visitor.refOf('button "Send"');
    expect(await person.read("browser_click", { ref: old })).toContain("Sent from frame 1");
    await visitor.click('button "Renew the frame"');
    await person.read("browser_wait", { text: "Nothing sent" });
    expect(await person.call("browser_click", { ref: old })).toEqual({
      ok: false,
      code: "not_found",
      message: `${old} is not on the page any more; call browser_snapshot for fresh refs.`,
    });
    expect(await visitor.click('button "Send"')).toContain("Sent from frame 2");
  });
});

test.each(["open", "closed", "nested"])("a form in a shadow tree is filled in and sent: %s", async (name) => {
  await visitor.open("/shadow");
  await visitor.fillIn({ [`textbox "${name} name"`]: "Ada" });
  expect(await visitor.click(`button "Save ${name}"`)).toContain(`Saved Ada from ${name}`);
});

describe("a new tab", () => {
  test("that a link opens is worked in, and the first one is there still", async () => {
    await using person = suite.person();
    const visitor = visitorOf(person, pages.origin);
    await visitor.open("/popups");
    expect(await visitor.click('link "Terms in a new tab"')).toContain("Note: A pop-up opened as tab 2;");
    await person.read("browser_open", { tab: "2" });
    expect(await visitor.click('button "Agree"')).toContain("You agreed");
    expect(await person.read("browser_open", { tab: "1" })).toContain("Nothing picked");
  });

  test("that a script opens is one too", async () => {
    await using person = suite.person();
    const visitor = visitorOf(person, pages.origin);
    await visitor.open("/popups");
    await visitor.click('button "Terms in a window"');
    await person.read("browser_open", { tab: "2" });
    expect(await visitor.click('button "Agree"')).toContain("You agreed");
  });

  test("that closes itself has told its opener what was picked", async () => {
    await using person = suite.person();
    const visitor = visitorOf(person, pages.origin);
    await visitor.open("/popups");
    await visitor.click('button "Pick a colour"');
    await person.read("browser_open", { tab: "2" });
    const picked = await visitor.click('button "Green"');
    expect(picked).toContain(`${pages.origin}/popups\nNote: The tab has closed; this is another one.`);
    expect(picked).toContain("Picked green");
    expect(await visitor.see()).toContain("Picked green");
  });
});

describe("a dialog", () => {
  test("is shown, and its answer counts", async () => {
    await visitor.open("/dialogs");
    expect(await visitor.click('button "Delete everything"')).toContain("Delete everything?");
    expect(await person.read("browser_dialog", { accept: false })).toContain("All is kept");
    await visitor.click('button "Delete everything"');
    expect(await person.read("browser_dialog", { accept: true })).toContain("All is deleted");
  });

  test("that asks for a text is given one", async () => {
    await visitor.open("/dialogs");
    expect(await visitor.click('button "Rename"')).toContain("What is the new name?");
    expect(await person.read("browser_dialog", { accept: true, text: "Grace" })).toContain("The name is Grace");
    await visitor.click('button "Rename"');
    expect(await person.read("browser_dialog", { accept: false })).toContain("The name stays");
  });

  test("that follows another is shown in its turn", async () => {
    await visitor.open("/dialogs");
    expect(await visitor.click('button "Ask three times"')).toContain("Are you sure?");
    expect(await person.read("browser_dialog", { accept: true })).toContain("Why?");
    const end = await person.read("browser_dialog", { accept: true, text: "a test" });
    expect(end).toContain('alert: "Thank you"');
    expect(end).toContain("Sure: true, because: a test");
  });

  test("that only tells something is closed, and told, in a storm too", async () => {
    await visitor.open("/dialogs");
    const storm = await visitor.click('button "Storm"');
    for (const number of [1, 2, 3, 4, 5]) expect(storm).toContain(`alert: "Warning ${number}"`);
    expect(storm).toContain("The storm is over");
  });

  test("that comes a moment after the click is shown and answered", async () => {
    await visitor.open("/dialogs");
    expect(await visitor.click('button "Warn me later"')).toContain("Late question?");
    expect(await person.read("browser_dialog", { accept: true })).toContain("Late yes");
  });
});

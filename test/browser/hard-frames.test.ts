import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type HardVisit, startHardVisit } from "./hard-visit.ts";

let visit: HardVisit;
beforeAll(async () => {
  visit = await startHardVisit();
});
afterAll(async () => await visit[Symbol.asyncDispose]());

describe("frames", () => {
  test("are worked in, nested ones of another site too", async () => {
    await visit.open("/frames");
    expect(await visit.click('button "Pay here"')).toContain("Paid by the middle in middle");
    await visit.fillIn({ 'textbox "Payer"': "Ada" });
    expect(await visit.click('button "Pay at the bank"')).toContain("Paid by Ada in bank");
    await visit.type('textbox "Payer"', "Grace");
    expect(await visit.click('button "Pay at the bank"')).toContain("Paid by Grace in bank");
    expect(await visit.click('button "Seal it"')).toContain("Paid by the seal in seal");
    expect(await visit.click('button "Pay in small"')).toContain("Paid by a small one in preview");
  });

  test("tell the page around them, which takes a moment to show it", async () => {
    await visit.open("/echoes");
    expect(await visit.click('button "Tell above"')).toContain("Heard from below");
  });

  test("that go away take their refs along, and the next ones have new ones", async () => {
    await visit.open("/frames-again");
    const old = await visit.refOf('button "Send"');
    expect(await visit.read("browser_click", { ref: old })).toContain("Sent from frame 1");
    await visit.click('button "Renew the frame"');
    await visit.read("browser_wait", { text: "Nothing sent" });
    expect(await visit.call("browser_click", { ref: old })).toEqual({
      ok: false,
      code: "not_found",
      message: `${old} is not on the page any more; call browser_snapshot for fresh refs.`,
    });
    expect(await visit.click('button "Send"')).toContain("Sent from frame 2");
  });
});

test.each(["open", "closed", "nested"])("a form in a shadow tree is filled in and sent: %s", async (name) => {
  await visit.open("/shadow");
  await visit.fillIn({ [`textbox "${name} name"`]: "Ada" });
  expect(await visit.click(`button "Save ${name}"`)).toContain(`Saved Ada from ${name}`);
});

describe("a new tab", () => {
  test("that a link opens is worked in, and the first one is there still", async () => {
    await using other = visit.another();
    await other.open("/popups");
    expect(await other.click('link "Terms in a new tab"')).toContain("Note: A pop-up opened as tab 2;");
    await other.read("browser_open", { tab: "2" });
    expect(await other.click('button "Agree"')).toContain("You agreed");
    expect(await other.read("browser_open", { tab: "1" })).toContain("Nothing picked");
  });

  test("that a script opens is one too", async () => {
    await using other = visit.another();
    await other.open("/popups");
    await other.click('button "Terms in a window"');
    await other.read("browser_open", { tab: "2" });
    expect(await other.click('button "Agree"')).toContain("You agreed");
  });

  test("that closes itself has told its opener what was picked", async () => {
    await using other = visit.another();
    await other.open("/popups");
    await other.click('button "Pick a colour"');
    await other.read("browser_open", { tab: "2" });
    const picked = await other.click('button "Green"');
    expect(picked).toContain(`${visit.origin}/popups\nNote: The tab has closed; this is another one.`);
    expect(picked).toContain("Picked green");
    expect(await other.see()).toContain("Picked green");
  });
});

describe("a dialog", () => {
  test("is shown, and its answer counts", async () => {
    await visit.open("/dialogs");
    expect(await visit.click('button "Delete everything"')).toContain("Delete everything?");
    expect(await visit.read("browser_dialog", { accept: false })).toContain("All is kept");
    await visit.click('button "Delete everything"');
    expect(await visit.read("browser_dialog", { accept: true })).toContain("All is deleted");
  });

  test("that asks for a text is given one", async () => {
    await visit.open("/dialogs");
    expect(await visit.click('button "Rename"')).toContain("What is the new name?");
    expect(await visit.read("browser_dialog", { accept: true, text: "Grace" })).toContain("The name is Grace");
    await visit.click('button "Rename"');
    expect(await visit.read("browser_dialog", { accept: false })).toContain("The name stays");
  });

  test("that follows another is shown in its turn", async () => {
    await visit.open("/dialogs");
    expect(await visit.click('button "Ask three times"')).toContain("Are you sure?");
    expect(await visit.read("browser_dialog", { accept: true })).toContain("Why?");
    const end = await visit.read("browser_dialog", { accept: true, text: "a test" });
    expect(end).toContain('alert: "Thank you"');
    expect(end).toContain("Sure: true, because: a test");
  });

  test("that only tells something is closed, and told, in a storm too", async () => {
    await visit.open("/dialogs");
    const storm = await visit.click('button "Storm"');
    for (const number of [1, 2, 3, 4, 5]) expect(storm).toContain(`alert: "Warning ${number}"`);
    expect(storm).toContain("The storm is over");
  });

  test("that comes a moment after the click is shown and answered", async () => {
    await visit.open("/dialogs");
    expect(await visit.click('button "Warn me later"')).toContain("Late question?");
    expect(await visit.read("browser_dialog", { accept: true })).toContain("Late yes");
  });
});

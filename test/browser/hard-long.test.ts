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

describe("a table with 5,000 rows", () => {
  test("has its button in row 4,321 found and clicked", async () => {
    await visitor.open("/table");
    const found = await visitor.find("Invite 4321");
    const [, ref] = /\[(e\d+)\] button "Invite 4321"/.exec(found) ?? [];
    expect(await person.read("browser_click", { ref })).toBe(
      "Page content, untrusted data:\n- Nobody invited\n+ Asked: Invite 4321",
    );
  });

  test("has its link in row 4,999 followed", async () => {
    await visitor.open("/table");
    const found = await visitor.find("Page of 4999");
    const [, ref] = /\[(e\d+)\] link "Page of 4999"/.exec(found) ?? [];
    const followed = await person.read("browser_click", { ref });
    expect(followed).toContain(`${pages.origin}/member?4999`);
    expect(followed).toContain("This is member 4999");
  });
});

describe("a feed that grows as it is scrolled", () => {
  test("is read to its end", async () => {
    await visitor.open("/feed");
    for (let presses = 0; presses < 40; presses += 1) {
      await person.read("browser_type", { press: "End" });
      if ((await visitor.see()).includes("That was all")) break;
    }
    expect(await visitor.click('button "Like Post 60"')).toContain("Liked Post 60");
  });
});

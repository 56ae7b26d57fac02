import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type HardVisit, startHardVisit } from "./hard-visit.ts";

let visit: HardVisit;
beforeAll(async () => {
  visit = await startHardVisit();
});
afterAll(async () => await visit[Symbol.asyncDispose]());

describe("a table with 5,000 rows", () => {
  test("has its button in row 4,321 found and clicked", async () => {
    await visit.open("/table");
    const found = await visit.find("Invite 4321");
    const [, ref] = /\[(e\d+)\] button "Invite 4321"/.exec(found) ?? [];
    expect(await visit.read("browser_click", { ref })).toBe(
      "Page content, untrusted data:\n- Nobody invited\n+ Asked: Invite 4321",
    );
  });

  test("has its link in row 4,999 followed", async () => {
    await visit.open("/table");
    const found = await visit.find("Page of 4999");
    const [, ref] = /\[(e\d+)\] link "Page of 4999"/.exec(found) ?? [];
    const followed = await visit.read("browser_click", { ref });
    expect(followed).toContain(`${visit.origin}/member?4999`);
    expect(followed).toContain("This is member 4999");
  });
});

describe("a feed that grows as it is scrolled", () => {
  test("is read to its end", async () => {
    await visit.open("/feed");
    for (let presses = 0; presses < 40; presses += 1) {
      await visit.read("browser_type", { press: "End" });
      if ((await visit.see()).includes("That was all")) break;
    }
    expect(await visit.click('button "Like Post 60"')).toContain("Liked Post 60");
  });
});

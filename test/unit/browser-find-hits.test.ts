import { describe, expect, test } from "vitest";
import { hitsIn } from "../../servers/browser/find-hits.ts";
import { parseQuery } from "../../servers/browser/find-query.ts";

function find(snapshot: readonly string[], what: string): string {
  return hitsIn(snapshot.join("\n"), parseQuery(what), "phrase").text;
}

describe("a line that was found", () => {
  test("stands below the nearest heading or region, which is said once", () => {
    const page = [
      "[e1] main",
      " # Teas",
      ' - [e2] link "green tea"',
      ' - [e3] link "black tea"',
      ' [e4] form "Tea order"',
      "  a word on tea",
      "[e5] footer",
      " tea house",
    ];
    expect(find(page, "tea")).toBe(
      [
        "[e1] main",
        " # Teas",
        ' - [e2] link "green tea"',
        ' - [e3] link "black tea"',
        ' [e4] form "Tea order"',
        " a word on tea",
        "[e5] footer",
        " tea house",
      ].join("\n"),
    );
  });

  test("is shown from the ref of its element on where it is long", () => {
    const cells = Array.from({ length: 100 }, (_, n) => `[e${n + 100}] link "cell ${n}x" /path/${n}`);
    const found = find([cells.join(" | ")], "cell 77x");
    expect(found).toMatch(/^… \[e177\] link "cell 77x" \/path\/77 \| \[e178\] link/);
    expect(found.length).toBeLessThan(310);
  });

  test("is not one whose ref alone has the word", () => {
    expect(find(['[e12] button "Pay"', "e12 in words"], "e12")).toBe("e12 in words");
  });

  test("is one of twenty at most, and the others are counted", () => {
    const found = find(
      Array.from({ length: 50 }, (_, n) => `row ${n}`),
      "row",
    ).split("\n");
    expect(found).toHaveLength(21);
    expect(found.at(-1)).toBe("… and 30 more lines");
  });
});

test("what is looked for may begin with a role", () => {
  expect(parseQuery(' Link  "Pay now" ')).toEqual({
    phrase: "link pay now",
    roleSelector: "[role=link],a[href],area[href]",
    rest: "pay now",
  });
  expect(parseQuery("Pay")).toEqual({ phrase: "pay", roleSelector: undefined, rest: "pay" });
  expect(parseQuery("constructor")).toMatchObject({ roleSelector: undefined });
});

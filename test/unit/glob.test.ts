import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { parseGlob } from "../../servers/files/glob.ts";

describe("a glob", () => {
  test.each([
    ["*.csv", ["a.csv", ".csv"], ["a.csv.txt", "b/a.csv", "a.CSV"]],
    ["**/*.csv", ["a.csv", "b/a.csv", "b/c/a.csv"], ["b/c/a.txt"]],
    ["reports/**", ["reports/a", "reports/b/c"], ["reports", "report/a", "x/reports/a"]],
    ["a/**/z.txt", ["a/z.txt", "a/b/z.txt", "a/b/c/z.txt"], ["az.txt", "a/bz.txt", "z.txt"]],
    ["a**z", ["az", "a/b/z"], ["a/b"]],
    ["?.md", ["a.md", "ä.md", "🙂.md"], ["ab.md", "/.md"]],
    ["{a,b*}.{md,txt}", ["a.md", "bcd.txt"], ["ab.md", "c.md"]],
    ["{a/b,c{d,e}}/f", ["a/b/f", "cd/f", "ce/f"], ["c/f", "a/f"]],
    ["a{,b}", ["a", "ab"], ["abb"]],
    ["[a-z](x)|.+$^,}", ["[a-z](x)|.+$^,}"], ["ax"]],
    ["re\u0301sume\u0301*", ["r\u00e9sum\u00e9.pdf"], ["resume.pdf"]],
    ["p\u0430ypal", ["p\u0430ypal"], ["paypal"]],
  ])("%s matches %j and not %j", (glob, matched, others) => {
    const { matches } = parseGlob(glob);
    expect([...matched, ...others].filter(matches)).toEqual(matched);
  });

  test.each([
    ["*.csv", { folder: "", namePrefix: "", isDeep: false }],
    ["re*", { folder: "", namePrefix: "re", isDeep: false }],
    ["a/b/re*.md", { folder: "a/b/", namePrefix: "re", isDeep: false }],
    ["a/re*/x", { folder: "a/", namePrefix: "re", isDeep: true }],
    ["a/{b/c,d}", { folder: "a/", namePrefix: "", isDeep: true }],
    ["**", { folder: "", namePrefix: "", isDeep: true }],
  ])("%s says where its matches are: %j", (glob, expected) => {
    expect(parseGlob(glob)).toMatchObject(expected);
  });

  test("that would make a backtracking matcher despair is walked once", () => {
    const { matches } = parseGlob(`${"*a".repeat(75)}b`);
    expect(matches("a".repeat(900))).toBe(false);
  });

  test("matches what the same pattern as a regular expression matches, one path after the other", () => {
    const regex = (glob: string): RegExp => {
      const spelled: Readonly<Record<string, string>> = { "**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]" };
      return new RegExp(`^${glob.replaceAll(/\*\*\/|\*\*|\*|\?/g, (wild) => spelled[wild] ?? wild)}$`);
    };
    const glob = fc.array(fc.constantFrom("a", "b", "/", "?", "*", "**", "**/"), { minLength: 1, maxLength: 8 });
    const paths = fc.array(fc.string({ unit: fc.constantFrom("a", "b", "/"), maxLength: 12 }), { maxLength: 20 });
    fc.assert(
      fc.property(glob, paths, (parts, some) => {
        // A leading slash is dropped.
        const joined = `a${parts.join("")}`;
        const { matches } = parseGlob(joined);
        expect(some.filter(matches)).toEqual(some.filter((path) => regex(joined).test(path)));
      }),
    );
  });

  test("with a brace left open is refused", () => {
    expect(() => parseGlob("{a,b")).toThrow("close it");
  });
});

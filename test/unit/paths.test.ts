import { describe, expect, test } from "vitest";
import { normalizeFolder, normalizePath } from "../../servers/shared/paths.ts";

describe("workspace paths", () => {
  test.each([
    ["reports/summary.html", "reports/summary.html"],
    ["/reports/summary.html", "reports/summary.html"],
    ["cafe\u0301.txt", "caf\u00e9.txt"],
    ["a b/ü/文.md", "a b/ü/文.md"],
    ["...", "..."],
  ])("%j is kept as %j", (input, path) => {
    expect(normalizePath(input)).toBe(path);
  });

  test.each([
    "",
    "/",
    "../secret",
    "a/../b",
    "a/./b",
    "a//b",
    "a/",
    "a\\b",
    "a\u0000b",
    "a\nb",
    "%2e%2e/secret",
    "a/.%2E/b",
    "\ud800",
    "x".repeat(901),
    "é".repeat(500),
  ])("%j is refused with a sentence that shows a good path", (input) => {
    expect(() => normalizePath(input)).toThrow(/Give a path such as reports\/summary\.html\.$/);
  });

  test("a folder is a prefix that ends in one slash, and the top is empty", () => {
    expect([normalizeFolder(""), normalizeFolder("/"), normalizeFolder("a"), normalizeFolder("/a/b/")]).toEqual([
      "",
      "",
      "a/",
      "a/b/",
    ]);
  });
});

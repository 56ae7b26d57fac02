import { describe, expect, test } from "vitest";
import { filesPrefix, normalizeFolder, normalizePath, trashPrefix } from "../../servers/shared/paths.ts";

describe("workspace paths", () => {
  test.each([
    ["reports/summary.html", "reports/summary.html"],
    ["/reports/summary.html", "reports/summary.html"],
    ["/workspace/files/reports/summary.html", "reports/summary.html"],
    ["/workspace/reports/summary.html", "workspace/reports/summary.html"],
    ["workspace/files/a.txt", "workspace/files/a.txt"],
    ["cafe\u0301.txt", "caf\u00e9.txt"],
    ["a b/ü/文.md", "a b/ü/文.md"],
    ["...", "..."],
    ["100%.txt", "100%.txt"],
    ["wait….txt", "wait….txt"],
    ["½ and ﬀ.md", "½ and ﬀ.md"],
    ["👩‍👩‍👧.png", "👩‍👩‍👧.png"],
    ["❤️.png", "❤️.png"],
    ["é".repeat(127), "é".repeat(127)],
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
    "%2e%2e%2fsecret",
    "a%5C..%5Cb",
    "a%00.txt",
    "．．/secret",
    "‥/secret",
    "．%2e/secret",
    "％2e％2e/secret",
    "a％2fb",
    "．",
    "a／b",
    "a＼b",
    "a\u200bb",
    "a\u180eb",
    "gpj\u202e.exe",
    "a\u061cb",
    "a\u115fb",
    "a\u3164b",
    "a\u{e0041}b",
    "a\u{10ffff}b",
    "a\u0085b",
    "é".repeat(128),
    "a/.%2E/b",
    "\ud800",
    "x".repeat(901),
    "é".repeat(500),
  ])("%j is refused with a sentence that shows a good path", (input) => {
    expect(() => normalizePath(input)).toThrow(/Give a path such as reports\/summary\.html\.$/);
  });

  test("both normal forms of a name are the same file", () => {
    expect(normalizePath("Å/ﬁ.txt".normalize("NFD"))).toBe(normalizePath("Å/ﬁ.txt".normalize("NFC")));
  });

  test("a person's prefix is not the beginning of another's", () => {
    expect(filesPrefix("u10").startsWith(filesPrefix("u1"))).toBe(false);
    expect(trashPrefix("u1").startsWith(filesPrefix("u1"))).toBe(false);
  });

  test("a folder is named as a sandbox names it, too", () => {
    expect(["/workspace/files", "/workspace/files/", "/workspace/files/a/"].map(normalizeFolder)).toEqual([
      "",
      "",
      "a/",
    ]);
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

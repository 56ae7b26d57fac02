import { posix, win32 } from "node:path";
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { ToolError } from "../../servers/shared/errors.ts";
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

/** Pieces of which attacks on paths are made, and any text. */
const piece = fc.oneof(
  fc.constantFrom("..", ".", "...", "/", "//", "\\", "\0", "\n", "%2e", "%2E.", "%2f", "%00", "~", "C:", "u1", "u10"),
  fc.constantFrom(
    "e\u0301",
    "\u00e9",
    "\u212b",
    "\ufb01",
    "\u2025",
    "\uff0e\uff0e",
    "\u2215",
    "\u202e",
    "\ufeff",
    "\ud800",
    "\u0085",
  ),
  fc.string({ unit: "binary", maxLength: 8 }),
  fc.string({ unit: "grapheme", maxLength: 8 }),
  fc.string({ maxLength: 300 }),
);
const attack = fc.array(piece, { maxLength: 12 }).map((pieces) => pieces.join(""));
const path = fc.oneof(
  attack,
  fc.array(attack, { maxLength: 6 }).map((names) => names.join("/")),
);
const runs = { numRuns: 5_000 };

/** The path that was made of it, or nothing where it was refused, which has to be in words. */
function accepted(input: string): string | undefined {
  try {
    return normalizePath(input);
  } catch (error) {
    expect(error).toBeInstanceOf(ToolError);
    expect(error).toMatchObject({
      code: "invalid_input",
      message: expect.stringMatching(/^The path .+\. Give a path such as/),
    });
    return undefined;
  }
}

describe("whatever text is given as a path", () => {
  test("what is accepted is a plain relative path, and what is refused says why", () => {
    let count = 0;
    fc.assert(
      fc.property(path, (input) => {
        const found = accepted(input);
        if (found === undefined) return;
        count += 1;
        expect(found).toMatch(/^[^/]/);
        expect(new TextEncoder().encode(found).length).toBeLessThanOrEqual(900);
        expect(found.isWellFormed()).toBe(true);
        // oxlint-disable-next-line no-control-regex -- none of these may be in a name
        expect(found).not.toMatch(/[\0-\x1f\x7f-\x9f\\]/);
        for (const name of found.split("/")) expect(["", ".", ".."]).not.toContain(name);
      }),
      runs,
    );
    expect(count).toBeGreaterThan(500);
  });

  test("the path that was made of it is made of itself", () => {
    fc.assert(
      fc.property(path, (input) => {
        const found = accepted(input);
        if (found !== undefined) expect(normalizePath(found)).toBe(found);
      }),
      runs,
    );
  });

  test("it never leads out of the caller's prefix, however a URL, a disk or a decoder reads it", () => {
    const prefix = "/users/u1/files/";
    fc.assert(
      fc.property(path, (input) => {
        const found = accepted(input);
        if (found === undefined) return;
        expect(posix.normalize(prefix + found)).toBe(prefix + found);
        expect(win32.normalize(prefix + found).replaceAll("\\", "/")).toMatch(/^\/users\/u1\/files\/./);
        expect(new URL(prefix + found.replaceAll(/[?#]/g, "x"), "http://store").pathname.startsWith(prefix)).toBe(true);
      }),
      runs,
    );
  });

  test("both normal forms of it are one path", () => {
    fc.assert(
      fc.property(path, (input) => {
        expect(accepted(input.normalize("NFD"))).toBe(accepted(input.normalize("NFC")));
      }),
      runs,
    );
  });

  test("as a folder it is a prefix of files in it alone", () => {
    fc.assert(
      fc.property(path, (input) => {
        let folder: string;
        try {
          folder = normalizeFolder(input);
        } catch (error) {
          expect(error).toMatchObject({ code: "invalid_input" });
          return;
        }
        expect(normalizeFolder(folder)).toBe(folder);
        if (folder !== "") expect(normalizePath(`${folder}file`)).toBe(`${folder}file`);
      }),
      runs,
    );
  });
});

import fc from "fast-check";
import { expect, test } from "vitest";
import { ToolError } from "../../servers/shared/errors.ts";
import { filesPrefix, normalizePath } from "../../servers/shared/paths.ts";

/* What holds for every path that is let in, whatever was given. */

/** What paths are attacked with, beside names and any other text. */
const PIECES = [
  ...["/", "//", "\\", ".", "..", "../", "/./", "%2e", "%2E%2e", "%2f", "%5c", "%00", "%", "%25", "a", "b.txt", " "],
  ...[
    "．",
    "‥",
    "…",
    "／",
    "＼",
    "⁄",
    "∕",
    "℀",
    "％",
    "é",
    "e\u0301",
    "ﬁ",
    "Å",
    "\u0000",
    "\n",
    "\u007f",
    "\u2028",
    "\u200b",
  ],
  ...["\u202e", "\u{10ffff}", "\ud800", "x".repeat(255), "é".repeat(128), "😀".repeat(64)],
];

const hostilePath = fc
  .array(fc.oneof(fc.constantFrom(...PIECES), fc.string({ unit: "binary", maxLength: 12 })), { maxLength: 12 })
  .map((pieces) => pieces.join(""));

/** The path, or nothing where it was refused as it has to be. */
function letIn(given: string): string | undefined {
  try {
    return normalizePath(given);
  } catch (error) {
    expect(error).toBeInstanceOf(ToolError);
    expect(error).toMatchObject({ code: "invalid_input" });
    return undefined;
  }
}

function always(holds: (path: string) => void): void {
  let seen = 0;
  fc.assert(
    fc.property(hostilePath, (given) => {
      const path = letIn(given);
      if (path === undefined) return;
      seen += 1;
      holds(path);
    }),
    { numRuns: 5_000 },
  );
  expect(seen).toBeGreaterThan(100);
}

const encoder = new TextEncoder();
const climbs = (names: readonly string[]): boolean => names.some((name) => ["", ".", ".."].includes(name));

test("a path that was let in is the one spelling of itself", () => {
  always((path) => expect(normalizePath(path)).toBe(path));
});

test("both normal forms of a path are let in as the same, or refused both", () => {
  fc.assert(
    fc.property(hostilePath, (given) => {
      expect(letIn(given.normalize("NFD"))).toBe(letIn(given.normalize("NFC")));
    }),
    { numRuns: 2_000 },
  );
});

test("every name is one that a disk takes, and none leads upwards", () => {
  always((path) => {
    const names = path.split("/");
    expect(climbs(names)).toBe(false);
    for (const name of names) expect(encoder.encode(name).length).toBeLessThanOrEqual(255);
    expect(encoder.encode(path).length).toBeLessThanOrEqual(900);
  });
});

test("whoever decodes or folds a path once more gets no other folders", () => {
  always((path) => {
    const depth = path.split("/").length;
    const decode = (text: string): string =>
      text.replace(/%([0-9a-f]{2})/gi, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
    const folded = path.normalize("NFKC");
    for (const other of [decode(path), folded, decode(folded), decode(path).normalize("NFKC")]) {
      expect(climbs(other.split("/"))).toBe(false);
      expect(other.split(/[/\\]/)).toHaveLength(depth);
    }
  });
});

test("a key and a URL made of a path stay below their prefix, and lead back to the path", () => {
  always((path) => {
    const base = new URL(filesPrefix("u1"), "https://pincer.example.com/");
    const url = new URL(path.split("/").map(encodeURIComponent).join("/"), base);
    expect(url.href.startsWith(base.href)).toBe(true);
    expect(decodeURIComponent(url.pathname.slice(base.pathname.length))).toBe(path);
  });
});

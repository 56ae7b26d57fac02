import { describe, expect, test } from "vitest";
import { formatRef, parseRef } from "../../servers/browser/snapshot/ref.ts";
import { ToolError } from "../../servers/shared/errors.ts";

describe("a ref", () => {
  test.each([
    ["e12", { frameNumber: 0, number: 12 }],
    ["f1e12", { frameNumber: 1, number: 12 }],
    ["f10e4000000000", { frameNumber: 10, number: 4_000_000_000 }],
    ["[e5]", { frameNumber: 0, number: 5 }],
    [" f2e7 ", { frameNumber: 2, number: 7 }],
  ])("%s names an element in a frame", (text, ref) => {
    expect(parseRef(text)).toEqual(ref);
  });

  test.each(["e12", "f3e8"])("%s is written as it was read", (text) => {
    expect(formatRef(parseRef(text))).toBe(text);
  });

  test.each(["", "12", "e", "e0", "f0e1", "fe1", "e1e2", "E1", "button", "e12345678901", "#pay"])(
    "is not %j, and it is said where refs come from",
    (text) => {
      expect(() => parseRef(text)).toThrow(
        new ToolError(
          "invalid_input",
          `"${text}" is no ref; give one that browser_snapshot shows, such as e12 or f1e12.`,
        ),
      );
    },
  );
});

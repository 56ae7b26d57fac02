import { expect, test } from "vitest";
import { editText } from "../../servers/shared/edit-text.ts";

test("an edit that would fill the memory is refused before it is made", () => {
  const edit = { path: "a.txt", old: "a", all: true };
  expect(() => editText("a".repeat(1_000), { ...edit, replacement: "b".repeat(1_000_000) })).toThrow(
    expect.objectContaining({ code: "too_large" }),
  );
  expect(editText("a".repeat(1_000), { ...edit, replacement: "bb" })).toBe("b".repeat(2_000));
});

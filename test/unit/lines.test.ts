import { describe, expect, test } from "vitest";
import { showLines } from "../../servers/shared/lines.ts";

const ALL = { from: 1, count: 2_000, maxChars: 10_000 };

describe("lines of a text", () => {
  test.each([
    ["a\nb\nc\n", { from: 2, count: 1 }, "lines 2-2 of 3; go on from 3", "b"],
    ["a\nb\nc", { from: 2, count: 9 }, "lines 2-3 of 3", "b\nc"],
    ["a\n\n\n", {}, "lines 1-3 of 3", "a\n\n"],
    ["", {}, "empty", ""],
    ["a\n", { from: 5 }, "1 lines; there is no line 5", ""],
  ])("%j, %j: %s", async (text, range, summary, shown) => {
    const expected = { summary, text: shown };
    expect(await showLines([text], { ...ALL, ...range })).toEqual(expected);
    expect(await showLines(Array.from(text), { ...ALL, ...range })).toEqual(expected);
  });

  test("as many whole lines as fit are shown, and a line that never fits is cut", async () => {
    const text = `${"x".repeat(6)}\n${"y".repeat(6)}\n${"z".repeat(40)}\nend\n`;
    const range = { ...ALL, maxChars: 10 };
    expect(await showLines([text], range)).toEqual({ summary: "lines 1-1 of 4; go on from 2", text: "xxxxxx" });
    expect(await showLines([text.slice(0, 20), text.slice(20)], { ...range, from: 3 })).toEqual({
      summary: "lines 3-3 of 4; go on from 4",
      text: "zzzzzzzzzz… (40 characters)",
    });
  });

  test("of a long text nothing is read after what is shown", async () => {
    let read = 0;
    async function* pieces() {
      for (; read < 100; read++) yield `line ${read + 1}\n`;
    }
    expect(await showLines(pieces(), { ...ALL, from: 3, count: 2 }, true)).toEqual({
      summary: "lines 3-4; go on from 5",
      text: "line 3\nline 4",
    });
    expect(read).toBe(3);
  });
});

import { describe, expect, test } from "vitest";
import { CUT_LINE, describeChanges } from "../../servers/browser/snapshot/changes.ts";

const MAX_CHARS = 1_000;

function lines(...text: readonly string[]): string {
  return text.join("\n");
}

function rows(count: number, word = "name"): string[] {
  return Array.from({ length: count }, (_, n) => ` ${n} | ${word} ${n} | [e${n + 10}] link "open ${n}" /row/${n}`);
}

describe("between two snapshots", () => {
  test("that are the same nothing changed", () => {
    expect(describeChanges("a\nb", "a\nb", MAX_CHARS)).toBe("");
    expect(describeChanges("", "", MAX_CHARS)).toBe("");
  });

  test("in which only the focus moved, or lines are further in, nothing changed", () => {
    const before = lines('[e1] textbox "Name" focused [e2] checkbox "Gift"', "text");
    const after = lines('[e1] textbox "Name" [e2] checkbox "Gift" focused', "  text");
    expect(describeChanges(before, after, MAX_CHARS)).toBe("");
  });

  test("of which one was read further down, what is further down counts for nothing", () => {
    const short = lines("Nobody invited", ...rows(10), " 10 | na…", CUT_LINE);
    const long = lines("Nobody invited", ...rows(500), CUT_LINE);
    const said = lines("Ada invited", ...rows(10), " 10 | na…", CUT_LINE);
    expect(describeChanges(short, long, MAX_CHARS)).toBe("");
    expect(describeChanges(long, short, MAX_CHARS)).toBe("");
    expect(describeChanges(long, said, MAX_CHARS)).toBe("- Nobody invited\n+ Ada invited");
  });

  test("of which one goes to the page's end, what the other one has read counts", () => {
    const cut = lines("Top", ...rows(10), "a lin…", CUT_LINE);
    const whole = lines("Top", ...rows(4));
    expect(describeChanges(cut, whole, MAX_CHARS)).toBe("- 6 lines gone");
  });

  test("the word focused in a page's text counts", () => {
    expect(describeChanges("stay focused", "stay", MAX_CHARS)).toBe("- stay focused\n+ stay");
  });

  test("new lines are shown with their steps among themselves", () => {
    const before = lines("[e1] main", " Top", " Bottom");
    const after = lines("[e1] main", " Top", ' [e5] dialog "Sure?"', '  [e6] button "Yes"', " Bottom");
    expect(describeChanges(before, after, MAX_CHARS)).toBe(lines('+ [e5] dialog "Sure?"', '+  [e6] button "Yes"'));
  });

  test("a line of the same element is shown once, in its new form", () => {
    const before = lines("Cart", ' [e7] textbox "Quantity" = "1" focused', ' [e8] button "Buy" disabled');
    const after = lines("Cart", ' [e7] textbox "Quantity" = "2" focused', ' [e8] button "Buy"');
    expect(describeChanges(before, after, MAX_CHARS)).toBe(
      lines('+ [e7] textbox "Quantity" = "2" focused', '+ [e8] button "Buy"'),
    );
  });

  test("a text in which only numbers differ is shown once", () => {
    expect(describeChanges("a\n3 left in stock\nb", "a\n2 left in stock\nb", MAX_CHARS)).toBe("+ 2 left in stock");
  });

  test("an entry that is gone is not taken for one that is new", () => {
    expect(describeChanges("- Task 1\n- Task 2", "- Task 2\n- Task 3", MAX_CHARS)).toBe("- - Task 1\n+ - Task 3");
  });

  test("another text is shown with what it replaces", () => {
    expect(describeChanges("a\nloading\nb", "a\nAll done\nb", MAX_CHARS)).toBe("- loading\n+ All done");
  });

  test("an element that moved is shown where it is now", () => {
    expect(describeChanges('[e1] tab "A"\nx\ny', 'x\ny\n[e1] tab "A"', MAX_CHARS)).toBe('+ [e1] tab "A"');
  });

  test("a few lines that are gone are shown, many are counted", () => {
    expect(describeChanges(lines("a", "b", "c", "d"), lines("a", "d"), MAX_CHARS)).toBe("- b\n- c");
    expect(describeChanges(lines("a", ...rows(12), "d"), lines("a", "d"), MAX_CHARS)).toBe("- 12 lines gone");
  });

  test("a page that came to be and one that went are told apart", () => {
    expect(describeChanges("", "a\nb", MAX_CHARS)).toBe("+ a\n+ b");
    expect(describeChanges("a\nb", "", MAX_CHARS)).toBe("- a\n- b");
  });

  test("no more is shown than was asked for, and it is said how much is missing", () => {
    const text = describeChanges("top", lines("top", ...rows(500)), 400);
    expect(text.length).toBeLessThan(450);
    expect(text).toMatch(/^\+ 0 \| name 0 \| \[e10\] link "open 0" \/row\/0\n(?:\+ .*\n)+… and 49\d more changes$/);
    expect(describeChanges("a", "x".repeat(5_000), 200).length).toBeLessThan(250);
  });

  test("two long ones with nothing in common are compared by what they hold", () => {
    const before = lines(
      ...Array.from({ length: 2_000 }, (_, n) => `old line of words, number ${n}, ${"x".repeat(20)}`),
    );
    const after = lines(...rows(2_000));
    const text = describeChanges(before, after, MAX_CHARS);
    expect(text).toMatch(/^- 2000 lines gone\n\+ 0 \| name 0/);
    expect(text.length).toBeLessThan(1_100);
  });

  test("two long ones with the same lines in another order say so", () => {
    const words = Array.from({ length: 2_000 }, (_, n) => `${String.fromCodePoint(0x4e00 + n)} word`);
    expect(describeChanges(lines(...words), lines(...words.toReversed()), MAX_CHARS)).toBe(
      "The same lines, in another order.",
    );
  });

  test("one changed row of a table of thousands is found", () => {
    const before = rows(2_000);
    const after = before.with(1_234, ' 1234 | sold | [e1244] link "open 1234" /row/1234');
    expect(describeChanges(lines(...before), lines(...after), MAX_CHARS)).toBe(
      '+ 1234 | sold | [e1244] link "open 1234" /row/1234',
    );
  });
});

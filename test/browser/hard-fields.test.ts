import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type HardVisit, startHardVisit } from "./hard-visit.ts";

let visit: HardVisit;
beforeAll(async () => {
  visit = await startHardVisit();
});
afterAll(async () => await visit[Symbol.asyncDispose]());

const WORDS = {
  الاسم: "مرحبا بالعالم",
  名前: "山田太郎",
  Emoji: "👩🏽‍🚀🇪🇺",
  Marks: "Ẹ̀kọ́ e\u0301",
  Lines: "first\nsecond",
};
const TOLD = {
  arabic: "مرحبا بالعالم",
  japanese: "山田太郎",
  emoji: "👩🏽‍🚀🇪🇺",
  marks: "Ẹ̀kọ́ e\u0301",
  lines: "first\r\nsecond",
};

describe("words of every script", () => {
  const shown = Object.entries(WORDS).map(([label, text]): [string, string] => [`textbox "${label}"`, text]);

  test("arrive as they were filled in", async () => {
    await visit.open("/words");
    await visit.fillIn(Object.fromEntries(shown));
    await visit.click('button "إرسال"');
    expect(visit.told("words")).toEqual(TOLD);
  });

  test("arrive as they were typed", async () => {
    await visit.open("/words");
    for (const [field, text] of shown) await visit.type(field, text);
    expect(await visit.see()).toContain('textbox "名前" = "山田太郎"');
    await visit.click('button "إرسال"');
    expect(visit.told("words")).toEqual(TOLD);
  });
});

describe("an editor", () => {
  test("takes text, keys and chords", async () => {
    await visit.open("/editor");
    const ref = await visit.refOf('textbox "Note"');
    await visit.read("browser_type", { ref, press: "Control+A" });
    await visit.read("browser_type", { text: "Dear Ada, 你好" });
    await visit.read("browser_type", { press: "Enter" });
    await visit.read("browser_type", { text: "bye" });
    await visit.read("browser_type", { press: "Control+Enter" });
    expect(visit.told("editor")).toMatch(/^Dear Ada, 你好\n+bye$/);
  });

  test("is filled in as a field is, in place of what it held", async () => {
    await visit.open("/editor");
    await visit.fillIn({ 'textbox "Note"': "All new" });
    await visit.read("browser_type", { press: "Control+Enter" });
    expect(visit.told("editor")).toBe("All new");
  });
});

describe("a form", () => {
  test("with fields of every kind is filled in by one call, and the page hears of each", async () => {
    await visit.open("/fields");
    await visit.fillIn({
      'combobox "Car"': "Audi",
      'listbox "Extras"': "Radio\nHeating",
      'date "Day"': "2026-11-27",
      'time "Hour"': "09:30",
      'datetime "Moment"': "2026-11-27T10:30",
      'datetime "Month"': "2026-12",
      'slider "Volume"': "7.5",
      'color "Paint"': "#ff8800",
      'spinbutton "Seats"': "5",
      'textbox "Mail"': "ada@example.com",
      'checkbox "Gift"': "true",
      'checkbox "News"': "true",
      'radio "Cash"': "true",
    });
    expect(visit.told("fields")).toEqual({
      car: "a",
      extras: "Radio+Heating",
      day: "2026-11-27",
      hour: "09:30",
      moment: "2026-11-27T10:30",
      month: "2026-12",
      volume: "7.5",
      paint: "#ff8800",
      seats: "5",
      mail: "ada@example.com",
      gift: true,
      news: true,
      pay: "cash",
    });
  });
});

describe("a field", () => {
  test.each([
    ['combobox "Car"', "Tatra", "invalid_input"],
    ['combobox "Car"', "Opel", "invalid_input"],
    ['date "Day"', "tomorrow", "invalid_input"],
    ['slider "Volume"', "11", "invalid_input"],
    ['checkbox "Gift"', "maybe", "invalid_input"],
    ['textbox "Fixed"', "changed", "conflict"],
  ])("%s does not take %s, and stays as it is", async (field, value, code) => {
    await visit.open("/fields");
    const ref = await visit.refOf(field);
    expect(await visit.call("browser_fill", { fields: [{ ref, value }] })).toMatchObject({ ok: false, code });
    expect(await visit.see()).toContain("Nothing changed");
  });
});

describe("a combobox of a page's own", () => {
  test("shows what it suggests a moment after typing, and takes a click", async () => {
    await visit.open("/combobox");
    const suggested = await visit.type('combobox "City"', "ber");
    expect(suggested).toContain('option "Berlin"');
    expect(await visit.click('option "Berlin"')).toContain("You live in Berlin");
  });

  test("is worked by keys alone", async () => {
    await visit.open("/combobox");
    await visit.type('combobox "City"', "ly");
    await visit.read("browser_type", { press: "ArrowDown" });
    expect(await visit.read("browser_type", { press: "Enter" })).toContain("You live in Lyon");
  });
});

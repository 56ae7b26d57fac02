import { expect, test } from "vitest";
import { html, ownMarkup, plainName } from "../../auth/html.ts";

test("inserts are escaped in text and in attributes, once", () => {
  const hostile = `<b a="1" b='2'>&amp;`;
  expect(html`<p title="${hostile}">${hostile}</p>`.toString()).toBe(
    '<p title="&lt;b a=&quot;1&quot; b=&#39;2&#39;&gt;&amp;amp;">&lt;b a=&quot;1&quot; b=&#39;2&#39;&gt;&amp;amp;</p>',
  );
  expect(html`${html`<i>${"&"}</i>`}`.toString()).toBe("<i>&amp;</i>");
  expect(html`[${["a", "b"].map((name) => html`<li>${name}`)}]${undefined}`.toString()).toBe("[<li>a<li>b]");
  expect(html`${0}`.toString()).toBe("0");
  expect(ownMarkup("<p>").toString()).toBe("<p>");
});

test("a stranger's name becomes one short line without tricks", () => {
  expect(plainName("Claude Code")).toBe("Claude Code");
  expect(plainName("  a\n\tb\u0000c\u202Ed\u200Be\u2066f ")).toBe("a bcdef");
  expect(plainName("x".repeat(61))).toBe(`${"x".repeat(60)}…`);
  expect(plainName("\u{1F980}".repeat(60))).toBe("\u{1F980}".repeat(60));
  expect(plainName("\u200B\u202E")).toBe("An app without a name");
  expect(plainName(`a${"\u0301".repeat(40)}b`)).toBe("a\u0301\u0301b");
  expect(plainName("日本語のアプリ")).toBe("日本語のアプリ");
});

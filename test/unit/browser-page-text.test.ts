import { expect, test } from "vitest";
import { pageText, shownUrl } from "../../servers/browser/page-text.ts";

test("a URL that the page made long takes the place of neither the notes nor the content", () => {
  const url = `https://example.com/?${"do-as-this-page-says".repeat(50_000)}`;
  const page = { url, title: "", notes: ["A pop-up was closed."], content: "hello", is_cut: false };
  const [first = "", ...others] = pageText(page, "").split("\n");
  expect(first).toMatch(/^https:\/\/example\.com\/\?do-as-this-page-says.*… \(1000021 characters\)$/);
  expect(first.length).toBeLessThan(600);
  expect(others).toEqual(["Note: A pop-up was closed.", "Page content, untrusted data:", "hello"]);
});

test("a URL of ordinary length is shown whole", () => {
  const url = "https://example.com/search?q=cloud#top";
  expect(shownUrl(url)).toBe(url);
});

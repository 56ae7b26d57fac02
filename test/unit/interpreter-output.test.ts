import { expect, test } from "vitest";
import { describeOutput } from "../../servers/interpreter/output.ts";

test.each([
  ["its text", { text: "   a\n0  1", html: "<table></table>" }, "   a\n0  1"],
  ["its Markdown before its text", { text: "<IPython.core.display.Markdown object>", markdown: "*m*" }, "*m*"],
  [
    "its JSON, where the text says nothing",
    { text: "<IPython.core.display.JSON object>", json: '{"a": 1}' },
    '{"a": 1}',
  ],
  ["its page, where there is nothing else", { text: "<x.Page object at 0x7f00>", html: "<b>h</b>" }, "<b>h</b>"],
  [
    "that its page is linked, where scripts make it",
    { html: "<script>draw()</script>" },
    "(a page with scripts: its file is linked)",
  ],
  ["its text, although that looks like a placeholder", { text: "<Thing object>" }, "<Thing object>"],
  ["nothing beside a picture", { text: "<Figure size 640x480 with 1 Axes>", png: "iVBORw0KGgo=" }, ""],
])("of a value a model reads %s", (_what, output, text) => {
  expect(describeOutput(output)).toBe(text);
});

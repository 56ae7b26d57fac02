import { expect, test } from "vitest";
import { browserServer } from "../../servers/browser/index.ts";
import { browserClick, browserType } from "../../servers/browser/input.ts";
import { browserOpen } from "../../servers/browser/navigate.ts";
import { listedTokens } from "../support/listed-tokens.ts";

test("browser takes twelve tools and 1,400 tokens at the most", () => {
  expect(browserServer.tools.map(({ name }) => name).toSorted()).toEqual([
    "browser_click",
    "browser_close",
    "browser_dialog",
    "browser_evaluate",
    "browser_fill",
    "browser_handoff",
    "browser_open",
    "browser_read",
    "browser_screenshot",
    "browser_snapshot",
    "browser_type",
    "browser_wait",
  ]);
  expect(listedTokens(browserServer)).toBeLessThanOrEqual(1_400);
});

test.each([
  { tool: browserOpen, input: {} },
  { tool: browserOpen, input: { url: "https://example.com/", go: "back" } },
  { tool: browserOpen, input: { tab: "new" } },
  { tool: browserOpen, input: { tab: "0" } },
  { tool: browserOpen, input: { browser: "a b" } },
  { tool: browserClick, input: {} },
  { tool: browserClick, input: { ref: "e1", x: 1, y: 1 } },
  { tool: browserClick, input: { x: 1 } },
  { tool: browserClick, input: { ref: "e1", action: "drag" } },
  { tool: browserClick, input: { ref: "e1", to: "e2" } },
  { tool: browserType, input: { ref: "e1" } },
])("$tool.name refuses $input", ({ tool, input }) => {
  expect(tool.input.safeParse(input).success).toBe(false);
});

test.each([
  { tool: browserOpen, input: { tab: "2" } },
  { tool: browserOpen, input: { url: "https://example.com/", tab: "new" } },
  { tool: browserClick, input: { ref: "e1", action: "drag", to_x: 1, to_y: 2 } },
  { tool: browserClick, input: { x: 1, y: 2 } },
  { tool: browserType, input: { press: "Enter" } },
])("$tool.name takes $input", ({ tool, input }) => {
  expect(tool.input.safeParse(input).success).toBe(true);
});

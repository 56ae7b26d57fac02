import { expect, test } from "vitest";
import { filesDelete } from "../../servers/files/delete.ts";
import { filesServer } from "../../servers/files/index.ts";
import { filesRead } from "../../servers/files/read.ts";
import { filesShare } from "../../servers/files/share.ts";
import { filesWrite } from "../../servers/files/write.ts";
import { listedTokens } from "../support/listed-tokens.ts";

test("files takes nine tools and 1,000 tokens at the most", () => {
  expect(filesServer.tools.map(({ name }) => name).toSorted()).toEqual([
    "files_copy",
    "files_delete",
    "files_edit",
    "files_list",
    "files_move",
    "files_read",
    "files_search",
    "files_share",
    "files_write",
  ]);
  expect(listedTokens(filesServer)).toBeLessThanOrEqual(1_000);
});

test.each([
  { tool: filesRead, input: { path: "" } },
  { tool: filesRead, input: { path: "x".repeat(2_000) } },
  { tool: filesRead, input: { path: "a", from: 0 } },
  { tool: filesWrite, input: { path: "a", content: "", if_match: "e", create_only: true } },
  { tool: filesDelete, input: {} },
  { tool: filesDelete, input: { path: "a", trash_id: "1" } },
  { tool: filesDelete, input: { trash_id: "1" } },
  { tool: filesDelete, input: { path: "a", trash_id: "1", restore: true } },
  { tool: filesDelete, input: { path: "a", forever: true } },
  { tool: filesDelete, input: { trash_id: "1", forever: true, restore: true } },
  { tool: filesShare, input: { path: "a", revoke: "b" } },
  { tool: filesShare, input: { upload: true } },
  { tool: filesShare, input: { path: "a", expires_in_seconds: 604_801 } },
])("$tool.name refuses $input", ({ tool, input }) => {
  expect(tool.input.safeParse(input).success).toBe(false);
});

test.each([
  { tool: filesDelete, input: { path: "a" } },
  { tool: filesDelete, input: { path: "a/", restore: true } },
  { tool: filesDelete, input: { trash_id: "1", restore: true } },
  { tool: filesDelete, input: { trash_id: "1", forever: true } },
  { tool: filesDelete, input: { forever: true } },
  { tool: filesShare, input: {} },
  { tool: filesShare, input: { revoke: "b" } },
  { tool: filesShare, input: { path: "a/", upload: true } },
])("$tool.name takes $input", ({ tool, input }) => {
  expect(tool.input.safeParse(input).success).toBe(true);
});

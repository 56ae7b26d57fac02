import { expect, test } from "vitest";
import { describeConversation } from "../../servers/delegate/conversation.ts";
import { newRecord } from "../../servers/delegate/run-start.ts";

const CALLER = { userId: "u".repeat(32), role: "member", scopes: [], clientId: "client-1" } as const;
const START = {
  runId: "run-0000000000000000",
  caller: CALLER,
  depth: 1,
  task: "Work.",
  texts: [],
  files: [],
  sandboxMode: "none",
  sandbox: "main",
  models: ["m"],
  budget: { tokens: 1_000, turns: 1, seconds: 1 },
  requestDigest: "0",
} as const;

test("what a call holds stays within its fence, however many fences it holds itself", () => {
  const input = { text: "` ".repeat(300_000) };
  const content = [{ type: "tool-call" as const, toolCallId: "a", toolName: "note", input }];
  const text = describeConversation(newRecord(START, CALLER, 0), [{ role: "assistant", content }]);
  expect(text.endsWith(`## Call of note\n\n\`\`\`\n${JSON.stringify(input, undefined, 2)}\n\`\`\``)).toBe(true);
});

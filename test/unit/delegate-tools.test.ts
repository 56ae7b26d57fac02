import { encode } from "gpt-tokenizer/encoding/o200k_base";
import { expect, test } from "vitest";
import * as z from "zod";
import { delegateRun } from "../../servers/delegate/tools.ts";

test("delegate_run takes a task and fills in the rest", () => {
  expect(delegateRun.input.parse({ task: "Sum up report.html." })).toEqual({
    task: "Sum up report.html.",
    budget: { tokens: 200_000, steps: 20, seconds: 600 },
    wait_ms: 30_000,
  });
});

test.each([
  ["neither a task nor a run", {}],
  ["both a task and a run", { task: "x", run_id: "run-0123456789abcdef" }],
  ["a run id that was never given out", { run_id: "../other" }],
  ["a wait past the call's deadline", { task: "x", wait_ms: 50_001 }],
  ["a budget beyond every limit", { task: "x", budget: { tokens: 2_000_001 } }],
  ["a model name with a line break", { task: "x", model: "m\nx" }],
])("%s is refused", (_, input) => {
  expect(delegateRun.input.safeParse(input).success).toBe(false);
});

test("the tool list of the delegate server stays within 600 tokens", () => {
  const { name, description, annotations, input } = delegateRun;
  const listed = { name, description, annotations, inputSchema: z.toJSONSchema(input, { io: "input" }) };
  expect(encode(JSON.stringify(listed)).length).toBeLessThanOrEqual(600);
});

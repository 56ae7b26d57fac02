import { expect, test } from "vitest";
import { toResult } from "../../servers/core/tool-result.ts";
import { ToolError } from "../../servers/shared/errors.ts";

const OUTCOME = { data: { done: true }, text: '{"done":true}', attachments: [] };

test("a result says what it took and what it cost, the call itself and what was spent in it", () => {
  const end = { ok: true, durationMs: 12.4, outcome: { ...OUTCOME, nanoUsd: 1_500_000 } } as const;
  expect(toResult(end, { callNanoUsd: 2_450 })).toEqual({
    content: [{ type: "text", text: '{"done":true}' }],
    structuredContent: { done: true },
    _meta: { "pincer/duration_ms": 12, "pincer/cost_usd": 0.001_502_45 },
  });
});

test("where nobody is billed a call costs nothing, also one that failed", () => {
  const free = { callNanoUsd: 0 };
  expect(toResult({ ok: true, durationMs: 1, outcome: OUTCOME }, free)._meta).toEqual({
    "pincer/duration_ms": 1,
    "pincer/cost_usd": 0,
  });
  const error = new ToolError("not_found", "It is not there.");
  expect(toResult({ ok: false, durationMs: 1, error }, free)).toEqual({
    content: [{ type: "text", text: "not_found: It is not there." }],
    isError: true,
    _meta: { "pincer/duration_ms": 1, "pincer/cost_usd": 0 },
  });
});

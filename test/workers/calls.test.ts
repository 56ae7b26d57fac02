import { env } from "cloudflare:workers";
import { describe, expect, test } from "vitest";
import * as z from "zod";
import type { Scope } from "../../auth/scopes.ts";
import { CATALOG } from "../../servers/catalog.ts";
import { type CallPipeline, type FinishedCall, callTool } from "../../servers/core/call.ts";
import { listTool } from "../../servers/core/server.ts";
import { type Tool, defineTool } from "../../servers/core/tool.ts";
import { ToolError } from "../../servers/shared/errors.ts";
import { parseSettings } from "../../servers/shared/settings.ts";
import { createPipeline } from "../../servers/suite.ts";

const ANNOTATIONS = { readOnlyHint: true, destructiveHint: false, idempotentHint: true, openWorldHint: false };
const SILENT = { signal: new AbortController().signal, reportProgress: () => undefined };

function toolThat(handle: (signal: AbortSignal) => Promise<{ said: string; secret?: string }>): Tool {
  return defineTool({
    name: "test_tool",
    title: "Test",
    description: "Test.",
    input: z.strictObject({ word: z.string().max(5).default("hi").describe("A word") }),
    output: z.object({ said: z.string() }),
    annotations: ANNOTATIONS,
    scopes: ["files:read"],
    handler: async (_input, { signal }) => ({ output: await handle(signal) }),
  });
}

/** A real pipeline whose entries in the books are also seen here. */
function pipelineOf(userId: string, scopes: readonly Scope[]): { pipeline: CallPipeline; entries: FinishedCall[] } {
  const entries: FinishedCall[] = [];
  const caller = { userId, role: "member", scopes, clientId: "test" } as const;
  const pipeline = createPipeline(env, parseSettings(env), caller, { waitUntil: () => undefined });
  return { pipeline: { ...pipeline, record: (call) => entries.push(call) }, entries };
}

describe("a call", () => {
  test("answers with the fields that the output schema declares, and no others", async () => {
    const { pipeline, entries } = pipelineOf("calls-1", ["files:read"]);
    const end = await callTool(
      toolThat(async () => ({ said: "hello", secret: "x" })),
      {},
      pipeline,
      SILENT,
    );
    expect(end).toMatchObject({
      ok: true,
      outcome: { data: { said: "hello" }, text: '{"said":"hello"}', attachments: [] },
    });
    expect(entries).toHaveLength(1);
    expect(entries[0]).toMatchObject({ tool: "test_tool", outcome: "ok", outputBytes: 16 });
  });

  test("without the scope does nothing and says which one is missing", async () => {
    const { pipeline, entries } = pipelineOf("calls-2", ["browser:read"]);
    let hasRun = false;
    const tool = toolThat(async () => {
      hasRun = true;
      return { said: "" };
    });
    const end = await callTool(tool, {}, pipeline, SILENT);
    expect(end).toMatchObject({
      ok: false,
      error: { code: "forbidden", message: expect.stringContaining("files:read") },
    });
    expect([hasRun, entries[0]?.outcome]).toEqual([false, "forbidden"]);
  });

  test.each([
    [{ word: "too long" }, /^word: /],
    [{ word: 7 }, /^word: /],
    [{ wrod: "typo" }, /wrod/],
    ["text", /object/],
  ])("with the input %j is told what is wrong", async (input, sentence) => {
    const { pipeline } = pipelineOf("calls-3", ["files:read"]);
    const end = await callTool(
      toolThat(async () => ({ said: "" })),
      input,
      pipeline,
      SILENT,
    );
    expect(end).toMatchObject({
      ok: false,
      error: { code: "invalid_input", message: expect.stringMatching(sentence) },
    });
  });

  test("that fails as expected keeps its words, and one that breaks shows a reference instead of them", async () => {
    const { pipeline, entries } = pipelineOf("calls-4", ["files:read"]);
    const expected = toolThat(async () => {
      throw new ToolError("conflict", "It has changed; read it again.", { cause: new Error("upstream words") });
    });
    const broken = toolThat(async () => {
      throw new Error("password=hunter2");
    });
    const first = await callTool(expected, {}, pipeline, SILENT);
    const second = await callTool(broken, {}, pipeline, SILENT);
    expect(first).toMatchObject({ ok: false, error: { code: "conflict", message: "It has changed; read it again." } });
    expect(second).toMatchObject({
      ok: false,
      error: { code: "internal", message: expect.stringContaining(String(entries[1]?.id)) },
    });
    expect(JSON.stringify(second)).not.toContain("hunter2");
  });

  test("ends when its client cancels, even where the tool takes no notice", async () => {
    const { pipeline, entries } = pipelineOf("calls-5", ["files:read"]);
    const client = new AbortController();
    const stubborn = toolThat(async () => {
      client.abort();
      return await new Promise(() => undefined);
    });
    const end = await callTool(stubborn, {}, pipeline, { ...SILENT, signal: client.signal });
    expect(end).toMatchObject({ ok: false, error: { code: "cancelled" } });
    expect(entries[0]?.outcome).toBe("cancelled");
  });
});

test("the signal of a call that has ended stays as it was, although the SDK aborts its own then", async () => {
  const { pipeline } = pipelineOf("calls-7", ["files:read"]);
  const client = new AbortController();
  const signals: AbortSignal[] = [];
  const tool = toolThat(async (signal) => {
    signals.push(signal);
    return { said: "done" };
  });
  expect(await callTool(tool, {}, pipeline, { ...SILENT, signal: client.signal })).toMatchObject({ ok: true });
  client.abort();
  expect(signals.map(({ aborted }) => aborted)).toEqual([false]);
});

describe("the books", () => {
  test("hold one audit row and one cost row for each call, with a digest in place of the input", async () => {
    const caller = { userId: "books-1", role: "member", scopes: ["files:read"], clientId: "c1" } as const;
    const writes: Promise<unknown>[] = [];
    const pipeline = createPipeline(env, parseSettings(env), caller, { waitUntil: (work) => writes.push(work) });
    await callTool(
      toolThat(async () => ({ said: "a" })),
      { word: "abc" },
      pipeline,
      SILENT,
    );
    await callTool(
      toolThat(async () => ({ said: "a" })),
      { word: "too long" },
      pipeline,
      SILENT,
    );
    await Promise.all(writes);
    const account = env.ACCOUNT.get(env.ACCOUNT.idFromName("books-1"));
    const rows = await account.listAudit(10);
    expect(rows.map(({ tool, outcome, clientId }) => `${tool} ${outcome} ${clientId}`)).toEqual(
      expect.arrayContaining(["test_tool invalid_input c1", "test_tool ok c1"]),
    );
    expect(rows).toHaveLength(2);
    expect(rows.every(({ inputDigest }) => /^[0-9a-f]{64}$/.test(inputDigest))).toBe(true);
    expect(JSON.stringify(rows)).not.toContain("abc");
    expect(await account.costTotal()).toMatchObject({ calls: 2 });
  });
});

describe("every tool", () => {
  const tools = CATALOG.flatMap((server) => server.tools.map((tool) => [tool.name, server.name, tool] as const));

  test.each(tools)("%s belongs to its server, needs a scope and describes each argument", (name, server, tool) => {
    expect(name).toMatch(new RegExp(`^${server}_[a-z_]{1,30}$`));
    expect(tool.scopes.length).toBeGreaterThan(0);
    const properties = Object.values(listTool(tool).inputSchema.properties ?? {});
    expect(properties.filter((property) => !JSON.stringify(property).includes('"description"'))).toEqual([]);
  });

  test.each(tools)("%s refuses an argument that it does not know", async (_name, _server, tool) => {
    const { pipeline } = pipelineOf("calls-6", tool.scopes);
    const end = await callTool(tool, { no_such_argument: true }, pipeline, SILENT);
    expect(end).toMatchObject({
      ok: false,
      error: { code: "invalid_input", message: expect.stringContaining("no_such_argument") },
    });
  });
});

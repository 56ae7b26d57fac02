import { expect, test, vi } from "vitest";
import { startDelegateSuite } from "../support/delegate-suite.ts";
import { KEY, USAGE, marked, note, say, startBoth, toldByTools, until, wait } from "../support/delegate-talk.ts";
import type { ScriptedReply } from "../support/scripted-replies.ts";
import { type ScriptStep, startTestGateway } from "../support/test-gateway.ts";

// Some start a workerd of their own, and some wait out a retry.
vi.setConfig({ testTimeout: 30_000 });

test("a task is worked on with the suite's tools and its answer comes back", async () => {
  await using both = await startBoth();
  const { gateway, suite } = both;
  gateway.script(note("one", "two"), { kind: "text", text: "Both are noted.", usage: { ...USAGE, cost: 0.002 } });
  expect(await suite.send({ task: "Note one and two." })).toEqual({
    ok: true,
    progress: expect.arrayContaining(["started", "completed"]),
    answer: {
      version: expect.any(Number),
      runId: expect.stringMatching(/^run-[0-9a-f]{16}$/),
      status: "completed",
      activity: "completed",
      startedAtMs: expect.any(Number),
      endedAtMs: expect.any(Number),
      result: "Both are noted.",
      isStructured: false,
      turns: 2,
      modelsUsed: ["openai/m"],
      budget: { tokens: 200_000, turns: 20, seconds: 600 },
      ledger: {
        charged: { tokens: 220, nanoUsd: 2_000_000 },
        inputTokens: 200,
        outputTokens: 20,
        cachedTokens: 0,
        calls: 2,
        costNanoUsd: 2_000_000,
        isCostKnown: false,
        children: {},
      },
      unreportedTokens: 0,
      toolCalls: { note: 2 },
      artifacts: [],
      notes: [],
      conversation: {
        path: expect.stringMatching(/^conversations\/\d{4}-\d\d-\d\d\/run-[0-9a-f]{16}\.md$/),
        mimeType: "text/markdown",
        sizeBytes: expect.any(Number),
      },
    },
  });
  expect(await suite.effects()).toEqual(["one", "two"]);
  expect(toldByTools(gateway)).toEqual([marked("noted one"), marked("noted two")]);
});

test("the conversation of a run that has ended is kept in its caller's files, whatever its tools returned", async () => {
  await using both = await startBoth();
  const { gateway, suite } = both;
  gateway.script(note("# no heading\n```"), say("It is noted."));
  const { runId } = await suite.report({ task: "Note it." });
  await until(async () => (await suite.files()).size > 0);
  const [[path = "", text = ""] = []] = await suite.files();
  expect(path).toBe(`conversations/${/Started: (\S+)T/.exec(text)?.[1]}/${runId}.md`);
  expect(text.replace(/Started: .*/, "Started: then").replaceAll(/data-[0-9a-f]{8}/g, "data")).toBe(
    [
      `# ${runId}: completed\nModels: openai/m\nStarted: then\nTurns: 2`,
      "## Caller\n\nNote it.",
      '## Call of note\n\n````\n{\n  "text": "# no heading\\n```"\n}\n````',
      "## Result of note\n\n````\n<data>\nnoted # no heading\n```\n</data>\n````",
      "## Sub-agent\n\nIt is noted.",
    ].join("\n\n"),
  );
});

test("the conversation of a run that was cancelled is kept too", async () => {
  await using both = await startBoth();
  const { gateway, suite } = both;
  gateway.script(wait(60_000));
  const { runId } = await suite.report({ task: "Wait.", waitMs: 0 });
  await until(async () => (await suite.effects()).includes("wait begun"));
  await suite.report({ runId, cancel: true });
  await until(async () => (await suite.files()).size > 0);
  const [text] = (await suite.files()).values();
  expect(text).toMatch(/^# run-[0-9a-f]{16}: cancelled\n/);
});

test("the answer to who cancels a run while the model thinks says where the conversation is", async () => {
  await using both = await startBoth();
  const { gateway, suite } = both;
  gateway.script({ kind: "hang" });
  const { runId } = await suite.report({ task: "Think.", waitMs: 0 });
  await until(() => gateway.requests.length === 1);
  expect(await suite.report({ runId, cancel: true })).toMatchObject({
    status: "cancelled",
    conversation: { path: expect.stringContaining(runId) },
  });
});

test("a run goes on when nobody waits any longer, and its id finds the answer", async () => {
  await using both = await startBoth();
  const { gateway, suite } = both;
  gateway.script(wait(1_000), say("Done."));
  const started = await suite.report({ task: "Wait.", waitMs: 0 });
  await until(async () => (await suite.effects()).includes("wait ended"));
  const ended = await suite.report({ runId: started.runId });
  expect(ended).toMatchObject({ runId: started.runId, status: "completed", result: "Done." });
});

test("another person's run does not exist, nor does one that was never started", async () => {
  await using both = await startBoth();
  const { gateway, suite } = both;
  gateway.script(say("Mine."));
  const { runId } = await suite.report({ task: "Say it." });
  const refused = { ok: false, code: "not_found", message: expect.any(String) };
  expect(await suite.send({ runId, userId: "e".repeat(32) })).toEqual(refused);
  expect(await suite.send({ runId: "run-0000000000000000" })).toEqual(refused);
});

test("a caller who goes away while waiting ends the run and the call that it is in", async () => {
  await using both = await startBoth();
  const { gateway, suite } = both;
  gateway.script(wait(30_000));
  const waiting = suite.report({ task: "Wait.", mayLeave: true });
  await until(async () => (await suite.effects()).includes("wait begun"));
  await suite.leave();
  const report = await waiting;
  expect(report).toMatchObject({ status: "cancelled", error: expect.stringMatching(/^cancelled: /) });
  await until(async () => (await suite.effects()).includes("wait aborted"));
  expect(gateway.requests).toHaveLength(1);
  expect(await suite.report({ runId: report.runId })).toMatchObject({ status: "cancelled", error: report.error });
});

test("a caller who goes away while the model thinks ends the run, and the reservation stands", async () => {
  await using both = await startBoth();
  const { gateway, suite } = both;
  gateway.script({ kind: "hang" });
  const waiting = suite.report({ task: "Think.", mayLeave: true });
  await until(() => gateway.requests.length === 1);
  await suite.leave();
  const { runId } = await waiting;
  const report = await suite.report({ runId });
  expect(report).toMatchObject({ status: "cancelled", turns: 0, ledger: { inputTokens: 0, isCostKnown: false } });
  expect(report.unreportedTokens).toBeGreaterThan(gateway.requests[0]?.bytes ?? Infinity);
});

test("a run whose Worker is killed in the middle of a tool call goes on and does not repeat the call", async () => {
  await using both = await startBoth();
  const { gateway, suite } = both;
  gateway.script(note("before"), wait(60_000), say("Survived."));
  const { runId } = await suite.report({ task: "Wait.", waitMs: 0 });
  await until(async () => (await suite.effects()).includes("wait begun"));
  await suite.killAndRestart();
  const report = await suite.report({ runId });
  expect(report).toMatchObject({ status: "completed", result: "Survived.", toolCalls: { note: 1, wait: 1 } });
  expect(await suite.effects()).toEqual(["before", "wait begun"]);
  expect(toldByTools(gateway).at(-1)).toMatch(/may have taken effect or not/);
});

test("a run whose Worker is killed while the model thinks asks it again, and both calls count", async () => {
  await using both = await startBoth();
  const { gateway, suite } = both;
  gateway.script({ kind: "hang" }, say("Survived."));
  const { runId } = await suite.report({ task: "Think.", fallbacks: ["other"], waitMs: 0 });
  await until(() => gateway.requests.length === 1);
  await suite.killAndRestart();
  const report = await suite.report({ runId });
  expect(report).toMatchObject({ status: "completed", result: "Survived.", turns: 1, ledger: { inputTokens: 100 } });
  expect(report.unreportedTokens).toBeGreaterThan(0);
  expect(gateway.requests.map(({ body }) => body.model)).toEqual(["m", "m"]);
});

test("a call that a restart cut off counts for the day, and is not waited for", async () => {
  await using both = await startBoth({ DELEGATE_DAILY_TOKENS: "12000" });
  const { gateway, suite } = both;
  gateway.script({ kind: "hang" }, say("Never asked."));
  const { runId } = await suite.report({ task: "Think.", waitMs: 0 });
  await until(() => gateway.requests.length === 1);
  await suite.killAndRestart();
  expect(await suite.report({ runId })).toMatchObject({
    status: "budget_exhausted",
    error: expect.stringContaining("DELEGATE_DAILY_TOKENS"),
  });
  expect(gateway.requests).toHaveLength(1);
});

test("a run that is cut off again and again while the model thinks fails rather than spend without end", async () => {
  await using both = await startBoth();
  const { gateway, suite } = both;
  gateway.script({ kind: "hang" }, { kind: "hang" }, { kind: "hang" }, say("Never asked."));
  const { runId } = await suite.report({ task: "Think.", waitMs: 0 });
  for (const asked of [1, 2, 3]) {
    await until(() => gateway.requests.length === asked);
    await suite.killAndRestart();
  }
  expect(await suite.report({ runId })).toMatchObject({
    status: "failed",
    error: "unavailable: The run was cut off again and again while the model worked; start it anew.",
  });
  expect(gateway.requests).toHaveLength(3);
});

test("a model that never stops is told that its last step has come, and ends", async () => {
  await using both = await startBoth();
  const { gateway, suite } = both;
  gateway.script(note("1"), note("2"), note("3"), say("Too late."));
  const report = await suite.report({ task: "Go on and on.", budget: { turns: 3 } });
  expect(report).toMatchObject({
    status: "budget_exhausted",
    error: "limit_reached: budget.turns is used up; give more.",
    turns: 3,
  });
  expect(await suite.effects()).toEqual(["1", "2"]);
  expect(gateway.requests.map(({ body }) => body.tool_choice)).toEqual(["auto", "auto", "none"]);
  expect(gateway.requests[2]?.body.messages[0]?.content).toMatch(/This is your last turn/);
});

test("an endpoint that counts every byte as a token is stopped before the budget is overrun", async () => {
  await using both = await startBoth();
  const { gateway, suite } = both;
  let spent = 0;
  const greedy: ScriptStep = ({ bytes, body }) => {
    const usage = { prompt_tokens: bytes, completion_tokens: Number(body["max_tokens"]) };
    spent += usage.prompt_tokens + usage.completion_tokens;
    return { kind: "calls", calls: [{ name: "note", input: { text: `${spent}` } }], usage };
  };
  gateway.script(...Array.from({ length: 50 }, () => greedy));
  const report = await suite.report({ task: "Spend.", budget: { tokens: 60_000, turns: 50 } });
  expect(report.status).toBe("budget_exhausted");
  expect(report.error).toMatch(
    /^limit_reached: The next model call could take \d+ tokens for its input, and \d+ are left/,
  );
  expect(report.ledger.inputTokens + report.ledger.outputTokens).toBe(spent);
  expect(spent).toBeGreaterThan(50_000);
  expect(spent).toBeLessThanOrEqual(60_000);
});

test("an endpoint that reports more than a call could use ends the run", async () => {
  await using both = await startBoth();
  const { gateway, suite } = both;
  const usage = { prompt_tokens: 1_000_000, completion_tokens: 1 };
  gateway.script({ kind: "calls", calls: [{ name: "note", input: { text: "never" } }], usage });
  const report = await suite.report({ task: "Spend." });
  expect(report).toMatchObject({
    status: "budget_exhausted",
    ledger: { inputTokens: 1_000_000, outputTokens: 1 },
    toolCalls: {},
  });
  expect(report.error).toMatch(/reported more than one call could use/);
  expect(await suite.effects()).toEqual([]);
});

test("calls whose usage nobody reports are charged as if they had used all that they could", async () => {
  await using both = await startBoth();
  const { gateway, suite } = both;
  gateway.script({ kind: "text", text: "Silent.", usage: undefined });
  const report = await suite.report({ task: "Say it." });
  expect(report).toMatchObject({ status: "completed", ledger: { inputTokens: 0, outputTokens: 0 } });
  expect(report.unreportedTokens).toBeGreaterThan(8_192 + (gateway.requests[0]?.bytes ?? 0) - 1);
});

test("a run ends when its seconds are over, though the endpoint hangs", async () => {
  await using both = await startBoth();
  const { gateway, suite } = both;
  gateway.script({ kind: "hang" }, { kind: "hang" });
  const report = await suite.report({ task: "Think.", budget: { seconds: 1 } });
  expect(report).toMatchObject({
    status: "budget_exhausted",
    error: "limit_reached: budget.seconds is used up; give more.",
  });
});

test("a limited request is sent again when the endpoint said, and costs nothing", async () => {
  await using both = await startBoth();
  const { gateway, suite } = both;
  let limitedAt = 0;
  let askedAgainAt = 0;
  gateway.script(
    () => {
      limitedAt = Date.now();
      return { kind: "status", status: 429, headers: { "retry-after": "1" } };
    },
    () => {
      askedAgainAt = Date.now();
      return say("At last.");
    },
  );
  expect(await suite.report({ task: "Ask." })).toMatchObject({ status: "completed", turns: 1, unreportedTokens: 0 });
  expect(askedAgainAt - limitedAt).toBeGreaterThanOrEqual(1_000);
});

test("an endpoint that wants to be left alone for an hour is not waited for", async () => {
  await using both = await startBoth();
  const { gateway, suite } = both;
  gateway.script({ kind: "status", status: 429, headers: { "retry-after": "3600" } });
  expect(await suite.report({ task: "Ask." })).toMatchObject({
    status: "failed",
    error: "limit_reached: The model endpoint limits requests or spending (status 429); try again later.",
  });
});

test.each<[name: string, reply: ScriptedReply, error: string]>([
  ["fails", { kind: "status", status: 503 }, "The model endpoint failed (status 503)"],
  ["talks nonsense", { kind: "raw", body: "<html>" }, "The model endpoint's answer could not be read"],
  ["hangs up in the middle", { kind: "truncated" }, "The model endpoint's answer could not be read"],
])("an endpoint that %s is asked three times, then the run fails and says why", async (_, reply, error) => {
  await using both = await startBoth();
  const { gateway, suite } = both;
  gateway.script(reply, reply, reply, say("Never asked."));
  const report = await suite.report({ task: "Ask." });
  expect(report).toMatchObject({ status: "failed", turns: 0, error: expect.stringContaining(`unavailable: ${error}`) });
  expect(report.unreportedTokens).toBeGreaterThan(0);
  expect(gateway.requests).toHaveLength(3);
});

test("an endpoint that is not there is named in the error", async () => {
  const gone = await startTestGateway();
  await gone[Symbol.asyncDispose]();
  await using suite = await startDelegateSuite({ MODEL_BASE_URL: gone.baseUrl, MODEL_DEFAULT: "m" });
  const report = await suite.report({ task: "Ask." });
  expect(report).toMatchObject({
    status: "failed",
    error: "unavailable: The model endpoint cannot be reached; have MODEL_BASE_URL checked, or try again later.",
  });
});

test("a refused key is told once, and neither it nor the endpoint's words are shown or logged", async () => {
  await using gateway = await startTestGateway({ key: "another" });
  await using suite = await startDelegateSuite({
    MODEL_BASE_URL: gateway.baseUrl,
    MODEL_API_KEY: KEY,
    MODEL_DEFAULT: "m",
  });
  const sent = await suite.send({ task: "Ask." });
  expect(sent).toMatchObject({
    answer: { status: "failed", error: expect.stringContaining("refused the key (status 401)") },
  });
  expect(suite.logs()).toContain("model call failed");
  expect(JSON.stringify(sent) + suite.logs()).not.toContain(KEY);
  expect(JSON.stringify(sent) + suite.logs()).not.toContain("Incorrect API key");
});

test("a sub-agent is offered what its caller may use, and never administration", async () => {
  await using both = await startBoth();
  const { gateway, suite } = both;
  const forbidden = ["note", "administer", "nothing"].map((name) => ({ name, input: {} }));
  gateway.script({ kind: "calls", calls: forbidden }, say("I could not."));
  const report = await suite.report({ task: "Try.", scopes: ["sandbox:exec", "delegate:run", "admin"] });
  expect(report).toMatchObject({ status: "completed", toolCalls: {} });
  expect(gateway.requests[0]?.body.tools.map((tool) => tool.function.name)).toEqual([
    "wait",
    "sandbox_exec",
    "sandbox_send",
    "sandbox_wait",
    "delegate_cancel",
    "delegate_list",
    "delegate_run",
    "delegate_status",
    "ask_caller",
  ]);
  expect(await suite.effects()).toEqual([]);
  expect(toldByTools(gateway)).toHaveLength(3);
});

test("wrong arguments are the model's to correct", async () => {
  await using both = await startBoth();
  const { gateway, suite } = both;
  const calls = [
    { name: "note", input: { txt: "x" } },
    { name: "note", input: "{broken" },
  ];
  gateway.script({ kind: "calls", calls }, note("right"), say("Corrected."));
  expect(await suite.report({ task: "Note." })).toMatchObject({ status: "completed", result: "Corrected." });
  expect(await suite.effects()).toEqual(["right"]);
  expect(toldByTools(gateway)).toContainEqual(marked("invalid_input: Correct the arguments."));
});

test("a long result is cut for the model, and pictures are left out", async () => {
  await using both = await startBoth();
  const { gateway, suite } = both;
  gateway.script({ kind: "calls", calls: [{ name: "picture", input: {} }], usage: USAGE }, say("Seen."));
  await suite.report({ task: "Look." });
  const [told] = toldByTools(gateway);
  expect(String(told).length).toBeLessThan(10_500);
  expect(told).toMatch(/40000 characters left out/);
  expect(told).toMatch(/\[Kept as artifacts\/p\.png \(image\/png, 6 bytes\)\.\]\n<\/data-/);
  expect(told).not.toContain("aGlkZGVu");
});

test("of a reply with too many calls the first sixteen are run", async () => {
  await using both = await startBoth();
  const { gateway, suite } = both;
  const texts = Array.from({ length: 20 }, (_, index) => `n${String(index).padStart(2, "0")}`);
  gateway.script(note(...texts), say("Done."));
  expect(await suite.report({ task: "Note." })).toMatchObject({ status: "completed", toolCalls: { note: 16 } });
  expect(await suite.effects()).toEqual(texts.slice(0, 16));
  expect(toldByTools(gateway)).toHaveLength(20);
});

test.each([
  [
    { kind: "text", text: "half an ans", finishReason: "length", usage: USAGE },
    { status: "budget_exhausted", result: "half an ans" },
  ],
  [{ kind: "text", text: "", usage: USAGE }, { status: "failed" }],
  [{ kind: "text", text: "no", finishReason: "content_filter", usage: USAGE }, { status: "failed" }],
] as const)("the last word %j leaves the run as %j", async (reply, expected) => {
  await using both = await startBoth();
  const { gateway, suite } = both;
  gateway.script(reply);
  expect(await suite.report({ task: "Say it." })).toMatchObject(expected);
});

test("a model that wants max_completion_tokens gets it from then on", async () => {
  await using both = await startBoth();
  const { gateway, suite } = both;
  const body = { error: { message: "Use 'max_completion_tokens' instead.", param: "max_tokens" } };
  gateway.script({ kind: "status", status: 400, body }, note("x"), say("Done."));
  expect(await suite.report({ task: "Say it." })).toMatchObject({ status: "completed", unreportedTokens: 0 });
  expect(gateway.requests.map(({ body: asked }) => "max_completion_tokens" in asked)).toEqual([false, true, true]);
});

test("without a model endpoint the answer says which settings to give", async () => {
  await using suite = await startDelegateSuite({});
  expect(await suite.send({ task: "Ask.", model: "m" })).toEqual({
    ok: false,
    code: "unavailable",
    message:
      "No model endpoint is set; have MODEL_BASE_URL and MODEL_API_KEY set, or AI_GATEWAY_ACCOUNT_ID, AI_GATEWAY_ID and AI_GATEWAY_TOKEN.",
  });
});

test("without a default model the caller is asked to name one", async () => {
  await using suite = await startDelegateSuite({ MODEL_BASE_URL: "http://127.0.0.1:1/v1" });
  expect(await suite.send({ task: "Ask." })).toMatchObject({ ok: false, code: "invalid_input" });
});

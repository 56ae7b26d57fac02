import { expect, test, vi } from "vitest";
import { NANO_USD } from "../../servers/delegate/budget.ts";
import { USAGE, call, marked, note, say, startBoth, toldByTools, until, wait } from "../support/delegate-talk.ts";

// Some start a workerd of their own.
vi.setConfig({ testTimeout: 30_000 });

test("the same call three times in a row ends the run as a loop, and the third is not made", async () => {
  await using both = await startBoth();
  const { gateway, suite } = both;
  gateway.script(note("again"), note("again"), note("again"), say("Never asked."));
  const report = await suite.report({ task: "Go in circles." });
  expect(report).toMatchObject({ status: "loop_detected", toolCalls: { note: 2 } });
  expect(report.error).toMatch(/called note 3 times in a row with the same input/);
  expect(await suite.effects()).toEqual(["again", "again"]);
});

test("two calls in turns are no loop", async () => {
  await using both = await startBoth();
  const { gateway, suite } = both;
  gateway.script(note("a"), note("b"), note("a"), note("b"), note("a"), say("Done."));
  expect(await suite.report({ task: "Alternate." })).toMatchObject({ status: "completed", toolCalls: { note: 5 } });
});

test("a run asks its caller, waits, and goes on with the answer", async () => {
  await using both = await startBoth();
  const { gateway, suite } = both;
  gateway.script(call("ask_caller", { question: "Red or blue?" }), say("Blue it is."));
  const asked = await suite.report({ task: "Paint it." });
  expect(asked).toMatchObject({ status: "input_required", question: "Red or blue?" });
  const ended = await suite.report({ runId: asked.runId, answer: "Blue." });
  expect(ended).toMatchObject({ status: "completed", result: "Blue it is." });
  expect(ended).not.toHaveProperty("question");
  expect(toldByTools(gateway)).toEqual(["Blue."]);
  const twice = await suite.send({ runId: asked.runId, answer: "Red." });
  expect(twice).toEqual({ ok: false, code: "conflict", message: expect.stringContaining("asks nothing") });
});

test("a question that nobody answers ends with the run's time, and is told", async () => {
  await using both = await startBoth();
  const { gateway, suite } = both;
  gateway.script(call("ask_caller", { question: "Red or blue?" }));
  const asked = await suite.report({ task: "Paint it.", budget: { seconds: 2 } });
  expect(asked.status).toBe("input_required");
  await until(async () => (await suite.report({ runId: asked.runId })).status === "budget_exhausted");
  expect(await suite.report({ runId: asked.runId })).toMatchObject({
    error: expect.stringContaining("waited for an answer to: Red or blue?"),
  });
});

test("a run that was asked about by its question survives a restart and takes the answer then", async () => {
  await using both = await startBoth();
  const { gateway, suite } = both;
  gateway.script(call("ask_caller", { question: "Red or blue?" }), say("Red."));
  const { runId } = await suite.report({ task: "Paint it." });
  await suite.killAndRestart();
  expect(await suite.report({ runId })).toMatchObject({ status: "input_required", question: "Red or blue?" });
  expect(await suite.report({ runId, answer: "Red." })).toMatchObject({ status: "completed", result: "Red." });
});

const CITY = {
  type: "object",
  properties: { city: { type: "string" }, people: { type: "integer", minimum: 1 } },
  required: ["city", "people"],
  additionalProperties: false,
};

test("a result that fits the schema comes back as JSON", async () => {
  await using both = await startBoth();
  const { gateway, suite } = both;
  gateway.script(say('```json\n{"city": "Graz", "people": 300000}\n```'));
  const report = await suite.report({ task: "Name a city.", outputSchema: CITY });
  expect(report).toMatchObject({ status: "completed", isStructured: true, result: '{"city":"Graz","people":300000}' });
  expect(String(gateway.requests[0]?.body.messages[0]?.content)).toContain(JSON.stringify(CITY));
});

test("a result that does not fit is sent back once, with what is wrong and without tools", async () => {
  await using both = await startBoth();
  const { gateway, suite } = both;
  gateway.script(say('{"city": "Graz"}'), say('{"city": "Graz", "people": 300000}'));
  const report = await suite.report({ task: "Name a city.", outputSchema: CITY });
  expect(report).toMatchObject({ status: "completed", isStructured: true, turns: 2 });
  expect(String(gateway.requests[1]?.body.messages.at(-1)?.content)).toMatch(/does not fit.*people/s);
  expect(gateway.requests[1]?.body.tool_choice).toBe("none");
});

test("a result that does not fit twice fails the run, and is shown as it is", async () => {
  await using both = await startBoth();
  const { gateway, suite } = both;
  gateway.script(say("Graz."), say("Graz!"), say("Never asked."));
  const report = await suite.report({ task: "Name a city.", outputSchema: CITY });
  expect(report).toMatchObject({ status: "failed", isStructured: false, result: "Graz!", turns: 2 });
  expect(report.error).toMatch(/invalid_input: The result does not fit output_schema/);
});

test("a run is held to the tools that it is given, and those that it may not have are named", async () => {
  await using both = await startBoth();
  const { gateway, suite } = both;
  gateway.script(note("forbidden"), say("I could not."));
  expect(await suite.report({ task: "Try.", tools: ["wait"] })).toMatchObject({ status: "completed", toolCalls: {} });
  expect(gateway.requests[0]?.body.tools.map((tool) => tool.function.name)).toEqual(["wait", "ask_caller"]);
  expect(toldByTools(gateway)).toEqual([expect.stringContaining("unavailable tool 'note'")]);
  expect(await suite.send({ task: "Try.", tools: ["wait", "administer"] })).toMatchObject({
    ok: false,
    code: "invalid_input",
    message: expect.stringMatching(/may not use administer; leave tools out, or name some of note, keep, wait/),
  });
  expect(await suite.list()).toHaveLength(1);
});

test("a run that a run starts is held to the same tools", async () => {
  await using both = await startBoth();
  const { gateway, suite } = both;
  gateway.script(
    call("delegate_run", { task: "Note it.", tools: ["note"] }),
    call("delegate_run", { task: "Note it." }),
    note("forbidden"),
    say("I could not."),
    say("Nor could I."),
  );
  await suite.report({ task: "Have it noted.", tools: ["delegate_run", "wait"] });
  const [toParent, toldParent, toChild] = gateway.requests.map(({ body }) => body);
  expect(toParent?.tools.map((tool) => tool.function.name)).toEqual(["wait", "delegate_run", "ask_caller"]);
  expect(toldParent?.messages.at(-1)?.content).toMatch(/invalid_input: tools: this run may not use note; /);
  expect(toChild?.tools.map((tool) => tool.function.name)).toEqual(["wait", "ask_caller"]);
  expect(await suite.effects()).toEqual([]);
});

test("a run in mode fork has a sandbox of its own from its start to its end", async () => {
  await using both = await startBoth();
  const { gateway, suite } = both;
  gateway.script(note("worked"), say("Done."));
  await suite.report({ task: "Work.", sandboxMode: "fork" });
  await until(async () => (await suite.effects()).length === 3);
  expect(await suite.effects()).toEqual(["forked main", "worked", "discarded"]);
});

test("a run in mode none is offered no sandbox", async () => {
  await using both = await startBoth();
  const { gateway, suite } = both;
  gateway.script(say("Done."));
  await suite.report({ task: "Work.", sandboxMode: "none" });
  const offered = gateway.requests[0]?.body.tools.map((tool) => tool.function.name);
  expect(offered).toContain("note");
  expect(offered).not.toContain("wait");
});

test("an idempotency key finds the run that it started, and refuses another task", async () => {
  await using both = await startBoth();
  const { gateway, suite } = both;
  gateway.script(say("Once."), say("Twice."));
  const first = await suite.report({ task: "Say it.", idempotencyKey: "k" });
  expect(await suite.report({ task: "Say it.", idempotencyKey: "k" })).toEqual(first);
  expect(gateway.requests).toHaveLength(1);
  expect(await suite.send({ task: "Say more.", idempotencyKey: "k" })).toMatchObject({ ok: false, code: "conflict" });
  const other = await suite.report({ task: "Say it.", idempotencyKey: "k", userId: "e".repeat(32) });
  expect(other.runId).not.toBe(first.runId);
});

test("a call of the model that is given up with its run is closed in the books of the day", async () => {
  await using both = await startBoth({ DELEGATE_DAILY_TOKENS: "20000" });
  const { gateway, suite } = both;
  gateway.script({ kind: "hang" });
  const { runId } = await suite.report({ task: "Think.", waitMs: 0 });
  await until(() => gateway.requests.length === 1);
  await suite.report({ runId, cancel: true });
  expect(await suite.report({ task: "Think.", waitMs: 10_000 })).toMatchObject({
    status: "budget_exhausted",
    error: expect.stringContaining("DELEGATE_DAILY_TOKENS"),
  });
});

test("no more runs are under way than may be, and the end of one makes room", async () => {
  await using both = await startBoth({ DELEGATE_RUNS_AT_ONCE: "2" });
  const { gateway, suite } = both;
  gateway.script(wait(60_000), wait(60_000), say("Third."));
  const first = await suite.report({ task: "One.", waitMs: 0 });
  await suite.report({ task: "Two.", waitMs: 0 });
  expect(await suite.send({ task: "Three." })).toEqual({
    ok: false,
    code: "limit_reached",
    message: "2 of your runs are under way; wait for one with delegate_status, or cancel one.",
  });
  await until(() => gateway.requests.length === 2);
  expect(await suite.report({ runId: first.runId, cancel: true })).toMatchObject({ status: "cancelled" });
  await until(async () => (await suite.send({ task: "Three." })).ok);
  expect((await suite.list()).map(({ title, status }) => `${title} ${status}`).toSorted()).toEqual([
    "One. cancelled",
    "Three. completed",
    "Two. running",
  ]);
});

test("a cancelled run ends the command that it is in and those that went on, and its books are closed", async () => {
  await using both = await startBoth();
  const { gateway, suite } = both;
  gateway.script(call("sandbox_exec"), wait(60_000));
  const { runId } = await suite.report({ task: "Work.", waitMs: 0 });
  await until(async () => (await suite.effects()).includes("wait begun"));
  await suite.report({ runId, cancel: true });
  await until(async () => (await suite.effects()).length === 3);
  expect((await suite.effects()).toSorted()).toEqual([
    'sent {"process_id":"main:p1","signal":"SIGKILL","wait_ms":0}',
    "wait aborted",
    "wait begun",
  ]);
});

test("what a run wrote is listed, with what its tools linked", async () => {
  await using both = await startBoth();
  const { gateway, suite } = both;
  gateway.script(call("keep", { path: "table.csv", text: "a,b" }), call("picture"), say("Kept."));
  expect((await suite.report({ task: "Keep it." })).artifacts).toEqual([
    { path: "table.csv", mimeType: "text/csv", sizeBytes: 3 },
    { path: "artifacts/p.png", mimeType: "image/png", sizeBytes: 6 },
  ]);
});

test("material is told apart from the task, and a file that is not there is told before anything is spent", async () => {
  await using both = await startBoth();
  const { gateway, suite } = both;
  gateway.script(call("keep", { path: "a b.txt", text: "x" }), say("Kept."), say("Read."));
  await suite.report({ task: "Keep it." });
  await suite.report({ task: "Read it.", material: ["Some words.", "files:///a%20b.txt"] });
  expect(gateway.requests.at(-1)?.body.messages[1]?.content).toMatch(
    /^Read it\.\n\nMaterial: the file a b\.txt \(files_read shows it\)\.\n\nMaterial:\n<(data-[0-9a-f]{8})>\nSome words\.\n<\/\1>$/,
  );
  const missing = await suite.send({ task: "Read it.", material: ["files:///none.txt"] });
  expect(missing).toMatchObject({ ok: false, code: "not_found" });
  expect(gateway.requests).toHaveLength(3);
});

test("a run that loses its grant ends before its next step; one that loses a scope loses the tools", async () => {
  await using both = await startBoth();
  const { gateway, suite } = both;
  gateway.script(wait(4_000), () => note("never"), say("I could not."), wait(4_000), say("Never asked."));
  const narrowed = await suite.report({ task: "Work.", waitMs: 0 });
  await until(async () => (await suite.effects()).includes("wait begun"));
  await suite.changeGrant(["sandbox:exec", "delegate:run"]);
  expect(await suite.report({ runId: narrowed.runId })).toMatchObject({ status: "completed", toolCalls: { wait: 1 } });
  const revoked = await suite.report({ task: "Work.", waitMs: 0 });
  await until(async () => (await suite.effects()).filter((text) => text === "wait begun").length === 2);
  await suite.changeGrant([]);
  expect(await suite.report({ runId: revoked.runId })).toMatchObject({
    status: "failed",
    error: expect.stringMatching(/^forbidden: The grant that this run acts under is gone/),
  });
  expect(gateway.requests).toHaveLength(4);
});

test("a run of somebody who is paused, or out of dollars, ends before its next step, and waits where nobody can say", async () => {
  await using both = await startBoth();
  const { gateway, suite } = both;
  for (const [standing, status] of [
    ["forbidden", "cancelled"],
    ["limit_reached", "budget_exhausted"],
  ] as const) {
    await suite.setStanding("well");
    gateway.script(wait(3_000));
    const begun = (await suite.effects()).length;
    const run = await suite.report({ task: "Work.", waitMs: 0 });
    await until(async () => (await suite.effects()).length > begun);
    await suite.setStanding(standing);
    expect(await suite.report({ runId: run.runId })).toMatchObject({ status, error: `${standing}: As told.` });
  }
  await suite.setStanding("unavailable");
  const waiting = await suite.report({ task: "Work.", waitMs: 0 });
  expect(await suite.report({ runId: waiting.runId, waitMs: 3_000 })).toMatchObject({ status: "running" });
  expect(gateway.requests).toHaveLength(2);
  gateway.script(say("Done."));
  await suite.setStanding("well");
  expect(await suite.report({ runId: waiting.runId })).toMatchObject({ status: "completed", result: "Done." });
});

test("the next model goes on where one fails, and the report says so", async () => {
  await using both = await startBoth();
  const { gateway, suite } = both;
  const usage = { usage: USAGE };
  gateway.script(
    { kind: "status", status: 429, headers: { "retry-after": "3600" } },
    { kind: "status", status: 503 },
    note("x"),
    { kind: "text", text: "no", finishReason: "content_filter", ...usage },
    say("Done."),
  );
  const report = await suite.report({ task: "Work.", model: "a", fallbacks: ["b", "c", "d"] });
  expect(report).toMatchObject({ status: "completed", result: "Done.", modelsUsed: ["openai/c", "openai/d"] });
  expect(report.notes).toEqual([
    "From turn 1 on b was asked in place of a, which answered with status 429.",
    "From turn 1 on c was asked in place of b, which answered with status 503.",
    "From turn 3 on d was asked in place of c, which gave no usable answer.",
  ]);
  expect(gateway.requests.map(({ body }) => body.model)).toEqual(["a", "b", "c", "c", "d"]);
});

test("our own restart is not taken for the model's failure: no other is asked in its place", async () => {
  await using both = await startBoth();
  const { gateway, suite } = both;
  gateway.script({ kind: "hang" }, say("Survived."));
  const { runId } = await suite.report({ task: "Think.", model: "a", fallbacks: ["b"], waitMs: 0 });
  await until(() => gateway.requests.length === 1);
  await suite.killAndRestart();
  expect(await suite.report({ runId })).toMatchObject({ status: "completed", modelsUsed: ["openai/a"], notes: [] });
});

test("dollars are refused where a price is not known", async () => {
  await using both = await startBoth();
  const sent = await both.suite.send({ task: "Work.", budget: { usd: 1 }, model: "nobody/knows" });
  expect(sent).toMatchObject({ ok: false, code: "invalid_input", message: expect.stringContaining("nobody/knows") });
  expect(await both.suite.list()).toEqual([]);
});

test("what a person may use in a day bounds all their runs, and shortens the last answer", async () => {
  await using both = await startBoth({ DELEGATE_DAILY_TOKENS: "30000" });
  const { gateway, suite } = both;
  gateway.script(
    { kind: "text", text: "One.", usage: { prompt_tokens: 10_000, completion_tokens: 9_000 } },
    { kind: "text", text: "Two.", usage: { prompt_tokens: 5_000, completion_tokens: 4_000 } },
    say("Never asked."),
  );
  await suite.report({ task: "One." });
  await suite.report({ task: "Two." });
  expect(gateway.requests.map(({ body }) => Number(body["max_tokens"]))).toEqual([8_192, expect.any(Number)]);
  expect(await suite.report({ task: "Three." })).toMatchObject({
    status: "budget_exhausted",
    error: expect.stringContaining("DELEGATE_DAILY_USD"),
  });
  expect(gateway.requests).toHaveLength(2);
});

test("what costs without a known price is refused once the day's dollars are passed", async () => {
  await using both = await startBoth({ DELEGATE_DAILY_USD: "10" });
  const { gateway, suite } = both;
  const dear = { kind: "text", text: "Dear.", usage: { ...USAGE, cost: 6 } } as const;
  gateway.script(dear, dear, dear);
  await suite.report({ task: "One." });
  await suite.report({ task: "Two." });
  expect(await suite.report({ task: "Three." })).toMatchObject({
    status: "budget_exhausted",
    error: expect.stringContaining("DELEGATE_DAILY_USD"),
  });
  expect(gateway.requests).toHaveLength(2);
});

test("what a cancelled run had set aside for its model stands, and nobody waits for it", async () => {
  await using both = await startBoth({ DELEGATE_DAILY_TOKENS: "13000" });
  const { gateway, suite } = both;
  gateway.script({ kind: "hang" }, say("Never asked."));
  const { runId } = await suite.report({ task: "Think.", waitMs: 0 });
  await until(() => gateway.requests.length === 1);
  await suite.report({ runId, cancel: true });
  await until(async () => (await suite.report({ runId })).conversation !== undefined);
  // Its reservation stands and nobody waits for it: the next is told at once.
  expect(await suite.report({ task: "Think.", budget: { seconds: 600 } })).toMatchObject({
    status: "budget_exhausted",
    error: expect.stringContaining("DELEGATE_DAILY_TOKENS"),
  });
});

test("a start that was refused leaves neither a place taken nor a run to be found", async () => {
  await using both = await startBoth({ DELEGATE_RUNS_AT_ONCE: "1" });
  const { gateway, suite } = both;
  const order = { task: "Wait.", idempotencyKey: "k" };
  expect(await suite.send({ ...order, tools: ["nothing"] })).toMatchObject({ ok: false, code: "invalid_input" });
  expect(await suite.list()).toEqual([]);
  gateway.script(wait(60_000), wait(60_000));
  await suite.report({ ...order, waitMs: 0 });
  expect(await suite.send({ task: "Wait too.", waitMs: 0 })).toMatchObject({ ok: false, code: "limit_reached" });
});

test("more material than a message can be is refused with what to do", async () => {
  await using both = await startBoth();
  const material = Array.from({ length: 10 }, () => "x".repeat(200_000));
  expect(await both.suite.send({ task: "Read.", material })).toMatchObject({
    ok: false,
    code: "too_large",
    message: expect.stringContaining("files:///path"),
  });
});

test("a run with a key outlives a caller who goes away, and the key finds it again", async () => {
  await using both = await startBoth();
  const { gateway, suite } = both;
  gateway.script(wait(2_000), say("Done."));
  const order = { task: "Wait.", idempotencyKey: "k" };
  const waiting = suite.report({ ...order, mayLeave: true });
  await until(async () => (await suite.effects()).includes("wait begun"));
  await suite.leave();
  await waiting;
  expect(await suite.report(order)).toMatchObject({ status: "completed", result: "Done." });
});

test("another client of the same person finds a run if it could have started it", async () => {
  await using both = await startBoth();
  const { gateway, suite } = both;
  gateway.script(call("ask_caller", { question: "Red or blue?" }), say("Blue."));
  const scopes = ["sandbox:exec", "delegate:run"];
  const { runId } = await suite.report({ task: "Paint.", scopes });
  const less = { clientId: "client-2", scopes: ["delegate:run"] };
  expect(await suite.send({ runId, answer: "Red.", ...less })).toMatchObject({ ok: false, code: "not_found" });
  expect(await suite.send({ runId, cancel: true, ...less })).toMatchObject({ ok: false, code: "not_found" });
  expect(await suite.report({ runId, answer: "Blue.", clientId: "client-2", scopes })).toMatchObject({
    status: "completed",
  });
});

test("waiting for a command again and again is no loop", async () => {
  await using both = await startBoth();
  const { gateway, suite } = both;
  gateway.script(...Array.from({ length: 4 }, () => call("sandbox_wait")), say("Done."));
  expect(await suite.report({ task: "Wait." })).toMatchObject({ status: "completed", toolCalls: { sandbox_wait: 4 } });
});

test("what a failing tool says is marked as well", async () => {
  await using both = await startBoth();
  const { gateway, suite } = both;
  gateway.script(call("note", { txt: "x" }), say("Done."));
  await suite.report({ task: "Note." });
  expect(toldByTools(gateway)).toEqual([marked("invalid_input: Correct the arguments.")]);
});

test("a sub-agent's own run draws on its budget and its use is counted once, in both", async () => {
  await using both = await startBoth();
  const { gateway, suite } = both;
  gateway.script(
    call("delegate_run", { task: "Note it.", budget: { tokens: 50_000 } }),
    note("by the child"),
    say("Child done."),
    say("All done."),
  );
  const report = await suite.report({ task: "Have it noted.", budget: { tokens: 150_000 } });
  expect(report).toMatchObject({ status: "completed", result: "All done." });
  expect(report.ledger).toMatchObject({ inputTokens: 400, outputTokens: 40, calls: 4, children: {} });
  expect(report.ledger.charged.tokens).toBe(440);
  const [offeredToParent, offeredToChild] = gateway.requests.map(({ body }) =>
    body.tools.map((tool) => tool.function.name),
  );
  expect(offeredToParent).toContain("delegate_run");
  expect(offeredToChild).not.toContain("delegate_run");
  expect(await suite.list()).toHaveLength(2);
});

test("a sub-agent cannot give its own run more than it has left", async () => {
  await using both = await startBoth();
  const { gateway, suite } = both;
  gateway.script(
    call("delegate_run", { task: "Spend.", budget: { tokens: 5_000_000 }, wait_ms: 0 }),
    { kind: "hang" },
    { kind: "hang" },
  );
  const { runId } = await suite.report({ task: "Have it spent.", budget: { tokens: 100_000 }, waitMs: 0 });
  await until(async () => (await suite.report({ runId, waitMs: 0 })).status === "budget_exhausted");
  const report = await suite.report({ runId });
  expect(report.ledger.charged.tokens).toBeLessThanOrEqual(100_000);
  expect(report.error).toMatch(/are left of budget.tokens/);
});

test("a run that a run starts in its copy of the sandbox works there as well, and copies that", async () => {
  await using both = await startBoth();
  const { gateway, suite } = both;
  gateway.script(
    call("delegate_run", { task: "Share." }),
    say("Shared."),
    call("delegate_run", { task: "Fork.", sandbox_mode: "fork" }),
    say("Forked."),
    say("Done."),
  );
  const { runId } = await suite.report({ task: "Have it done.", sandboxMode: "fork" });
  await until(async () => (await suite.effects()).filter((text) => text === "discarded").length === 2);
  expect((await suite.effects()).filter((text) => text.startsWith("forked"))).toEqual([
    "forked main",
    `forked ${runId}`,
  ]);
});

test("a run that a run starts cannot be lost to its budget with the answer to its start", async () => {
  await using both = await startBoth({ LOSE_START_OF: "Be lost." });
  const { gateway, suite } = both;
  gateway.script(
    call("delegate_run", { task: "Be lost.", budget: { tokens: 50_000 } }),
    say("I am here."),
    say("Done."),
  );
  const report = await suite.report({ task: "Have it done." });
  expect(report).toMatchObject({ status: "completed", result: "Done.", ledger: { calls: 3, inputTokens: 300 } });
});

test("a run that ends takes the runs along that it started", async () => {
  await using both = await startBoth();
  const { gateway, suite } = both;
  gateway.script(
    call("delegate_run", { task: "Wait.", budget: { tokens: 50_000 }, wait_ms: 0 }),
    wait(60_000),
    wait(60_000),
  );
  const { runId } = await suite.report({ task: "Have it waited.", waitMs: 0 });
  await until(async () => (await suite.effects()).length === 2);
  await suite.report({ runId, cancel: true });
  await until(async () => (await suite.list()).every(({ status }) => status === "cancelled"));
  await until(async () => (await suite.effects()).filter((text) => text === "wait aborted").length === 2);
  expect((await suite.report({ runId })).ledger.children).toEqual({});
});

test("a sub-agent finds its own runs and nobody else's", async () => {
  await using both = await startBoth();
  const { gateway, suite } = both;
  gateway.script(say("First."));
  const { runId } = await suite.report({ task: "Be found." });
  gateway.script(call("delegate_status", { run_id: runId }), call("delegate_list"), say("Nothing."));
  await suite.report({ task: "Look around." });
  expect(toldByTools(gateway)).toEqual([marked("not_found: .*"), marked('\\{"runs":\\[\\]\\}')]);
});

test("what a run's models used is in its person's books, by model and client, and what it cost is told apart", async () => {
  await using both = await startBoth({ MODEL_PRICES: '{"openai/cheap":{"input":2,"output":4}}' });
  const { gateway, suite } = both;
  gateway.script(
    { kind: "calls", calls: [{ name: "note", input: { text: "one" } }], usage: { ...USAGE, cost: 0.25 } },
    { kind: "text", text: "Done.", usage: { ...USAGE, cost: 0.25 } },
    { kind: "text", text: "Cheap.", usage: USAGE },
  );
  await suite.report({ task: "Measured." });
  await suite.report({ task: "Listed.", model: "openai/cheap" });
  const { prompt_tokens: input, completion_tokens: output } = USAGE;
  const listedNanoUsd = input * 2_000 + output * 4_000;
  await until(async () => JSON.stringify(await suite.usage()).includes("cheap"));
  expect(await suite.usage()).toMatchObject({
    models: [
      { key: "openai/cheap", calls: 0, modelCalls: 1, inputTokens: input, nanoUsd: 0, estimatedNanoUsd: listedNanoUsd },
      { key: "openai/m", modelCalls: 2, inputTokens: 2 * input, outputTokens: 2 * output, nanoUsd: NANO_USD / 2 },
    ],
    clients: [{ key: "client-1", modelCalls: 3, nanoUsd: NANO_USD / 2, estimatedNanoUsd: listedNanoUsd }],
    runs: expect.arrayContaining([
      expect.objectContaining({ title: "Measured.", spentNanoUsd: NANO_USD / 2, spentTokens: 2 * (input + output) }),
    ]),
  });
});

test("what a model call came to is in the books while the tool that it asked for is still at work", async () => {
  await using both = await startBoth();
  const { gateway, suite } = both;
  gateway.script(wait(60_000));
  const { runId } = await suite.report({ task: "Wait.", waitMs: 0 });
  await until(async () => (await suite.effects()).includes("wait begun"));
  await until(async () => JSON.stringify(await suite.usage()).includes('"modelCalls":1'));
  expect(await suite.effects()).toEqual(["wait begun"]);
  await suite.report({ runId, cancel: true });
  expect(await suite.usage()).toMatchObject({ models: [{ modelCalls: 1, inputTokens: USAGE.prompt_tokens }] });
});

test("what a model call came to is not lost with a Worker that is killed before anybody is told, and counts once", async () => {
  await using both = await startBoth();
  const { gateway, suite } = both;
  gateway.script(wait(60_000), say("Survived."));
  const { runId } = await suite.report({ task: "Wait.", waitMs: 0 });
  await until(async () => (await suite.effects()).includes("wait begun"));
  await suite.killAndRestart();
  expect(await suite.report({ runId })).toMatchObject({ status: "completed" });
  await until(async () => JSON.stringify(await suite.usage()).includes('"modelCalls":2'));
  expect(await suite.usage()).toMatchObject({
    models: [{ modelCalls: 2, inputTokens: 2 * USAGE.prompt_tokens, outputTokens: 2 * USAGE.completion_tokens }],
  });
});

test("a run is told of in dollars where the endpoint tells them", async () => {
  await using both = await startBoth();
  const { gateway, suite } = both;
  gateway.script({ kind: "text", text: "Paid.", usage: { ...USAGE, cost: 0.25 } });
  const { ledger } = await suite.report({ task: "Cost." });
  expect(ledger).toMatchObject({ costNanoUsd: NANO_USD / 4, isCostKnown: true });
});

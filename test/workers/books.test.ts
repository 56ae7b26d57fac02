import { runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { expect, test } from "vitest";
import { dayOf } from "../../servers/account/figures.ts";
import { type Books, createRecorder } from "../../servers/account/books.ts";
import { StorageCost } from "../../servers/account/storage-cost.ts";
import { consoleLog } from "../../servers/core/log.ts";

test(
  "every call of a busy moment is in the books once, whoever else's calls are between",
  { timeout: 30_000 },
  async () => {
    const books: Books = new Map();
    const work: Promise<unknown>[] = [];
    const accountOf = (userId: string) => env.ACCOUNT.get(env.ACCOUNT.idFromName(userId));
    const recorderOf = (userId: string) =>
      createRecorder(books, {
        account: accountOf(userId),
        userId,
        clientId: "c1",
        isBilled: false,
        waitUntil: (promise) => work.push(promise),
        log: consoleLog,
      });
    const startedMs = Date.now();
    const ids = Array.from({ length: 40 }, () => crypto.randomUUID());
    for (const [index, id] of ids.entries()) {
      const finished = {
        tool: "test_tool",
        input: {},
        outcome: "ok",
        atMs: startedMs + index,
        durationMs: 1,
        outputBytes: 2,
      };
      recorderOf("busy-1")({ id, ...finished });
      if (index % 10 === 0) recorderOf("busy-2")({ id: crypto.randomUUID(), ...finished });
      await scheduler.wait(5);
    }
    await Promise.all(work);
    expect((await accountOf("busy-1").listAudit(100)).map(({ id }) => id)).toEqual(ids.toReversed());
    expect(await accountOf("busy-1").costTotal()).toMatchObject({ calls: 40 });
    expect(await accountOf("busy-2").listAudit(100)).toHaveLength(4);
    expect(books.size).toBe(0);
  },
);

const DAY_MS = 24 * 60 * 60 * 1_000;
const EVER = { fromDay: "2000-01-01", toDay: "2999-12-31" };

test("a call leaves the name of the sandbox or browser that it was at work in", async () => {
  const calls: readonly (readonly [tool: string, input: unknown, outcome: string, handle: string | undefined])[] = [
    ["sandbox_exec", { command: "true" }, "ok", "sandbox main"],
    ["interpreter_run", { code: "1", sandbox: "dev" }, "timeout", "sandbox dev"],
    ["browser_open", { url: "https://example.com/", browser: "b" }, "ok", "browser b"],
    ["browser_read", {}, "ok", "browser main"],
    ["browser_read", { url: "https://example.com/", browser: "once" }, "ok", undefined],
    ["sandbox_exec", { sandbox: "<b>no name</b>" }, "ok", undefined],
    ["sandbox_exec", { sandbox: "refused" }, "invalid_input", undefined],
    ["files_read", { sandbox: "other" }, "ok", undefined],
    // Names that cost nothing to make up would push those out in which something runs, and a pause would not end it.
    ["browser_snapshot", { browser: "none" }, "not_found", undefined],
    ["sandbox_exec", { sandbox: "over" }, "limit_reached", undefined],
    ["sandbox_send", { sandbox: "none" }, "conflict", undefined],
    ["sandbox_status", { sandbox: "none" }, "ok", undefined],
    ["sandbox_reset", { sandbox: "none" }, "ok", undefined],
    ["interpreter_list", { sandbox: "none" }, "ok", undefined],
    ["browser_close", { browser: "none" }, "ok", undefined],
  ];
  const work: Promise<unknown>[] = [];
  const account = env.ACCOUNT.get(env.ACCOUNT.idFromName("namer"));
  const recorder = (isSandboxPassing: boolean) =>
    createRecorder(new Map(), {
      ...{ account, userId: "namer", clientId: "c1", isBilled: false, isSandboxPassing, log: consoleLog },
      waitUntil: (promise) => work.push(promise),
    });
  for (const [index, [tool, input, outcome]] of calls.entries()) {
    const finished = { id: crypto.randomUUID(), atMs: Date.now() + index, durationMs: 1_000, outputBytes: 2 };
    recorder(false)({ ...finished, tool, input, outcome });
  }
  recorder(true)({
    ...{ id: crypto.randomUUID(), tool: "sandbox_exec", input: { sandbox: "copy" }, outcome: "ok" },
    ...{ atMs: Date.now(), durationMs: 1_000, outputBytes: 2 },
  });
  await Promise.all(work);
  const { handles } = await account.things();
  const named = calls.flatMap(([, , , handle]) => handle ?? []);
  expect(new Set(handles.map(({ kind, name }) => `${kind} ${name}`))).toEqual(new Set(named));
  // On a person's own machine the work in sandboxes counts as their time.
  expect(await account.usage({ ...EVER, by: "server" })).toMatchObject([
    { key: "browser", calls: 5, sandboxMs: 0 },
    { key: "files", calls: 1, sandboxMs: 0 },
    { key: "interpreter", calls: 2, sandboxMs: 2_000 },
    { key: "sandbox", calls: 8, sandboxMs: 8_000 },
  ]);
});

test("what files take costs something a day, from the first whole day on, each day once", async () => {
  const account = env.ACCOUNT.get(env.ACCOUNT.idFromName("keeper"));
  const NOW_MS = Date.UTC(2026, 10, 10, 12);
  const dues = await runInDurableObject(account, async (instance, { storage }) => {
    let bytes = 0;
    const cost = new StorageCost({
      sql: storage.sql,
      bytes: () => bytes,
      isBilled: () => true,
      keepCosts: async (costs) => await instance.keepCosts(costs),
    });
    const due = [cost.dueAtMs()];
    bytes = 3e9;
    due.push(cost.dueAtMs());
    await cost.run(NOW_MS);
    due.push(cost.dueAtMs());
    for (const nowMs of [NOW_MS + DAY_MS, NOW_MS + DAY_MS + 1, NOW_MS + 3 * DAY_MS]) await cost.run(nowMs);
    return due;
  });
  expect(dues).toEqual([undefined, 0, Date.UTC(2026, 10, 11)]);
  const rows = await account.usage({ ...EVER, by: "day" });
  expect(rows.map(({ key, calls, estimatedNanoUsd }) => [key, calls, estimatedNanoUsd])).toEqual([
    [dayOf(NOW_MS - DAY_MS), 0, 0],
    [dayOf(NOW_MS), 0, 1_500_000],
    [dayOf(NOW_MS + 2 * DAY_MS), 0, 1_500_000],
  ]);
});

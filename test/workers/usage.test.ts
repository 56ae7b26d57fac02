import { reset, runDurableObjectAlarm } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterEach, expect, test } from "vitest";
import type { BooksEntry } from "../../servers/account/book-table.ts";
import { dayOf } from "../../servers/account/figures.ts";
import { accountOf } from "./open-files.ts";

afterEach(async () => {
  await reset();
});

const NOW_MS = Date.now();
const TODAY = dayOf(NOW_MS);
const directory = () => env.DIRECTORY.get(env.DIRECTORY.idFromName("directory"));

function entry(audit: Partial<BooksEntry["audit"]> = {}, rest: Partial<BooksEntry> = {}): BooksEntry {
  const id = crypto.randomUUID();
  const call = { clientId: "c1", tool: "files_list", outcome: "ok", durationMs: 2, inputDigest: "d", outputBytes: 3 };
  return { audit: { id, atMs: NOW_MS, ...call, ...audit }, cost: { callId: id, atMs: NOW_MS, nanoUsd: 7 }, ...rest };
}

test("calls are added up by day, server, tool and client, each of them once", async () => {
  const account = accountOf("adder");
  const twice = entry();
  await account.record("adder", [twice, twice, entry({ tool: "files_read", clientId: "c2", outcome: "timeout" })]);
  await account.record("adder", [twice, entry({ tool: "sandbox_exec" })]);
  const asked = { fromDay: TODAY, toDay: TODAY };
  const figures = { calls: 3, failed: 1, durationMs: 6, outputBytes: 9, nanoUsd: 0, estimatedNanoUsd: 21 };
  expect(await account.usage({ ...asked, by: "day" })).toMatchObject([{ key: TODAY, ...figures }]);
  const keysBy = async (by: "server" | "tool" | "client" | "model") =>
    (await account.usage({ ...asked, by })).map(({ key, calls }) => [key, calls]);
  expect(await keysBy("server")).toEqual([
    ["files", 2],
    ["sandbox", 1],
  ]);
  expect(await keysBy("tool")).toEqual([
    ["files_list", 1],
    ["files_read", 1],
    ["sandbox_exec", 1],
  ]);
  expect(await keysBy("client")).toEqual([
    ["c1", 2],
    ["c2", 1],
  ]);
  expect(await keysBy("model")).toEqual([]);
});

test("the directory hears of it with the next alarm", async () => {
  await directory().notePerson({ userId: "told", displayName: "told@example.com", role: "member" }, NOW_MS);
  const broken = entry({ tool: "browser_open", outcome: "internal" });
  await accountOf("told").record("told", [entry(), broken]);
  // It rings before its time here.
  await scheduler.wait(5_100);
  await runDurableObjectAlarm(accountOf("told"));
  expect(await directory().person("told")).toMatchObject({
    displayName: "told@example.com",
    role: "member",
    month: { calls: 2, failed: 1, estimatedNanoUsd: 14 },
  });
  expect(await directory().errors(10)).toEqual([
    { reference: broken.audit.id, atMs: NOW_MS, tool: "browser_open", userId: "told" },
  ]);
  const rows = await directory().usage({ fromDay: TODAY, toDay: TODAY, by: "person" }, 10);
  expect(rows).toMatchObject([{ key: "told", calls: 2 }]);
});

test("sandboxes and browsers that calls were at work in are things of their person", async () => {
  const account = accountOf("holder");
  const used = { handle: { kind: "sandbox", name: "main" } } as const;
  await account.record("holder", [entry({}, used), entry({ atMs: NOW_MS + 5 }, used)]);
  const things = await account.things();
  expect(things.handles).toEqual([{ ...used.handle, firstUsedMs: NOW_MS, lastUsedMs: NOW_MS + 5 }]);
  expect(await account.thingsSince(things.revision)).toBeUndefined();
  await account.record("holder", [entry()]);
  expect(await account.thingsSince(things.revision)).toMatchObject({ runs: [] });
});

test("of names that are made up the newest two hundred are kept, and all that may be at work", async () => {
  const account = accountOf("maker");
  const DAY_MS = 24 * 60 * 60 * 1_000;
  const uses = (atMs: number, prefix: string, count: number) =>
    Array.from({ length: count }, (_, index) =>
      entry({ atMs: atMs + index }, { handle: { kind: "sandbox", name: `${prefix}${index}` } }),
    );
  await account.record("maker", uses(NOW_MS - 3 * DAY_MS, "old", 150));
  await account.record("maker", uses(NOW_MS, "new", 250));
  const { handles } = await account.things();
  expect(handles.filter(({ name }) => name.startsWith("new"))).toHaveLength(250);
  expect(handles).toHaveLength(250);
});

import { runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { expect, test } from "vitest";
import { AuditExport } from "../../servers/account/audit-export.ts";
import { BookTable, type BooksEntry } from "../../servers/account/book-table.ts";
import { auditPrefix, filesPrefix } from "../../servers/shared/paths.ts";
import { accountOf, watchBucket } from "./open-files.ts";

const DAY_MS = 24 * 60 * 60_000;
/** A row of the first minute of its day, and so many days ago. */
const daysAgo = (days: number): number => (Math.floor(Date.now() / DAY_MS) - days) * DAY_MS + 60_000;
const dayOf = (atMs: number): string => new Date(atMs).toISOString().slice(0, 10);

function entry(id: string, atMs: number): BooksEntry {
  const call = { clientId: "c1", tool: "files_list", outcome: "ok", durationMs: 1.5, inputDigest: "d", outputBytes: 2 };
  return { audit: { id, atMs, ...call }, cost: { callId: id, atMs, nanoUsd: 7 } };
}

async function listed(userId: string): Promise<string[]> {
  return (await env.FILES.list({ prefix: auditPrefix(userId) })).objects.map(({ key }) => key);
}

const parseLine = (line: string): unknown => JSON.parse(line);

async function linesOf(userId: string): Promise<unknown[]> {
  const bodies = (await listed(userId)).map(async (key) => await (await env.FILES.get(key))?.text());
  return (await Promise.all(bodies)).flatMap((text = "") => text.trimEnd().split("\n")).map(parseLine);
}

async function kept(userId: string): Promise<string[]> {
  return (await accountOf(userId).listAudit(20_000)).map(({ id }) => id);
}

/** The alarm, until it has nothing to do now; how often it went off. */
async function ring(userId: string): Promise<number> {
  for (let times = 1; ; times += 1) {
    await runDurableObjectAlarm(accountOf(userId));
    const atMs = await runInDurableObject(accountOf(userId), async (_, { storage }) => await storage.getAlarm());
    if (atMs === null || atMs > Date.now()) return times;
  }
}

test("a day's audit rows go to R2 ninety days after it is over, and leave the account", async () => {
  const account = accountOf("old");
  const [day, eve] = [daysAgo(92), daysAgo(90)];
  await account.record("old", [entry("b", day + 1), entry("a", day), entry("new", eve)]);
  await ring("old");
  expect(await listed("old")).toEqual([`users/old/audit/${dayOf(day)}/a.jsonl`]);
  const row = { client_id: "c1", tool: "files_list", outcome: "ok", duration_ms: 1.5, input_digest: "d" };
  expect(await linesOf("old")).toEqual([
    { id: "a", at: new Date(day).toISOString(), ...row, output_bytes: 2 },
    { id: "b", at: new Date(day + 1).toISOString(), ...row, output_bytes: 2 },
  ]);
  expect(await kept("old")).toEqual(["new"]);
  expect(await account.costTotal()).toEqual({ calls: 3, nanoUsd: 21 });
  expect((await env.FILES.list({ prefix: filesPrefix("old") })).objects).toEqual([]);
});

test("the first row sets the alarm for the day on which it is due", async () => {
  const atStart = daysAgo(0);
  await accountOf("young").record("young", [entry("a", atStart)]);
  // The directory hears of it first.
  await scheduler.wait(5_100);
  await ring("young");
  const atMs = await runInDurableObject(accountOf("young"), async (_, { storage }) => await storage.getAlarm());
  expect(atMs).toBe(atStart - 60_000 + 91 * DAY_MS);
  expect(await kept("young")).toEqual(["a"]);
});

test("one alarm takes a bounded part, one day at a time, and the next goes on", async () => {
  const rows = Array.from({ length: 5_001 }, (_, index) => entry(`${100_000 + index}`, daysAgo(100) + index));
  await accountOf("busy").record("busy", [...rows, entry("other-day", daysAgo(99))]);
  expect(await ring("busy")).toBe(3);
  expect(await listed("busy")).toEqual([
    `users/busy/audit/${dayOf(daysAgo(100))}/100000.jsonl`,
    `users/busy/audit/${dayOf(daysAgo(100))}/105000.jsonl`,
    `users/busy/audit/${dayOf(daysAgo(99))}/other-day.jsonl`,
  ]);
  expect(await linesOf("busy")).toHaveLength(5_002);
  expect(await kept("busy")).toEqual([]);
});

/** The chore as it runs in that account, on a bucket of the test's. */
async function exportTo(userId: string, bucket: R2Bucket): Promise<void> {
  await runInDurableObject(accountOf(userId), async (_, { storage }) => {
    await new AuditExport(new BookTable(storage.sql), bucket, () => 90).run();
  });
}

test("where R2 does not take the object, no row is lost, and the next alarm exports them", async () => {
  await accountOf("unlucky").record("unlucky", [entry("a", daysAgo(92)), entry("b", daysAgo(92))]);
  const down = watchBucket(() => Promise.reject(new Error("R2 is away")));
  await expect(exportTo("unlucky", down)).rejects.toThrow("R2 is away");
  expect(await kept("unlucky")).toEqual(["b", "a"]);
  expect(await listed("unlucky")).toEqual([]);
  await ring("unlucky");
  expect(await kept("unlucky")).toEqual([]);
  expect(await linesOf("unlucky")).toMatchObject([{ id: "a" }, { id: "b" }]);
});

test("an export that ended before its rows were deleted is made again in the same place", async () => {
  await accountOf("killed").record("killed", [entry("a", daysAgo(92)), entry("b", daysAgo(92))]);
  const dying = new Proxy(env.FILES, {
    get: (target, name): unknown =>
      name === "put"
        ? async (key: string, text: string) => {
            await target.put(key, text);
            throw new Error("The object ends here.");
          }
        : Reflect.get(target, name),
  });
  await expect(exportTo("killed", dying)).rejects.toThrow("ends here");
  const [before, rows] = [await listed("killed"), await kept("killed")];
  expect([before.length, rows]).toEqual([1, ["b", "a"]]);
  await ring("killed");
  expect(await listed("killed")).toEqual(before);
  expect(await linesOf("killed")).toHaveLength(2);
  expect(await kept("killed")).toEqual([]);
});

test("a row that comes while its day is being exported goes with the next export", async () => {
  await accountOf("late").record("late", [entry("b", daysAgo(92) + 1)]);
  await runInDurableObject(accountOf("late"), async (_, { storage }) => {
    const books = new BookTable(storage.sql);
    const bucket = watchBucket(() => void books.write("late", [entry("a", daysAgo(92))]));
    await new AuditExport(books, bucket, () => 90).run();
  });
  expect(await kept("late")).toEqual(["a"]);
  await ring("late");
  expect(await listed("late")).toHaveLength(2);
  expect(await linesOf("late")).toMatchObject([{ id: "a" }, { id: "b" }]);
});

import { evictDurableObject, reset, runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterEach, expect, test } from "vitest";
import { StopTable } from "../../servers/directory/stop-table.ts";
import { createRules } from "../../servers/suite-acts.ts";
import { isolate, rules, settle, without } from "./gate-suite.ts";
import { accountOf } from "./open-files.ts";

/* No sandbox runtime answers here: what a person has in a sandbox cannot be ended. */

afterEach(async () => {
  await reset();
});

const directory = () => env.DIRECTORY.get(env.DIRECTORY.idFromName("directory"));

/** Everybody whose work is still to be ended, with how often that was done and failed. */
async function stops(): Promise<unknown[]> {
  return await runInDurableObject(directory(), (_, { storage }) =>
    storage.sql.exec("SELECT user_id, times, failures FROM stops ORDER BY user_id").toArray(),
  );
}

/** Somebody who has used a sandbox, and of whom the directory knows. */
async function work(userId: string): Promise<void> {
  const { outcome } = isolate(userId);
  expect(await outcome("sandbox_exec")).toBe("ok");
  await settle();
  await directory().notePerson({ userId, displayName: userId, role: "member" }, Date.now());
}

test("whose work cannot be ended is tried again, after an eviction too, until the pause is lifted", async () => {
  await work("stuck");
  await rules.pausePerson("stuck", "");
  await expect.poll(stops).toEqual([{ user_id: "stuck", times: 0, failures: 1 }]);
  await evictDurableObject(directory());
  await scheduler.wait(2_100);
  await runDurableObjectAlarm(directory());
  await expect.poll(stops).toEqual([{ user_id: "stuck", times: 0, failures: 2 }]);
  // What somebody does who is let in again is theirs.
  await rules.resumePerson("stuck");
  await scheduler.wait(4_100);
  await runDurableObjectAlarm(directory());
  await expect.poll(stops).toMatchObject([{ user_id: "stuck", failures: 0 }]);
});

test("a pause of everybody ends the work of all who were here lately, and of nobody else", async () => {
  for (const userId of ["lately-1", "lately-2"]) await work(userId);
  await directory().notePerson({ userId: "long-ago", displayName: "", role: "member" }, Date.now() - 49 * 3_600_000);
  await rules.pauseAll("");
  await expect.poll(stops).toMatchObject([{ user_id: "lately-1" }, { user_id: "lately-2" }]);
  expect(await directory().person("lately-1")).toMatchObject({ isPaused: false });
});

test("the work of however many is ended", async () => {
  await runInDurableObject(directory(), (_, { storage }) => {
    const userIds = Array.from({ length: 400_000 }, (_person, index) => String(index).padStart(32, "0"));
    new StopTable(storage.sql).begin(userIds, 0);
    expect(storage.sql.exec("SELECT count(*) AS count FROM stops").one()).toEqual({ count: userIds.length });
  });
});

test("a pause that the account has not heard of is said to have failed, and ends nothing", async () => {
  const pausing = createRules(without("ACCOUNT")).pausePerson("unheard", "");
  await expect(pausing).rejects.toMatchObject({ code: "unavailable" });
  expect(await stops()).toEqual([]);
});

test("people's list shows who is paused and who has limits of their own", async () => {
  await work("listed");
  await rules.pausePerson("listed", "Why");
  await rules.setPersonLimits("listed", { usdPerDay: 1 });
  expect(await directory().person("listed")).toMatchObject({ isPaused: true, hasLimits: true });
  await rules.resumePerson("listed");
  await rules.setPersonLimits("listed", {});
  expect(await directory().person("listed")).toMatchObject({ isPaused: false, hasLimits: false });
  expect(await accountOf("listed").standing()).toMatchObject({ own: {} });
});

test("work is ended at once, and twice more while calls may still have begun", async () => {
  await runInDurableObject(directory(), (_, { storage }) => {
    const table = new StopTable(storage.sql);
    table.begin(["a", "b"], 1_000);
    const [a, b] = table.due(1_000, 10);
    if (a === undefined || b === undefined) throw new Error("Both are due.");
    table.succeed(a);
    table.fail(b, 1_500);
    expect(table.dueAtMs()).toBe(3_500);
    expect(table.due(4_000, 10).map(({ userId }) => userId)).toEqual(["b", "a"]);
    const again = table.due(4_000, 10).find(({ userId }) => userId === "a");
    if (again === undefined) throw new Error("It is due.");
    table.succeed(again);
    expect(table.due(13_000, 10)).toMatchObject([{ userId: "b" }, { userId: "a", times: 2 }]);
    const last = table.due(13_000, 10).find(({ userId }) => userId === "a");
    // A new pause begins anew, whatever comes of the old one.
    table.begin(["a"], 20_000);
    if (last !== undefined) table.succeed(last);
    expect(table.due(20_000, 10).find(({ userId }) => userId === "a")).toMatchObject({ times: 0, beganAtMs: 20_000 });
  });
});

import { reset } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { CATALOG } from "../../servers/catalog.ts";
import { SCOPES } from "../../auth/scopes.ts";
import { linkSuite } from "../support/link-suite.ts";
import { isolate, rules, settle, standing, waitForRoomInMinute } from "./gate-suite.ts";
import { accountOf } from "./open-files.ts";

afterEach(async () => {
  await settle();
  await reset();
});

const RAISE = "or have an admin raise it at http://localhost:8717/admin/limits.";

/** Fills the day of a person's books. */
async function spend(userId: string, kind: "sandbox" | "browser", hours: number, usd = 0): Promise<void> {
  const use = { kind, ms: hours * 3_600_000 };
  const callId = `${kind}/${crypto.randomUUID()}`;
  await accountOf(userId).keepCosts([{ callId, atMs: Date.now(), nanoUsd: usd * 1e9, use }]);
}

describe("calls a minute", () => {
  beforeEach(waitForRoomInMinute);

  test("beyond the limit are refused with which it is, until when, and who can raise it", async () => {
    await rules.setPersonLimits("minute-1", { callsPerMinute: 3 });
    const { outcome } = isolate("minute-1");
    const began: string[] = [];
    const work = async (): Promise<void> => void began.push("");
    for (let call = 0; call < 3; call++) expect(await outcome("files_list", work)).toBe("ok");
    const refused = await outcome("files_list", work);
    const until = new Date((Math.floor(Date.now() / 60_000) + 1) * 60_000).toISOString();
    expect(refused).toBe(`limit_reached: calls_per_minute (3) is used up until ${until}: wait until then, ${RAISE}`);
    expect(began).toHaveLength(3);
    await settle();
    expect((await standing("minute-1")).hits).toMatchObject([{ limit: "callsPerMinute", count: 1 }]);
  });

  test("are counted over isolates, as far as the books have them", async () => {
    await rules.setPersonLimits("minute-2", { callsPerMinute: 4 });
    const [one, other] = [isolate("minute-2"), isolate("minute-2")];
    for (let call = 0; call < 3; call++) expect(await one.outcome("files_list")).toBe("ok");
    await settle();
    expect(await other.outcome("files_list")).toBe("ok");
    expect(await other.outcome("files_list")).toContain("limit_reached: calls_per_minute (4)");
    await settle();
    // Refused calls use nothing up.
    one.forget();
    expect(await one.outcome("files_list")).toContain("limit_reached");
  });

  test("of another person use nothing up", async () => {
    await rules.setPersonLimits("minute-3", { callsPerMinute: 1 });
    await rules.setPersonLimits("minute-4", { callsPerMinute: 1 });
    expect(await isolate("minute-3").outcome("files_list")).toBe("ok");
    expect(await isolate("minute-4").outcome("files_list")).toBe("ok");
  });
});

describe("concurrent calls", () => {
  test("beyond the limit are refused until one has ended, in every isolate that has heard of them", async () => {
    await rules.setPersonLimits("many-1", { concurrentCalls: 2 });
    const [one, other] = [isolate("many-1"), isolate("many-1")];
    const ends = [Promise.withResolvers<void>(), Promise.withResolvers<void>()] as const;
    let begun = 0;
    const work = async (end: Promise<void>): Promise<void> => {
      begun += 1;
      await end;
    };
    const running = ends.map(async ({ promise }) => await one.outcome("files_list", async () => await work(promise)));
    await expect.poll(() => begun).toBe(2);
    expect(await one.outcome("files_list")).toBe(
      `limit_reached: concurrent_calls (2) are under way: call again once one of them has ended, ${RAISE}`,
    );
    // Each of the two that are under way says so the next time that its isolate asks.
    await scheduler.wait(2_100);
    expect(await one.outcome("files_list")).toContain("concurrent_calls (2)");
    expect(await other.outcome("files_list")).toContain("concurrent_calls (2)");
    // A run's own calls take places, and not the call that waits for it.
    expect(await one.outcome("delegate_status")).toBe("ok");
    ends[0].resolve();
    expect(await running[0]).toBe("ok");
    expect(await one.outcome("files_list")).toBe("ok");
    ends[1].resolve();
    await running[1];
  });
});

describe("a day's", () => {
  const tomorrow = () => new Date((Math.floor(Date.now() / 86_400_000) + 1) * 86_400_000).toISOString();

  test("dollars end all but what ends something", async () => {
    await rules.setPersonLimits("day-1", { usdPerDay: 0.5 });
    await spend("day-1", "sandbox", 1, 0.5);
    const { outcome, pipeline } = isolate("day-1");
    const used = `usd_per_day (0.5) is used up until ${tomorrow()}: go on then, ${RAISE}`;
    expect(await outcome("files_list")).toBe(`limit_reached: ${used}`);
    expect(await outcome("browser_close")).toBe("ok");
    expect(await outcome("sandbox_send")).toBe("ok");
    await expect(pipeline.gate.check()).rejects.toThrow("usd_per_day");
  });

  test("sandbox hours end what uses a sandbox, and browser hours what uses a browser", async () => {
    await rules.setPersonLimits("day-2", { sandboxHoursPerDay: 1, browserHoursPerDay: 2 });
    await spend("day-2", "sandbox", 1);
    const { outcome, forget } = isolate("day-2");
    expect(await outcome("sandbox_exec")).toContain("limit_reached: sandbox_hours_per_day (1)");
    expect(await outcome("interpreter_run")).toContain("limit_reached: sandbox_hours_per_day (1)");
    expect(await outcome("browser_open")).toBe("ok");
    expect(await outcome("files_list")).toBe("ok");
    await spend("day-2", "browser", 2);
    forget();
    expect(await outcome("browser_open")).toContain("limit_reached: browser_hours_per_day (2)");
  });
});

describe("storage", () => {
  test("of a person's own, or of their role, goes before the deployment's", async () => {
    await rules.setPersonLimits("store-1", { storageMb: 1 });
    const { pipeline, call } = isolate("store-1");
    const { files } = pipeline.capabilities;
    const halfMb = new Uint8Array(600 * 1024);
    await files.write("a.bin", halfMb);
    await expect(files.write("b.bin", halfMb)).rejects.toMatchObject({ code: "limit_reached" });
    await rules.setPersonLimits("store-1", { storageMb: 2 });
    await files.write("b.bin", halfMb);
    // The role's is heard of with a call.
    await rules.setPersonLimits("store-1", {});
    await rules.setRoleLimits("member", { storageMb: 1 });
    await call("files_list");
    await expect(files.write("c.bin", halfMb)).rejects.toMatchObject({ code: "limit_reached" });
  });
});

describe("limits", () => {
  test("of the role hold where the person has none, and the setting's where nobody said otherwise", async () => {
    const { outcome, forget } = isolate("role-1");
    await rules.setRoleLimits("member", { callsPerMinute: 0 });
    expect(await outcome("files_list")).toContain("calls_per_minute (0)");
    expect(await isolate("role-2", { role: "admin" }).outcome("files_list")).toBe("ok");
    await rules.setPersonLimits("role-1", { callsPerMinute: 5 });
    forget();
    expect(await outcome("files_list")).toBe("ok");
    await rules.setRoleLimits("member", undefined);
    expect((await env.DIRECTORY.get(env.DIRECTORY.idFromName("directory")).policy()).ofRole.member).toEqual({
      callsPerMinute: 3_000,
      concurrentCalls: 256,
    });
  });

  test("are told to the person with what is used and left, and why they are paused", async () => {
    await rules.setPersonLimits("teller", { usdPerDay: 2, concurrentCalls: 0 });
    await spend("teller", "browser", 0.5, 0.5);
    const { outcome, pipeline } = isolate("teller");
    expect(await outcome("files_list")).toContain("concurrent_calls (0)");
    await settle();
    await rules.pausePerson("teller", "Later");
    const report = await pipeline.readUsage();
    expect(report).toMatchObject({
      paused: { reason: "Later" },
      calls: 1,
      failed: 1,
      usd: 0.5,
      tokens: { input: 0, output: 0 },
      by_server: { browser: { calls: 0, usd: 0.5 }, files: { calls: 1, usd: 0 } },
      limits: {
        calls_per_minute: { limit: 3_000 },
        concurrent_calls: { limit: 0 },
        usd_per_day: { limit: 2, used: 0.5, left: 1.5 },
        sandbox_hours_per_day: { used: 0 },
        browser_hours_per_day: { used: 0.5 },
        storage_mb: { limit: 10_240, used: 0, left: 10_240 },
      },
      refused: { concurrent_calls: 1 },
      who_can_raise: "An admin, at http://localhost:8717/admin/limits.",
    });
    expect(Date.parse(report.resets_at)).toBe(Date.parse(report.day) + 86_400_000);
  });

  test("are within no tool's reach, whatever its scopes", () => {
    const names = CATALOG.flatMap(({ tools }) => tools.map(({ name }) => name));
    expect(names.filter((name) => /admin|limit|pause|account/.test(name))).toEqual([]);
    const needed = CATALOG.flatMap(({ tools }) => tools.flatMap(({ scopes }) => scopes));
    expect([...new Set(needed)].toSorted()).toEqual(
      Object.keys(SCOPES)
        .filter((scope) => scope !== "admin")
        .toSorted(),
    );
  });

  test("that are out of range are refused, and the old ones hold", async () => {
    await rules.setPersonLimits("range-1", { usdPerDay: 3 });
    await expect(rules.setPersonLimits("range-1", { usdPerDay: -1 })).rejects.toThrow();
    expect((await standing("range-1")).own).toEqual({ usdPerDay: 3 });
  });
});

test("what was used of the day is the sum of what was measured and what was estimated", async () => {
  const call = { model: "m", clientId: "c", inputTokens: 1, outputTokens: 2, isMeasured: true };
  const use = { kind: "model", ...call } as const;
  await accountOf("sum-1").keepCosts([{ callId: "model/r/1", atMs: Date.now(), nanoUsd: 3e9, use }]);
  await spend("sum-1", "sandbox", 2, 4);
  expect((await standing("sum-1")).today).toMatchObject({ calls: 0, nanoUsd: 7e9, sandboxMs: 7_200_000, browserMs: 0 });
});

test("links use nothing of a person's calls up, and a file that finds no room is counted as a hit", async () => {
  await rules.setPersonLimits("linker-2", { callsPerMinute: 2, storageMb: 1 });
  const { open, link, files, settle: settleLinks } = linkSuite("linker-2");
  await files.write("a.txt", "a");
  const { url } = await link("a.txt", "download");
  for (let time = 0; time < 4; time++) expect((await open(url)).status).toBe(200);
  await settleLinks();
  const { pipeline, outcome } = isolate("linker-2");
  const { files: own } = pipeline.capabilities;
  expect(await outcome("files_list")).toBe("ok");
  const large = new Uint8Array(2 * 1024 * 1024);
  expect(await outcome("files_write", async () => await own.write("b.bin", large))).toContain("limit_reached: There");
  await settle();
  expect((await standing("linker-2")).hits).toMatchObject([{ limit: "storageMb", count: 1 }]);
});

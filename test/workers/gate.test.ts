import { reset } from "cloudflare:test";
import { afterEach, describe, expect, test, vi } from "vitest";
import { createGate, newGateMemory } from "../../servers/core/gate.ts";
import { isolate, rules, settle, without } from "./gate-suite.ts";
import { accountOf } from "./open-files.ts";

afterEach(async () => {
  await settle();
  await reset();
});

describe("where nobody can say", () => {
  test.each(["ACCOUNT", "DIRECTORY"] as const)(
    "%s silent: a call is unavailable, and nothing is done",
    async (name) => {
      const { outcome } = isolate("silent-1", { bindings: without(name) });
      let hasRun = false;
      const work = async (): Promise<void> => void (hasRun = true);
      expect(await outcome("files_list", work)).toMatch(/^unavailable: Nobody can say right now/);
      expect(hasRun).toBe(false);
    },
  );
});

describe("a pause", () => {
  test("refuses whatever is called with its reason, and is lifted again", async () => {
    const { outcome, forget } = isolate("paused-1");
    expect(await outcome("files_list")).toBe("ok");
    await rules.pausePerson("paused-1", "Spent\ntoo much");
    forget();
    expect(await outcome("files_list")).toMatch(
      /^forbidden: paused: An admin paused you at 20\S+Z \(Spent too much\); nothing is done until an admin lifts it at http:\/\/localhost:8717\/admin\/limits\.$/,
    );
    expect(await isolate("paused-2").outcome("files_list")).toBe("ok");
    await rules.resumePerson("paused-1");
    forget();
    expect(await outcome("files_list")).toBe("ok");
  });

  test("of everybody refuses everybody, admins too", async () => {
    await rules.pauseAll("Maintenance");
    for (const role of ["admin", "member"] as const) {
      const refused = await isolate(`all-${role}`, { role }).outcome("files_list");
      expect(refused).toMatch(/^forbidden: paused: An admin paused everybody at .*\(Maintenance\)/);
    }
    await rules.resumeAll();
    expect(await isolate("all-member").outcome("files_list")).toBe("ok");
  });

  test("is heard of within seconds by an isolate that is busy, and by a call that is under way", async () => {
    const { outcome } = isolate("paused-3");
    expect(await outcome("files_list")).toBe("ok");
    const lasting = outcome("sandbox_exec", async () => await new Promise(() => undefined));
    await rules.pausePerson("paused-3", "");
    const beganMs = Date.now();
    await expect.poll(async () => await outcome("files_list")).toMatch(/^forbidden: paused/);
    expect(await lasting).toMatch(/^cancelled: paused: An admin paused you/);
    expect(Date.now() - beganMs).toBeLessThan(6_000);
  });

  test("holds where a word of the account from before it comes in last", async () => {
    const account = accountOf("paused-5");
    const before = await account.standingAtGate("here", 0);
    await rules.pausePerson("paused-5", "");
    const late = Promise.withResolvers<typeof before>();
    const words = [late.promise, account.standingAtGate("here", 0)];
    const gate = createGate({
      userId: "paused-5",
      role: "member",
      publicUrl: "http://localhost:8717",
      memory: newGateMemory(),
      source: {
        policy: async () => ({ ofRole: { admin: {}, member: {}, reader: {} } }),
        standing: async () => (await words.shift()) ?? before,
        setRoleStorage: async () => undefined,
      },
      waitUntil: () => undefined,
    });
    const began: string[] = [];
    const pass = async (call: string): Promise<unknown> => await gate.pass("files_list", async () => began.push(call));
    const first = pass("first");
    await expect(pass("second")).rejects.toMatchObject({ code: "forbidden" });
    late.resolve(before);
    await expect(first).rejects.toMatchObject({ code: "forbidden" });
    expect(began).toEqual([]);
  });

  test("is heard of where the clock was set back meanwhile", async () => {
    const { outcome } = isolate("paused-4");
    expect(await outcome("files_list")).toBe("ok");
    await rules.pausePerson("paused-4", "");
    const now = Date.now.bind(Date);
    const clock = vi.spyOn(Date, "now").mockImplementation(() => now() - 3_600_000);
    try {
      expect(await outcome("files_list")).toMatch(/^forbidden: paused/);
    } finally {
      clock.mockRestore();
    }
  });
});

import { reset, runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterEach, expect, test } from "vitest";
import * as z from "zod";
import type { Visit } from "../../auth/account-routes.ts";
import type { Visitor } from "../../auth/account-session.ts";
import type { Desk, PersonsThings } from "../../servers/admin/desk.ts";
import { createPages } from "../../servers/admin/pages.ts";
import { parseSettings } from "../../servers/shared/settings.ts";
import { createDesk } from "../../servers/suite-desk.ts";
import { NOTHING_STARTED, accountOf, directory, entry } from "./admin-suite.ts";
import { LOCAL_SETTINGS, ORIGIN } from "./auth-suite.ts";

afterEach(async () => {
  await reset();
});

const USER = "a".repeat(32);
const partsSchema = z.array(z.object({ id: z.string(), markup: z.string(), into: z.string() }));
type Part = z.output<typeof partsSchema>[number];

interface Live extends AsyncDisposable {
  /** The parts of the next message, or `end`; beats that say nothing are passed over. */
  next(): Promise<readonly Part[] | "end">;
}

interface LiveOptions {
  readonly path?: string;
  readonly visitor?: Partial<Visitor>;
  readonly stillIn?: Visit["stillIn"];
  readonly desk?: (desk: Desk) => Desk;
}

/** Listens to a page's stream as its browser does. */
async function listen({ path = "/account/live", visitor = {}, stillIn, desk }: LiveOptions = {}): Promise<Live> {
  const present: Visitor = {
    person: { userId: USER, displayName: "ann", owner: { identity: "local" } },
    role: "admin",
    expiresAtMs: Date.now() + 600_000,
    formKey: "the-key",
    ...visitor,
  };
  const own = createDesk(env, parseSettings(LOCAL_SETTINGS));
  const unused = async (): Promise<never> => await Promise.reject(new Error("Nothing else is asked for."));
  const response = await createPages(desk?.(own) ?? own)({
    request: new Request(new URL(path, ORIGIN)),
    visitor: present,
    stillIn: stillIn ?? (async () => present),
    people: { remember: unused, renew: unused, find: unused, list: unused },
    holdings: { list: unused, tokens: unused, clientName: unused, revoke: unused, endPages: unused },
    tokens: { create: unused, find: unused, noteUse: unused },
    maxTokenDays: 1,
    log: { info: () => undefined, error: () => undefined },
  });
  expect(response.headers.get("Content-Type")).toContain("text/event-stream");
  const events: ReadableStream<Uint8Array> = response.body ?? new ReadableStream();
  const reader = events.getReader();
  let held = "";
  const message = async (): Promise<string> => {
    for (;;) {
      const end = held.indexOf("\n\n");
      if (end !== -1) {
        const found = held.slice(0, end);
        held = held.slice(end + 2);
        return found;
      }
      const { done, value } = await reader.read();
      if (done) throw new Error("The stream has ended.");
      held += new TextDecoder().decode(value);
    }
  };
  return {
    next: async () => {
      for (;;) {
        const text = await message();
        if (text.startsWith("event: end")) return "end";
        if (text.startsWith("data: ")) return partsSchema.parse(JSON.parse(text.slice("data: ".length)));
      }
    },
    [Symbol.asyncDispose]: async () => await reader.cancel(),
  };
}

function asleep(): PersonsThings {
  return {
    sandbox: () => ({
      ...NOTHING_STARTED,
      status: async () => ({ driver: "local", state: "asleep", costUsd: 0 }),
      listProcesses: async () => [],
    }),
    previews: async () => [],
    browser: async () => undefined,
    run: async () => undefined,
  };
}

function partOf(object: object, name: string | symbol): unknown {
  return Reflect.get(object, name);
}

test("what changes comes within a moment, and nothing else, for one question a second", async () => {
  const account = accountOf(USER);
  await account.record(USER, [entry({}, { handle: { kind: "sandbox", name: "main" } })]);
  let asked = 0;
  await using live = await listen({
    desk: (desk) => ({
      ...desk,
      thingsOf: asleep,
      account: (userId) => {
        const stub = desk.account(userId);
        const counting = async (revision: number) => {
          asked += 1;
          return await stub.thingsSince(revision);
        };
        return new Proxy(stub, {
          get: (object, name) => (name === "thingsSince" ? counting : partOf(object, name)),
        });
      },
    }),
  });
  expect(await live.next()).toMatchObject([{ id: "sandbox-main", into: "sandbox-list" }]);
  const runs = Array.from({ length: 50 }, (_, index) => `run-${String(index).padStart(16, "0")}`);
  // All between two questions.
  await runInDurableObject(account, (object) => {
    for (const id of runs) {
      object.beginRun({ id, title: `Task ${id}`, startedAtMs: Date.now(), endsByMs: Date.now() + 60_000 }, 100);
    }
  });
  const startedMs = Date.now();
  const seen = await live.next();
  expect(Date.now() - startedMs).toBeLessThan(5_000);
  expect(seen === "end" ? [] : seen.map(({ id }) => id).toSorted()).toEqual(runs);
  await account.endRun(runs[7] ?? "", "completed");
  const ended = await live.next();
  expect(ended === "end" ? [] : ended.map(({ id }) => id)).toContain(runs[7]);
  expect(JSON.stringify(ended)).toContain("completed");
  const before = asked;
  await scheduler.wait(2_500);
  expect(asked - before).toBeGreaterThanOrEqual(1);
  expect(asked - before).toBeLessThanOrEqual(3);
});

test("a sandbox that was used is looked at again", async () => {
  const account = accountOf(USER);
  const use = async (): Promise<void> =>
    await account.record(USER, [entry({ atMs: Date.now() }, { handle: { kind: "sandbox", name: "main" } })]);
  await use();
  let state: "asleep" | "running" = "asleep";
  const things = (): PersonsThings => ({
    ...asleep(),
    sandbox: () => ({
      ...NOTHING_STARTED,
      status: async () => ({ driver: "local", state, costUsd: 0 }),
      listProcesses: async () => [],
    }),
  });
  await using live = await listen({ desk: (desk) => ({ ...desk, thingsOf: things }) });
  expect(JSON.stringify(await live.next())).toContain("asleep</span>");
  state = "running";
  await use();
  expect(JSON.stringify(await live.next())).toContain("running</span>");
});

test("a sandbox that falls asleep by itself is seen to", async () => {
  await accountOf(USER).record(USER, [entry({}, { handle: { kind: "sandbox", name: "main" } })]);
  let state: "asleep" | "running" = "running";
  const things = (): PersonsThings => ({
    ...asleep(),
    sandbox: () => ({
      ...NOTHING_STARTED,
      status: async () => ({ driver: "local", state, costUsd: 0 }),
      listProcesses: async () => [],
    }),
  });
  await using live = await listen({ desk: (desk) => ({ ...desk, thingsOf: things }) });
  expect(JSON.stringify(await live.next())).toContain("running</span>");
  state = "asleep";
  await expect.poll(async () => JSON.stringify(await live.next())).toContain("asleep</span>");
});

test("everybody's page hears of who is at work, and of a pause", async () => {
  await directory().notePerson({ userId: USER, displayName: "ann@example.com", role: "member" }, Date.now());
  await using live = await listen({ path: "/admin/live" });
  expect(await live.next()).toMatchObject([{ id: `person-${USER}`, into: "people-list" }]);
  await directory().noteRules(USER, { isPaused: true, hasLimits: false });
  expect(JSON.stringify(await live.next())).toContain("paused</span>");
});

test("the stream ends with the session", async () => {
  await using live = await listen({ visitor: { expiresAtMs: Date.now() + 1_500 } });
  expect(await live.next()).toBe("end");
});

test("the stream ends for who is let in no longer, and where nobody can say", async () => {
  await accountOf(USER).record(USER, [entry({}, { handle: { kind: "browser", name: "main" } })]);
  let nowMs = Date.now();
  for (const stillIn of [async () => undefined, async () => await Promise.reject(new Error("Gone."))]) {
    await using live = await listen({
      stillIn,
      visitor: { expiresAtMs: nowMs + 3_600_000 },
      desk: (desk) => ({ ...desk, thingsOf: asleep, now: () => new Date(nowMs) }),
    });
    expect(await live.next()).toHaveLength(1);
    nowMs += 31_000;
    expect(await live.next()).toBe("end");
  }
});

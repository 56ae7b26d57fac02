import { evictDurableObject, reset, runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import fc from "fast-check";
import { afterEach, expect, test } from "vitest";
import type { BooksEntry } from "../../servers/account/book-table.ts";
import { dayOf } from "../../servers/account/figures.ts";
import { Outbox, type UsageBatch } from "../../servers/account/outbox.ts";
import { accountOf } from "./open-files.ts";

afterEach(async () => {
  await reset();
});

const DAY_MS = 24 * 60 * 60 * 1_000;
const NOW_MS = Date.now();
/** Some clocks are behind, and one is ahead. */
const RANGE = { fromDay: dayOf(NOW_MS - 70 * DAY_MS), toDay: dayOf(NOW_MS + 2 * DAY_MS) };
const PEOPLE = ["ada", "bob", "eve"] as const;
const directory = () => env.DIRECTORY.get(env.DIRECTORY.idFromName("directory"));

/** What becomes of a batch that is sent. */
type Fate = "told" | "lost on its way" | "answer lost" | "told twice";

/** Sends what the person's account has, as its alarm does. When there is more to send; never where it has nothing. */
async function send(userId: string, fate: Fate, sent: UsageBatch[]): Promise<number | undefined> {
  const tell = async (_: string, batch: UsageBatch): Promise<void> => {
    sent.push(batch);
    if (fate === "lost on its way") throw new Error("It never arrived.");
    await directory().tell(userId, batch);
    if (fate === "told twice") await directory().tell(userId, batch);
    if (fate === "answer lost") throw new Error("It arrived, and nobody knows.");
  };
  return await runInDurableObject(accountOf(userId), async (_, { storage }) => {
    const outbox = new Outbox(
      storage,
      () => userId,
      () => ({ tell }),
    );
    await outbox.run(Date.now()).catch(() => undefined);
    return outbox.dueAtMs();
  });
}

const person = fc.constantFrom(...PEOPLE);
const call = fc.record({
  tool: fc.constantFrom("files_read", "sandbox_exec", "browser_open", "resources/list"),
  clientId: fc.constantFrom("c1", "c2"),
  outcome: fc.constantFrom("ok", "ok", "timeout", "internal"),
  daysAgo: fc.integer({ min: -1, max: 65 }),
  outputBytes: fc.nat(1_000),
  nanoUsd: fc.nat(1_000_000),
});

interface Call {
  readonly tool: string;
  readonly clientId: string;
  readonly outcome: string;
  readonly daysAgo: number;
  readonly outputBytes: number;
  readonly nanoUsd: number;
}

const step = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({ do: fc.constant("record"), who: person, calls: fc.array(call, { maxLength: 5 }) }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("record again"), who: person }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("model"), who: person, tokens: fc.nat(5_000) }) },
  {
    weight: 5,
    arbitrary: fc.record({
      do: fc.constant("send"),
      who: person,
      fate: fc.constantFrom<Fate>("told", "lost on its way", "answer lost", "told twice"),
    }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("late copy"), who: person, which: fc.nat(20) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("evict"), who: fc.constantFrom(...PEOPLE, "directory") }) },
);

function entryOf({ daysAgo, nanoUsd, ...audit }: Call): BooksEntry {
  const [id, atMs] = [crypto.randomUUID(), NOW_MS - daysAgo * DAY_MS];
  return { audit: { id, atMs, durationMs: 1.4, inputDigest: "d", ...audit }, cost: { callId: id, atMs, nanoUsd } };
}

const SERVERS: Readonly<Record<string, string>> = {
  files_read: "files",
  sandbox_exec: "sandbox",
  browser_open: "browser",
  "resources/list": "files",
};

/** What the books should come to, counted without any of them. */
class Count {
  readonly #rows = new Map<
    string,
    { calls: number; failed: number; outputBytes: number; cost: number; tokens: number }
  >();

  add(
    keys: Readonly<Record<string, string>>,
    added: { calls?: number; failed?: number; outputBytes?: number; cost: number; tokens?: number },
  ): void {
    for (const [by, key] of Object.entries(keys)) {
      const row = this.#rows.get(`${by} ${key}`) ?? { calls: 0, failed: 0, outputBytes: 0, cost: 0, tokens: 0 };
      row.calls += added.calls ?? 0;
      row.failed += added.failed ?? 0;
      row.outputBytes += added.outputBytes ?? 0;
      row.cost += added.cost;
      row.tokens += added.tokens ?? 0;
      this.#rows.set(`${by} ${key}`, row);
    }
  }

  of(by: string): Record<string, unknown> {
    const found = [...this.#rows].filter(([name]) => name.startsWith(`${by} `));
    return Object.fromEntries(found.map(([name, row]) => [name.slice(by.length + 1), row]));
  }
}

const DIMENSIONS = ["day", "server", "tool", "model", "client", "person"] as const;

async function told(by: (typeof DIMENSIONS)[number]): Promise<Record<string, unknown>> {
  const rows = await directory().usage({ ...RANGE, by }, 1_000);
  return Object.fromEntries(
    rows.map(({ key, calls, failed, outputBytes, nanoUsd, estimatedNanoUsd, inputTokens, outputTokens }) => [
      key,
      { calls, failed, outputBytes, cost: nanoUsd + estimatedNanoUsd, tokens: inputTokens + outputTokens },
    ]),
  );
}

test(
  "whatever is lost, doubled, late or evicted on the way, the directory comes to what everybody's calls come to",
  { timeout: 180_000 },
  async () => {
    await fc.assert(
      fc
        .asyncProperty(fc.array(step, { minLength: 5, maxLength: 40 }), async (steps) => {
          const count = new Count();
          const sent = new Map<string, UsageBatch[]>(PEOPLE.map((who) => [who, []]));
          const last = new Map<string, BooksEntry[]>();
          for (const taken of steps) {
            const { who } = taken;
            if (taken.do === "record") {
              const entries = taken.calls.map(entryOf);
              last.set(who, entries);
              await accountOf(who).record(who, entries);
              for (const [
                index,
                { tool, clientId: client, outcome, outputBytes, nanoUsd: cost },
              ] of taken.calls.entries()) {
                const day = dayOf(entries[index]?.audit.atMs ?? 0);
                const keys = { day, server: SERVERS[tool] ?? "", tool, client, person: who };
                count.add(keys, { calls: 1, failed: outcome === "ok" ? 0 : 1, outputBytes, cost });
              }
            } else if (taken.do === "record again") {
              await accountOf(who).record(who, last.get(who) ?? []);
            } else if (taken.do === "model") {
              const of = { model: "m", clientId: "c1", inputTokens: taken.tokens, outputTokens: 1, isMeasured: true };
              const used = { tokens: taken.tokens + 1, nanoUsd: 7, of };
              const id = `run/${crypto.randomUUID()}`;
              await accountOf(who).settleModelCall(id, used);
              await accountOf(who).settleModelCall(id, used);
              const keys = { server: "delegate", tool: "delegate/model", model: "m", client: "c1", person: who };
              count.add({ day: dayOf(Date.now()), ...keys }, { cost: 7, tokens: taken.tokens + 1 });
            } else if (taken.do === "send") {
              await send(who, taken.fate, sent.get(who) ?? []);
            } else if (taken.do === "late copy") {
              const batch = sent.get(who)?.[taken.which];
              // One that never arrived is sent again before any that follows.
              const isNext = batch === sent.get(who)?.at(-1);
              if (batch !== undefined && !isNext) await directory().tell(who, batch);
            } else {
              // Only what runs can be evicted.
              if (who === "directory") await directory().errors(1);
              else await accountOf(who).costTotal();
              await evictDurableObject(who === "directory" ? directory() : accountOf(who));
            }
          }
          for (const who of PEOPLE) while ((await send(who, "told", [])) !== undefined) continue;
          for (const by of DIMENSIONS) expect([by, await told(by)]).toEqual([by, count.of(by)]);
          const errors = await directory().errors(1_000);
          expect(new Set(errors.map(({ reference }) => reference)).size).toBe(errors.length);
        })
        .afterEach(async () => {
          await reset();
        }),
      { numRuns: 30 },
    );
  },
);

test("a directory that does not answer keeps nobody waiting and loses nothing", async () => {
  const account = accountOf("patient");
  const asked = { ...RANGE, by: "tool" } as const;
  const one = (): BooksEntry =>
    entryOf({ tool: "files_read", clientId: "c1", outcome: "ok", daysAgo: 0, outputBytes: 1, nanoUsd: 1 });
  await account.record("patient", [one()]);
  // Calls go on, and none of them makes the account ask again at once.
  expect(await send("patient", "lost on its way", [])).toBeGreaterThan(Date.now() + 30_000);
  await account.record("patient", [one()]);
  const dueMs = await runInDurableObject(account, (_, { storage }) =>
    Number(storage.sql.exec("SELECT due_at_ms FROM outbox_state").one()["due_at_ms"]),
  );
  expect(dueMs).toBeGreaterThan(Date.now() + 30_000);
  expect(await account.usage(asked)).toMatchObject([{ calls: 2 }]);
  expect(await directory().usage(asked, 10)).toEqual([]);
  const sent: UsageBatch[] = [];
  while ((await send("patient", "told", sent)) !== undefined) continue;
  expect(sent.map(({ sequence }) => sequence)).toEqual([1, 2]);
  expect(await directory().usage(asked, 10)).toMatchObject([{ calls: 2 }]);
});

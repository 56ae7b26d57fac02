import { reset, runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterEach, expect, test } from "vitest";
import { ModelSpendTable } from "../../servers/account/model-spend.ts";

afterEach(async () => {
  await reset();
});

const LIMIT = { tokens: 1_000, nanoUsd: 10_000 };
const NOON_MS = Date.UTC(2026, 10, 28, 12);
const TOMORROW_MS = Date.UTC(2026, 10, 29, 12);

async function inAccount(work: (spend: ModelSpendTable, sql: SqlStorage) => void): Promise<void> {
  const account = env.ACCOUNT.get(env.ACCOUNT.idFromName("model-spend"));
  await runInDurableObject(account, (_, { storage: { sql } }) => work(new ModelSpendTable(sql), sql));
}

test("a call counts as what it reserved until it is settled, then as what it used", async () => {
  await inAccount((spend) => {
    spend.reserve("run/1", { tokens: 400, nanoUsd: 4_000 }, NOON_MS);
    spend.reserve("run/2", { tokens: 100, nanoUsd: 1_000 }, NOON_MS);
    expect(spend.left("run/3", LIMIT, NOON_MS)).toEqual({ now: { tokens: 500, nanoUsd: 5_000 }, atBest: LIMIT });
    spend.settle("run/1", { tokens: 30, nanoUsd: 300 });
    expect(spend.left("run/3", LIMIT, NOON_MS)).toEqual({
      now: { tokens: 870, nanoUsd: 8_700 },
      atBest: { tokens: 970, nanoUsd: 9_700 },
    });
  });
});

test("a call that is settled twice counts once, and one that reserves again counts as its last reservation", async () => {
  await inAccount((spend) => {
    spend.reserve("run/1", { tokens: 400, nanoUsd: 0 }, NOON_MS);
    spend.reserve("run/1", { tokens: 300, nanoUsd: 0 }, NOON_MS);
    expect(spend.left("run/1", LIMIT, NOON_MS).now).toEqual(LIMIT);
    expect(spend.left("run/2", LIMIT, NOON_MS).now.tokens).toBe(700);
    for (const _ of [1, 2]) spend.settle("run/1", { tokens: 50, nanoUsd: 0 });
    expect(spend.left("run/2", LIMIT, NOON_MS).now.tokens).toBe(950);
  });
});

test("a call counts for the day on which it was sent, and for no other", async () => {
  await inAccount((spend) => {
    spend.reserve("run/1", { tokens: 400, nanoUsd: 0 }, NOON_MS);
    spend.settle("run/1", { tokens: 300, nanoUsd: 0 });
    spend.reserve("run/2", { tokens: 200, nanoUsd: 0 }, NOON_MS);
    expect(spend.left("run/3", LIMIT, TOMORROW_MS).now).toEqual(LIMIT);
    spend.reserve("run/3", { tokens: 100, nanoUsd: 0 }, TOMORROW_MS);
    spend.settle("run/2", { tokens: 200, nanoUsd: 0 });
    expect(spend.left("run/4", LIMIT, TOMORROW_MS).now.tokens).toBe(900);
  });
});

test("a day's thousandth call is let in by reading no more than its second", async () => {
  await inAccount((spend, sql) => {
    for (let call = 0; call < 1_000; call += 1) {
      spend.reserve(`run/${call}`, { tokens: 1, nanoUsd: 0 }, NOON_MS);
      spend.settle(`run/${call}`, { tokens: 1, nanoUsd: 0 });
    }
    expect(sql.exec("SELECT count(*) AS count FROM model_calls").one()).toEqual({ count: 1 });
    expect(spend.left("run/last", LIMIT, NOON_MS).now.tokens).toBe(0);
  });
});

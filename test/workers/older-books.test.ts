import { evictDurableObject, reset, runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterEach, expect, test } from "vitest";
import { accountOf } from "./open-files.ts";

afterEach(async () => {
  await reset();
});

const DAYS = 90;
const TOOLS = 100;
const START_MS = Date.UTC(2026, 6, 1);
const RANGE = { fromDay: "2026-07-01", toDay: "2026-12-31" };

/** Gives an account the tables that an older version would have left: a call of each tool on each day. */
async function growOld(userId: string): Promise<void> {
  await runInDurableObject(accountOf(userId), (_, { storage: { sql } }) => {
    sql.exec(`
      DROP TABLE usage; DROP TABLE outbox; DROP TABLE outbox_broken; DROP TABLE outbox_state; DROP TABLE audit;
      CREATE TABLE audit (id TEXT PRIMARY KEY, at_ms INTEGER NOT NULL, client_id TEXT NOT NULL, tool TEXT NOT NULL,
        outcome TEXT NOT NULL, duration_ms REAL NOT NULL, input_digest TEXT NOT NULL, output_bytes INTEGER NOT NULL,
        parent_run_id TEXT) WITHOUT ROWID;
      CREATE INDEX audit_by_time ON audit (at_ms);
      INSERT INTO books VALUES (1, '${userId}');
      WITH RECURSIVE calls (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM calls WHERE n < ${DAYS * TOOLS - 1})
        INSERT INTO audit SELECT printf('call-%06d', n), ${START_MS} + (n % ${DAYS}) * 86400000, 'a client',
          'files_' || (n / ${DAYS}), 'ok', 1, 'd', 1, NULL FROM calls;
      INSERT INTO costs SELECT id, at_ms, 7 FROM audit;
    `);
  });
  await evictDurableObject(accountOf(userId));
}

test("the long history of an older version reaches the account's usage and the directory whole", async () => {
  await growOld("ada");
  const usage = await accountOf("ada").usage({ ...RANGE, by: "client" });
  expect(usage).toMatchObject([{ key: "a client", calls: DAYS * TOOLS, estimatedNanoUsd: 7 * DAYS * TOOLS }]);
  const now = { id: "now", atMs: START_MS, clientId: "a client", tool: "files_0", outcome: "ok" };
  const audit = { ...now, durationMs: 1, inputDigest: "d", outputBytes: 1 };
  await accountOf("ada").record("ada", [{ audit, cost: { callId: "now", atMs: START_MS, nanoUsd: 7 } }]);
  await runInDurableObject(accountOf("ada"), async (_, { storage: { sql } }) => {
    await Promise.resolve(sql.exec("UPDATE outbox_state SET due_at_ms = 0"));
  });
  await runDurableObjectAlarm(accountOf("ada"));
  const directory = env.DIRECTORY.get(env.DIRECTORY.idFromName("directory"));
  const everybodys = await directory.usage({ ...RANGE, by: "person" }, 10);
  expect(everybodys).toMatchObject([{ key: "ada", calls: DAYS * TOOLS + 1 }]);
});

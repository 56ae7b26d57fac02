import { reset, runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterEach, expect, test } from "vitest";
import type { AuditFilter } from "../../servers/account/audit-query.ts";
import { type AuditRow, BookTable, type BooksEntry } from "../../servers/account/book-table.ts";
import { earlierUsage } from "../../servers/account/earlier-usage.ts";
import { accountOf } from "./open-files.ts";

afterEach(async () => {
  await reset();
});

const START_MS = Date.UTC(2026, 10, 1);
const DIGESTS = ["aaaa", "bbbb", "cccc"];
const TOOLS = ["files_read", "files_list", "sandbox_exec", "resources/list"];

/** Several at the same moment, as calls that end together are. */
function rowAt(index: number): AuditRow {
  return {
    id: crypto.randomUUID(),
    atMs: START_MS + Math.floor(index / 3),
    clientId: `client-${index % 5}`,
    tool: TOOLS[index % TOOLS.length] ?? "",
    outcome: ["ok", "ok", "ok", "timeout", "internal"][index % 5] ?? "",
    durationMs: index,
    inputDigest: `${DIGESTS[index % DIGESTS.length]}${index}`,
    outputBytes: index,
    ...(index % 7 === 0 ? { parentRunId: `run-${index % 2}` } : {}),
  };
}

async function recordMany(userId: string, count: number): Promise<AuditRow[]> {
  const rows = Array.from({ length: count }, (_, index) => rowAt(index));
  const entries = rows.map((audit): BooksEntry => ({
    audit,
    cost: { callId: audit.id, atMs: audit.atMs, nanoUsd: audit.outputBytes + 1 },
  }));
  await accountOf(userId).record(userId, entries);
  return rows.toSorted((a, b) => b.atMs - a.atMs || (a.id < b.id ? 1 : -1));
}

/** Page by page, to the end. */
async function findAll(userId: string, filter: AuditFilter, limit: number): Promise<string[]> {
  const ids: string[] = [];
  let cursor: string | undefined;
  do {
    const page = await accountOf(userId).audit({ ...filter, limit, ...(cursor === undefined ? {} : { cursor }) });
    ids.push(...page.rows.map(({ id }) => id));
    cursor = page.cursor;
  } while (cursor !== undefined);
  return ids;
}

test("calls are found by what they were, newest first, each of them once", async () => {
  const rows = await recordMany("searcher", 300);
  const idsOf = (isFound: (row: AuditRow) => boolean): string[] => rows.filter(isFound).map(({ id }) => id);
  const [one] = rows;
  const cases: readonly (readonly [AuditFilter, (row: AuditRow) => boolean])[] = [
    [{}, () => true],
    [{ tool: "files_read" }, ({ tool }) => tool === "files_read"],
    [{ tool: "files_" }, ({ tool }) => tool.startsWith("files_")],
    [{ tool: "resources/" }, ({ tool }) => tool === "resources/list"],
    [{ tool: "file%" }, () => false],
    [{ clientId: "client-2" }, ({ clientId }) => clientId === "client-2"],
    [{ outcome: "failed" }, ({ outcome }) => outcome !== "ok"],
    [
      { outcome: "timeout", tool: "sandbox_exec" },
      ({ outcome, tool }) => outcome === "timeout" && tool === "sandbox_exec",
    ],
    [{ runId: "run-1" }, ({ parentRunId }) => parentRunId === "run-1"],
    [{ runId: "run-1", outcome: "failed" }, ({ parentRunId, outcome }) => parentRunId === "run-1" && outcome !== "ok"],
    [{ text: "EXEC" }, ({ tool }) => tool === "sandbox_exec"],
    [{ text: "bbbb" }, ({ inputDigest }) => inputDigest.startsWith("bbbb")],
    [{ text: "client-4" }, ({ clientId }) => clientId === "client-4"],
    [{ text: one?.id ?? "" }, ({ id }) => id === one?.id],
    [{ text: (one?.id ?? "").slice(0, 13) }, ({ id }) => id === one?.id],
    [{ text: "'; DROP TABLE audit; --" }, () => false],
    [{ fromMs: START_MS + 10, toMs: START_MS + 12 }, ({ atMs }) => atMs === START_MS + 10 || atMs === START_MS + 11],
  ];
  for (const [filter, isFound] of cases) {
    expect([filter, await findAll("searcher", filter, 1_000)]).toEqual([filter, idsOf(isFound)]);
    expect([filter, await findAll("searcher", filter, 7)]).toEqual([filter, idsOf(isFound)]);
  }
  const [newest] = (await accountOf("searcher").audit({ limit: 1, cursor: "no such place" })).rows;
  expect(newest).toEqual({ ...one, nanoUsd: (one?.outputBytes ?? 0) + 1 });
});

test("a search through very many calls ends, says how far back it got, and goes on from there", async () => {
  await recordMany("busy", 1);
  const count = 25_000;
  await runInDurableObject(accountOf("busy"), (_, { storage }) => {
    storage.sql.exec(
      `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ${count})
       INSERT INTO audit SELECT 'call-' || i, ${START_MS} + 1000 * i, 'c', iif(i = 5, 'files_read', 'files_list'), 'ok', 1, 'd', 1, NULL
       FROM n`,
    );
  });
  const first = await accountOf("busy").audit({ tool: "files_read", limit: 10 });
  expect(first).toEqual({
    rows: [],
    cursor: `${START_MS + 1_000 * 5_001}.call-5001`,
    searchedBackToMs: START_MS + 1_000 * 5_001,
  });
  const rest = await accountOf("busy").audit({ tool: "files_read", limit: 10, cursor: first.cursor ?? "" });
  expect(rest.rows.map(({ id }) => id)).toContain("call-5");
  expect([rest.cursor, rest.searchedBackToMs]).toEqual([undefined, undefined]);
});

test("all calls of a query come as JSON lines, in the fields of the export and with their cost", async () => {
  const rows = await recordMany("exporter", 4_500);
  const stream = await accountOf("exporter").auditLines({ outcome: "failed" });
  const lines = (await new Response(stream).text()).trimEnd().split("\n");
  const failed = rows.filter(({ outcome }) => outcome !== "ok");
  expect(lines).toHaveLength(failed.length);
  const [row] = failed;
  expect(JSON.parse(lines[0] ?? "")).toEqual({
    at: new Date(row?.atMs ?? 0).toISOString(),
    id: row?.id,
    client_id: row?.clientId,
    tool: row?.tool,
    outcome: row?.outcome,
    duration_ms: row?.durationMs,
    input_digest: row?.inputDigest,
    output_bytes: row?.outputBytes,
    ...(row?.parentRunId === undefined ? {} : { parent_run_id: row.parentRunId }),
    nano_usd: (row?.outputBytes ?? 0) + 1,
  });
  expect(await new Response(await accountOf("exporter").auditLines({ tool: "none" })).text()).toBe("");
});

test("the audit of an older version is taken over, and what it comes to is added up", async () => {
  const stub = env.CLIENT_REGISTRY.get(env.CLIENT_REGISTRY.idFromName("an empty database"));
  await runInDurableObject(stub, (_, { storage: { sql } }) => {
    sql.exec(`
      CREATE TABLE audit (id TEXT PRIMARY KEY, at_ms INTEGER NOT NULL, client_id TEXT NOT NULL, tool TEXT NOT NULL,
        outcome TEXT NOT NULL, duration_ms REAL NOT NULL, input_digest TEXT NOT NULL, output_bytes INTEGER NOT NULL,
        parent_run_id TEXT) WITHOUT ROWID;
      CREATE INDEX audit_by_time ON audit (at_ms);
      CREATE TABLE costs (call_id TEXT PRIMARY KEY, at_ms INTEGER NOT NULL, nano_usd INTEGER NOT NULL) WITHOUT ROWID;
      INSERT INTO audit VALUES ('b', ${START_MS}, 'c1', 'files_read', 'ok', 1.6, 'd', 3, NULL),
        ('a', ${START_MS + 1}, 'c1', 'files_read', 'timeout', 2.6, 'd', 0, 'run-1');
      INSERT INTO costs VALUES ('a', ${START_MS + 1}, 7), ('b', ${START_MS}, 7), ('gone', ${START_MS}, 7),
        ('model/r/1', ${START_MS}, 100), ('browser/s/1', ${START_MS}, 1000);
    `);
    const books = new BookTable(sql);
    expect(books.listAudit(10).map(({ id, parentRunId }) => [id, parentRunId])).toEqual([
      ["a", "run-1"],
      ["b", undefined],
    ]);
    expect(new BookTable(sql).listAudit(10)).toHaveLength(2);
    const usage = earlierUsage(sql).map(
      ({ day, server, tool, clientId, calls, failed, durationMs, estimatedNanoUsd }) => [
        ...[day, server, tool, clientId],
        ...[calls, failed, durationMs, estimatedNanoUsd],
      ],
    );
    expect(usage.toSorted((a, b) => Number(a[7]) - Number(b[7]))).toEqual([
      ["2026-11-01", "", "", "", 1, 0, 0, 7],
      ["2026-11-01", "files", "files_read", "c1", 2, 1, 5, 14],
      ["2026-11-01", "delegate", "delegate/model", "", 0, 0, 0, 100],
      ["2026-11-01", "browser", "browser/time", "", 0, 0, 0, 1_000],
    ]);
  });
});

import { readdir } from "node:fs/promises";
import path from "node:path";
import { DatabaseSync } from "node:sqlite";
import { FIGURE_COLUMNS } from "../../servers/account/figures.ts";

/** How much there is of everything. */
export interface Size {
  readonly name: string;
  readonly calls: number;
  readonly people: number;
}

const DAYS = 60;
const DAY_MS = 24 * 60 * 60 * 1_000;
const TOOLS = 38;
const CLIENTS = 4;
/** Few people make for most of the cost, as it is everywhere. */
const DEAR_FIGURES = `3, 1, 5000, 90000, 7000, 2000000000 / (1 + n / ${DAYS}) + n % 977, 100, 20, 0, 60000, 1000`;
const FIGURES = "3, 1, 5000, 90000, 7000, 13000 + n % 977, 100, 20, 0, 60000, 1000";

const NUMBERS = "WITH RECURSIVE numbers(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM numbers WHERE n < ? - 1)";
const TOOL = `CASE n % ${TOOLS} WHEN 0 THEN 'sandbox_exec' ELSE printf('files_tool%02d', n % ${TOOLS}) END`;

/** Writes what months of work leave, while nobody has the databases open: with calls it would take hours. */
export async function fill(stateDir: string, ids: readonly string[], size: Size, nowMs: number): Promise<void> {
  const found = await readdir(stateDir, { recursive: true, withFileTypes: true });
  const [account = "", directory = ""] = ids.map((id) => {
    const file = found.find(({ name }) => name === `${id}.sqlite`);
    return path.join(file?.parentPath ?? "", file?.name ?? "");
  });
  fillAccount(account, size, nowMs);
  fillDirectory(directory, size, nowMs);
}

function fillAccount(file: string, { calls }: Size, nowMs: number): void {
  using database = new DatabaseSync(file);
  const stepMs = Math.floor((DAYS * DAY_MS) / calls);
  database
    .prepare(
      `${NUMBERS} INSERT INTO audit (id, at_ms, client_id, tool, outcome, duration_ms, input_digest, output_bytes, parent_run_id)
       SELECT lower(hex(randomblob(4))) || printf('-0000-4000-8000-%012x', n), ? - n * ?, 'client-' || (n % ${CLIENTS}), ${TOOL},
         iif(n % 50 = 0, 'timeout', 'ok'), 2.5, lower(hex(randomblob(32))), 900, iif(n % 100 = 7, 'run-' || (n / 1000), NULL)
       FROM numbers`,
    )
    .run(calls, nowMs, stepMs);
  database.exec("INSERT INTO costs SELECT id, at_ms, 4600 FROM audit");
  database.exec("INSERT OR IGNORE INTO books VALUES (1, 'bench')");
  database
    .prepare(
      `${NUMBERS} INSERT OR IGNORE INTO usage (day, server, tool, model, client_id, ${FIGURE_COLUMNS})
       SELECT date(? / 1000 - (n % ?) * 86400, 'unixepoch'), 'files', printf('files_tool%02d', n / ? % ${TOOLS}), '',
         'client-' || (n / ? / ${TOOLS}), ${FIGURES} FROM numbers`,
    )
    .run(DAYS * TOOLS * CLIENTS, nowMs, DAYS, DAYS, DAYS);
}

function fillDirectory(file: string, { people }: Size, nowMs: number): void {
  using database = new DatabaseSync(file);
  database
    .prepare(
      `${NUMBERS} INSERT INTO people (user_id, display_name, role, first_seen_ms, last_seen_ms, sequence, is_paused, has_limits)
       SELECT printf('person%026d', n), 'somebody-' || n || '@example.com', 'member', ?, ? - n * 60000, 1, 0, 0 FROM numbers`,
    )
    .run(people, nowMs, nowMs);
  const insert = `INSERT OR IGNORE INTO rollup (dimension, period, key, ${FIGURE_COLUMNS})`;
  const day = "date(? / 1000 - (n % ?) * 86400, 'unixepoch')";
  for (const dimension of ["person", "client"]) {
    for (const period of [day, `substr(${day}, 1, 7)`]) {
      database
        .prepare(
          `${NUMBERS} ${insert} SELECT '${dimension}', ${period}, printf('${dimension}%026d', n / ?), ${DEAR_FIGURES}
           FROM numbers`,
        )
        .run(people * DAYS, nowMs, DAYS, DAYS);
    }
  }
  for (const [dimension, key] of [
    ["day", day],
    ["tool", `printf('files_tool%02d', n / ${DAYS})`],
  ] as const) {
    const statement = database.prepare(
      `${NUMBERS} ${insert} SELECT '${dimension}', ${day}, ${key}, ${FIGURES} FROM numbers`,
    );
    statement.run(
      DAYS * (dimension === "day" ? 1 : TOOLS),
      ...(dimension === "day" ? [nowMs, DAYS, nowMs, DAYS] : [nowMs, DAYS]),
    );
  }
}

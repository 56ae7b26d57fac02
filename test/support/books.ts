import { readdirSync } from "node:fs";
import path from "node:path";
import { DatabaseSync } from "node:sqlite";
import * as z from "zod";

const rowSchema = z.object({ client_id: z.string(), tool: z.string(), outcome: z.string(), costs: z.int() });

export type BooksRow = z.output<typeof rowSchema>;

/** Every audited call of every person, oldest first, with the number of its cost rows, from a suite's data folder. */
export function readBooks(dataDir: string): BooksRow[] {
  const folder = path.join(dataDir, "state/do/pincer-Account");
  return readdirSync(folder)
    .filter((name) => /^[0-9a-f]{64}\.sqlite$/.test(name))
    .flatMap((name) => {
      const database = new DatabaseSync(path.join(folder, name), { readOnly: true });
      try {
        const rows = database
          .prepare(
            `SELECT client_id, tool, outcome, (SELECT count(*) FROM costs WHERE call_id = audit.id) AS costs
             FROM audit ORDER BY at_ms, id`,
          )
          .all();
        return rows.map((row) => rowSchema.parse(row));
      } finally {
        database.close();
      }
    });
}

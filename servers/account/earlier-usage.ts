import * as z from "zod";
import { NO_FIGURES } from "./figures.ts";
import { serverOf } from "./tally.ts";
import type { UsageDelta } from "./usage-table.ts";

/** A call whose audit row has left in the meantime counts, under no tool's name. What sessions cost was an estimate. */
const TOTALS = `
  SELECT date(costs.at_ms / 1000, 'unixepoch') AS day, coalesce(client_id, '') AS client_id,
    CASE WHEN call_id LIKE 'browser/%' THEN 'browser/time' WHEN call_id LIKE 'model/%' THEN 'delegate/model'
      ELSE coalesce(tool, '') END AS tool,
    count(*) FILTER (WHERE call_id NOT LIKE '%/%') AS calls,
    count(*) FILTER (WHERE outcome <> 'ok') AS failed,
    CAST(coalesce(sum(round(duration_ms)), 0) AS INTEGER) AS duration_ms,
    coalesce(sum(output_bytes), 0) AS output_bytes, sum(nano_usd) AS nano_usd
  FROM costs LEFT JOIN audit ON audit.at_ms = costs.at_ms AND audit.id = call_id
  GROUP BY 1, 2, 3`;

const totalRecord = z.object({
  day: z.string(),
  client_id: z.string(),
  tool: z.string(),
  calls: z.number(),
  failed: z.number(),
  duration_ms: z.number(),
  output_bytes: z.number(),
  nano_usd: z.number(),
});

/** What the books of an older version come to, which added nothing up; nothing where there are none. */
export function earlierUsage(sql: SqlStorage): UsageDelta[] {
  if (sql.exec("SELECT 1 FROM pragma_table_info('costs')").toArray().length === 0) return [];
  const rows = sql.exec(TOTALS).toArray();
  return rows.map((row) => {
    const total = totalRecord.parse(row);
    return {
      day: total.day,
      server: serverOf(total.tool),
      tool: total.tool,
      model: "",
      clientId: total.client_id,
      ...NO_FIGURES,
      calls: total.calls,
      failed: total.failed,
      durationMs: total.duration_ms,
      outputBytes: total.output_bytes,
      estimatedNanoUsd: total.nano_usd,
    };
  });
}

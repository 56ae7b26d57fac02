import type { AuditEntry, AuditFilter, AuditPage, AuditQuery } from "./audit-query.ts";

/** Half a megabyte or so. */
const ROWS_AT_ONCE = 2_000;

/** All rows of a query as JSON lines, read page by page as whoever takes them asks for more. */
export function auditStream(page: (query: AuditQuery) => AuditPage, filter: AuditFilter): ReadableStream<Uint8Array> {
  const encoder = new TextEncoder();
  let cursor: string | undefined;
  return new ReadableStream({
    type: "bytes",
    pull: async (controller) => {
      for (;;) {
        const found: AuditPage = page({ ...filter, limit: ROWS_AT_ONCE, ...(cursor === undefined ? {} : { cursor }) });
        cursor = found.cursor;
        if (found.rows.length > 0) controller.enqueue(encoder.encode(found.rows.map(lineOf).join("")));
        if (found.rows.length > 0 || cursor === undefined) break;
        // Others are served while a search finds nothing.
        await scheduler.wait(0);
      }
      if (cursor !== undefined) return;
      controller.close();
      // Whoever waits with a buffer hears of the end by it alone.
      controller.byobRequest?.respond(0);
    },
  });
}

/** In the fields of the export (audit-export.ts), with the cost. */
function lineOf(entry: AuditEntry): string {
  const { id, atMs, clientId, tool, outcome, durationMs, inputDigest, outputBytes, parentRunId, nanoUsd } = entry;
  const line = {
    at: new Date(atMs).toISOString(),
    id,
    client_id: clientId,
    tool,
    outcome,
    duration_ms: durationMs,
    input_digest: inputDigest,
    output_bytes: outputBytes,
    ...(parentRunId === undefined ? {} : { parent_run_id: parentRunId }),
    nano_usd: nanoUsd,
  };
  return `${JSON.stringify(line)}\n`;
}

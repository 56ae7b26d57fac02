export type CsvCell = string | number;

/**
 * A table for spreadsheets (RFC 4180). Text is what strangers may have chosen: where it would be taken for a formula it
 * gets an apostrophe in front, as OWASP advises against CSV injection.
 */
export function csvResponse(fileName: string, rows: readonly (readonly CsvCell[])[]): Response {
  const text = rows.map((row) => `${row.map(writeCell).join(",")}\r\n`).join("");
  return new Response(text, {
    headers: {
      "Content-Type": "text/csv; charset=utf-8",
      "Content-Disposition": `attachment; filename="${fileName}"`,
      "Cache-Control": "no-store",
      "X-Content-Type-Options": "nosniff",
    },
  });
}

function writeCell(cell: CsvCell): string {
  if (typeof cell === "number") return String(cell);
  const harmless = /^[\s]*[=+\-@|%\t\r]/.test(cell) ? `'${cell}` : cell;
  return `"${harmless.replaceAll('"', '""')}"`;
}

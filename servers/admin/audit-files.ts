import { seeOther } from "../../auth/account-routes.ts";
import type { AuditFilter } from "../account/audit-query.ts";
import type { FileStore } from "../files/store.ts";
import { filterIn, queryFor } from "./audit-filter.ts";
import type { PersonContext } from "./page-context.ts";
import { recorded } from "./record-act.ts";
import type { Desk } from "./desk.ts";

/** What is held in memory of an export; each such part becomes a file. */
const PART_BYTES = 16 * 1024 * 1024;
const NEWLINE = 10;

/** All calls that fit, as a download that is written as it is read. */
export async function auditDownload({ desk, whose, url }: PersonContext): Promise<Response> {
  const day = desk.now().toISOString().slice(0, 10);
  return new Response(await desk.account(whose.userId).auditLines(filterIn(url)), {
    headers: {
      "Content-Type": "application/jsonl; charset=utf-8",
      "Content-Disposition": `attachment; filename="pincer-audit-${day}.jsonl"`,
      "Cache-Control": "no-store",
      "X-Content-Type-Options": "nosniff",
    },
  });
}

/** Keeps the calls that fit in the files of whoever asks: an admin puts nothing into another's workspace. */
export async function exportAudit(form: URLSearchParams, context: PersonContext): Promise<Response> {
  const { desk, visit, whose } = context;
  const asked = new URL(`?${form.toString()}`, context.url);
  const filter = filterIn(asked);
  const files = desk.filesOf(visit.visitor.person.userId);
  await recorded(context, "audit_export", filter, async () => {
    await keepAudit(desk, whose.userId, filter, files);
  });
  return seeOther(`${whose.base}/audit?${queryFor(asked, { done: "kept" })}`);
}

/** All calls that fit, as files: within their quota, as anything that is written. */
async function keepAudit(desk: Desk, userId: string, filter: AuditFilter, files: FileStore): Promise<void> {
  const folder = `audit-exports/${desk.now().toISOString().slice(0, 19).replaceAll(":", "")}Z`;
  let held: Uint8Array[] = [];
  let number = 0;
  const write = async (content: Uint8Array): Promise<void> => {
    number += 1;
    const name = `${folder}/${String(number).padStart(3, "0")}.jsonl`;
    await files.write(name, content, { mimeType: "application/jsonl", madeBy: { by: "audit export" } });
  };
  for await (const piece of await desk.account(userId).auditLines(filter)) {
    held.push(piece);
    if (lengthOf(held) < PART_BYTES) continue;
    const all = joined(held);
    const end = all.lastIndexOf(NEWLINE) + 1;
    await write(all.subarray(0, end));
    held = [all.slice(end)];
  }
  if (lengthOf(held) > 0 || number === 0) await write(joined(held));
}

function lengthOf(parts: readonly Uint8Array[]): number {
  return parts.reduce((sum, { length }) => sum + length, 0);
}

function joined(parts: readonly Uint8Array[]): Uint8Array {
  const all = new Uint8Array(lengthOf(parts));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

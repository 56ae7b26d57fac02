import type { TrashRow } from "./trash-table.ts";

/** What the metadata of a version in the trash says of it, beside what the file had there. */
export interface TrashNote {
  readonly path: string;
  readonly reason: TrashRow["reason"];
  /** The file's; that of a copy may be another where the file came in parts. */
  readonly etag: string;
}

const KEYS = { path: "trashed-path", reason: "trashed-reason", etag: "trashed-etag" } as const;

type Metadata = Readonly<Record<string, string>>;

export function withTrashNote(metadata: Metadata, { path, reason, etag }: TrashNote): Record<string, string> {
  return { ...metadata, [KEYS.path]: path, [KEYS.reason]: reason, [KEYS.etag]: etag };
}

/** Absent where it is not there: somebody else's object in the trash is none of ours. */
export function readTrashNote(metadata: Metadata): TrashNote | undefined {
  const { [KEYS.path]: path, [KEYS.etag]: etag } = metadata;
  if (path === undefined || etag === undefined) return undefined;
  return { path, etag, reason: metadata[KEYS.reason] === "deleted" ? "deleted" : "replaced" };
}

export function withoutTrashNote(metadata: Metadata): Record<string, string> {
  const notes: readonly string[] = Object.values(KEYS);
  return Object.fromEntries(Object.entries(metadata).filter(([key]) => !notes.includes(key)));
}

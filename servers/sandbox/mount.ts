import * as z from "zod";
import type { FileInfo, MountedFiles } from "../files/store.ts";
import { ToolError } from "../shared/errors.ts";
import { normalizePath } from "../shared/paths.ts";
import { bodyOf, parseRuntime, readJsonBody, type RuntimeSandbox, throwIfCancelled } from "./local-runtime.ts";

/*
 * Moves files between the caller's store and `/workspace/files` of a local sandbox. The runtime remembers what both
 * held when they were last the same, and says what differs; here the bytes are moved. Only the holder of a lease
 * moves, one at a time for each sandbox.
 */

const PAGE = 1_000;
/** More files than this are not even looked at; the runtime leaves out most of them anyway. */
const MAX_LISTED = 50_000;
const PARALLEL = 4;

const notes = z.array(z.string().max(2_000)).max(100);
const path = z
  .string()
  .max(1_000)
  .refine((given) => isPlain(given));
const etag = z.string().max(200);

export const changesSchema = z.object({
  lease: z.string().exactOptional(),
  upload: z.array(z.object({ path, sizeBytes: z.int().nonnegative(), etag: etag.exactOptional() })).default([]),
  remove: z.array(z.object({ path, etag })).default([]),
  notes,
});

export type Changes = z.output<typeof changesSchema>;

const begun = z.object({ lease: z.string() });
const plan = z.object({ download: z.array(path), notes });
const stored = z.object({ note: z.string().max(2_000).exactOptional() });
const kept = z.object({ path });

export async function listFiles(files: MountedFiles): Promise<FileInfo[]> {
  const found: FileInfo[] = [];
  let cursor: string | undefined;
  do {
    const page = await files.list({
      folder: "",
      recursive: true,
      limit: PAGE,
      ...(cursor !== undefined && { cursor }),
    });
    found.push(...page.files);
    cursor = page.cursor;
  } while (cursor !== undefined && found.length < MAX_LISTED);
  return found;
}

/** The same for the same files as the digest of the runtime's manifest. */
export async function listingDigest(listing: readonly FileInfo[]): Promise<string> {
  const sorted = listing.toSorted((a, b) => (a.path < b.path ? -1 : 1));
  const lines = sorted.map((file) => `${file.path}\0${file.etag}\n`).join("");
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", new TextEncoder().encode(lines)));
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** Brings the sandbox in line with the files. Whoever gets the lease has to use or end it. */
export async function bringIn(
  runtime: RuntimeSandbox,
  files: MountedFiles,
  signal?: AbortSignal,
): Promise<{ lease: string; notes: readonly string[] }> {
  const { lease } = parseRuntime(begun, await readJsonBody(await runtime.post("mount/begin", {}, signal)));
  try {
    // Listed again, now that nobody else brings changes of this sandbox out.
    const listing = await listFiles(files);
    const rows = listing.map((file) => [file.path, file.etag, file.sizeBytes]);
    const planned = parseRuntime(plan, await readJsonBody(await runtime.post("mount/plan", { lease, listing: rows })));
    const said = await inParallel(planned.download, async (name) => {
      throwIfCancelled(signal);
      return await download(runtime, files, lease, name);
    });
    return { lease, notes: [...planned.notes, ...said.flat()] };
  } catch (error) {
    await endLease(runtime, lease);
    throw error;
  }
}

export async function endLease(runtime: RuntimeSandbox, lease: string): Promise<void> {
  // One that is not ended ends by itself after a while.
  await runtime.post("mount/end", { lease }).catch(() => undefined);
}

async function download(runtime: RuntimeSandbox, files: MountedFiles, lease: string, name: string): Promise<string[]> {
  const file = await files.read(name).catch((error: unknown) => {
    if (error instanceof ToolError && error.code === "not_found") return undefined;
    throw error;
  });
  if (file === undefined) return [];
  const answer = await runtime.request("mount/file", {
    method: "PUT",
    query: { lease, path: name, etag: file.etag },
    body: file.body,
  });
  const { note } = parseRuntime(stored, await readJsonBody(answer));
  return note === undefined ? [] : [note];
}

/** Brings what changed in the sandbox to the files. Where they changed as well, both are kept. */
export async function bringOut(
  runtime: RuntimeSandbox,
  files: MountedFiles,
  changes: Changes,
): Promise<readonly string[]> {
  const { lease } = changes;
  if (lease === undefined) return changes.notes;
  const failed: string[] = [];
  const withoutRoom: string[] = [];
  const said: string[] = [];
  const attempt = async <Result>(name: string, work: () => Promise<Result>): Promise<Result[]> => {
    try {
      return [await work()];
    } catch (error) {
      const isFull = error instanceof ToolError && error.code === "limit_reached";
      (isFull ? withoutRoom : failed).push(name);
      if (isFull && withoutRoom.length === 1) said.push(`Not kept in your files: ${error.message}`);
      if (!(error instanceof ToolError)) throw error;
      return [];
    }
  };
  try {
    const uploaded = await inParallel(
      changes.upload,
      async (change) => await attempt(change.path, async () => await upload({ runtime, files, lease }, change, said)),
    );
    const removed = await inParallel(
      changes.remove,
      async (change) => await attempt(change.path, async () => await removeUnchanged(files, change, said)),
    );
    await runtime.post("mount/commit", {
      lease,
      uploaded: uploaded.flat(),
      removed: removed.flat(),
      isComplete: failed.length + withoutRoom.length === 0,
    });
  } catch (error) {
    await endLease(runtime, lease);
    // The command itself has ended; its result is worth more than this error.
    if (!(error instanceof ToolError)) throw error;
    failed.push("/workspace/files");
  }
  if (withoutRoom.length > 1) {
    said.push(`Nor is there room for ${withoutRoom.slice(1, 6).join(", ")}${withoutRoom.length > 6 ? ", …" : ""}.`);
  }
  if (failed.length > 0)
    said.push(
      `Could not be brought to your files yet, and is tried again with the next call: ${failed.slice(0, 5).join(", ")}.`,
    );
  return [...changes.notes, ...said];
}

interface Way {
  readonly runtime: RuntimeSandbox;
  readonly files: MountedFiles;
  readonly lease: string;
}

async function upload(
  way: Way,
  change: Changes["upload"][number],
  said: string[],
): Promise<{ path: string; etag: string }> {
  const condition = change.etag === undefined ? { createOnly: true } : { ifMatch: change.etag };
  const written = await copyOut(way, change.path, condition);
  if (written !== undefined) return written;
  if (change.etag !== undefined && !(await exists(way.files, change.path))) {
    // Removed there and changed here: what was made last is kept.
    const again = await copyOut(way, change.path, { createOnly: true });
    if (again !== undefined) return again;
  }
  const answer = await way.runtime.post("mount/keep-both", { lease: way.lease, path: change.path });
  const { path: name } = parseRuntime(kept, await readJsonBody(answer));
  said.push(`${change.path} changed in the sandbox and in your files; the sandbox's version is now ${name}.`);
  const beside = await copyOut(way, name, { createOnly: true });
  if (beside === undefined) throw new ToolError("conflict", `${name} exists already; run the command again.`);
  return beside;
}

/** `undefined` where the file in the store is another one than the condition asks for. */
async function copyOut(
  { runtime, files, lease }: Way,
  name: string,
  condition: { readonly ifMatch: string } | { readonly createOnly: true } | { readonly createOnly: boolean },
): Promise<{ path: string; etag: string } | undefined> {
  const response = await runtime.request("mount/file", { query: { lease, path: name } });
  const sizeBytes = Number(response.headers.get("content-length") ?? Number.NaN);
  const body = bodyOf(response);
  try {
    const { etag: written } = await files.write(name, { body, sizeBytes }, { ...condition, madeBy: { by: "sandbox" } });
    return { path: name, etag: written };
  } catch (error) {
    await body.cancel().catch(() => undefined);
    if (error instanceof ToolError && error.code === "conflict") return undefined;
    throw error instanceof ToolError
      ? error
      : new ToolError("unavailable", `${name} could not be stored; try again.`, { cause: error });
  }
}

async function exists(files: MountedFiles, name: string): Promise<boolean> {
  return (await etagOf(files, name)) !== undefined;
}

async function removeUnchanged(
  files: MountedFiles,
  { path: name, etag: known }: Changes["remove"][number],
  said: string[],
): Promise<string> {
  const now = await etagOf(files, name);
  // Where it changes at this very moment it is kept too, and comes in with the next call.
  if (now === known) await files.remove(name, { ifMatch: known });
  else if (now !== undefined) said.push(`${name} was removed in the sandbox and changed in your files; it is kept.`);
  return name;
}

async function etagOf(files: MountedFiles, name: string): Promise<string | undefined> {
  try {
    return (await files.stat(name)).etag;
  } catch (error) {
    if (error instanceof ToolError && error.code === "not_found") return undefined;
    throw error;
  }
}

async function inParallel<Item, Result>(
  items: readonly Item[],
  work: (item: Item) => Promise<Result[]>,
): Promise<Result[]> {
  const queue = [...items];
  const results: Result[] = [];
  const worker = async (): Promise<void> => {
    for (let item = queue.shift(); item !== undefined; item = queue.shift()) results.push(...(await work(item)));
  };
  await Promise.all(Array.from({ length: PARALLEL }, worker));
  return results;
}

function isPlain(given: string): boolean {
  try {
    return normalizePath(given) === given;
  } catch {
    return false;
  }
}

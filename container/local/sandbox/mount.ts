import * as z from "zod";
import { normalizePath } from "../../../servers/shared/paths.ts";
import { conflictName } from "./conflict-name.ts";
import type { Guest } from "./guest-files.ts";
import { Leases } from "./lease.ts";
import type { Limits } from "./limits.ts";
import type { Manifest } from "./manifest.ts";
import { Problem } from "./problem.ts";

type MountLimits = Pick<Limits, "mountedFiles" | "mountedFileBytes">;

const ROOT = "/workspace/files";

export const listingSchema = z
  .array(z.tuple([z.string().max(1_000), z.string().max(200), z.int().nonnegative()]))
  .max(100_000);

/** What the caller's files hold: path, etag, size. */
export type Listing = z.output<typeof listingSchema>;

/** What the sandbox's folder holds. */
type Found = ReadonlyMap<string, { readonly stamp: string; readonly sizeBytes: number }>;

export interface Changes {
  readonly lease: string;
  /** To be written to the caller's files; `etag` is what they held before, where they held it. */
  readonly upload: readonly { readonly path: string; readonly sizeBytes: number; readonly etag?: string }[];
  readonly remove: readonly { readonly path: string; readonly etag: string }[];
  readonly notes: readonly string[];
}

/** The caller's files at `/workspace/files`: tells what differs on either side; the driver moves it. */
export class FilesMount {
  readonly leases = new Leases();
  readonly #manifest: Manifest;
  readonly #limits: MountLimits;
  readonly #guest: () => Promise<Guest>;
  /** Stamps of the last scan, for what is being uploaded. */
  #scanned: Found = new Map();
  #pendingDigest: string | undefined;

  constructor(manifest: Manifest, limits: MountLimits, guest: () => Promise<Guest>) {
    this.#manifest = manifest;
    this.#limits = limits;
    this.#guest = guest;
  }

  /** Whether the sandbox's folder was last brought in line with exactly these files. */
  isCurrent(listingDigest: string): boolean {
    return this.#manifest.digest === listingDigest;
  }

  /**
   * Brings the folder in line with `listing` as far as no bytes are needed, and says which files have to come. Where
   * both sides changed, what lies in the sandbox is kept under another name.
   */
  async plan(listing: Listing): Promise<{ download: string[]; notes: string[] }> {
    const { files, guest, manifest } = {
      files: await this.#scan(),
      guest: await this.#guest(),
      manifest: this.#manifest,
    };
    const { wanted, notes } = selectFiles(listing, this.#limits);
    const remote = new Map(listing.map(([path, etag]) => [path, etag]));
    manifest.scanDigest = undefined;

    for (const [path, entry] of [...manifest.files]) {
      if (remote.has(path)) continue;
      const here = files.get(path);
      manifest.delete(path);
      // Removed there: here too, unless it was changed here and is new again.
      if (here !== undefined && entry.stamp !== undefined && (await this.#isUnchanged(path, here, entry))) {
        await guest.remove(`${ROOT}/${path}`, ROOT, here.stamp);
      }
    }
    const download: string[] = [];
    for (const [path, etag] of listing) {
      const entry = manifest.files.get(path);
      if (entry?.etag === etag) continue;
      if (!wanted.has(path)) {
        manifest.set(path, { etag });
        continue;
      }
      const here = files.get(path);
      const isOurs = here !== undefined && entry?.stamp !== undefined && (await this.#isUnchanged(path, here, entry));
      if (here !== undefined && !isOurs) {
        if (await this.#isUnchanged(path, here, { etag })) {
          manifest.set(path, { etag, stamp: here.stamp });
          continue;
        }
        const kept = this.#conflictName(path);
        await guest.rename(`${ROOT}/${path}`, `${ROOT}/${kept}`);
        notes.push(bothChanged(path, kept));
      }
      download.push(path);
    }
    await manifest.save();
    return { download, notes };
  }

  /** Writes a file that came from the caller's files. What was changed here since the plan is kept under another name. */
  async put(path: string, etag: string, body: AsyncIterable<Uint8Array>): Promise<{ note?: string }> {
    const guest = await this.#guest();
    const kept = this.#conflictName(path);
    const over = { known: this.#scanned.get(path)?.stamp, aside: `${ROOT}/${kept}` };
    try {
      const { stamp, isAside } = await guest.write(`${ROOT}/${path}`, body, over);
      this.#manifest.set(path, { etag, stamp });
      return isAside ? { note: bothChanged(path, kept) } : {};
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      // Left out: never taken for removed, and tried again when it changes.
      this.#manifest.set(path, { etag });
      return { note: `${path} could not be put into /workspace/files and was left out.` };
    }
  }

  /** What changed in the sandbox since the two sides were the same. With a lease where there is something to do. */
  async changes(): Promise<Changes | { readonly notes: readonly string[] }> {
    const lease = await this.leases.take();
    try {
      const guest = await this.#guest();
      const { digest } = await guest.scan(ROOT, this.#limits.mountedFiles);
      if (digest === this.#manifest.scanDigest) return this.#nothing(lease);
      const notes: string[] = [];
      const files = await this.#scan(notes);
      const upload: { path: string; sizeBytes: number; etag?: string }[] = [];
      for (const [path, here] of files) {
        const entry = this.#manifest.files.get(path);
        if (entry?.stamp === here.stamp) continue;
        if (entry?.stamp !== undefined && (await this.#isUnchanged(path, here, entry))) {
          this.#manifest.set(path, { etag: entry.etag, stamp: here.stamp });
        } else {
          upload.push({ path, sizeBytes: here.sizeBytes, ...(entry?.stamp !== undefined && { etag: entry.etag }) });
        }
      }
      const remove = [...this.#manifest.files].flatMap(([path, { etag, stamp }]) =>
        stamp === undefined || files.has(path) ? [] : [{ path, etag }],
      );
      if (upload.length > 0 || remove.length > 0) return { lease, upload, remove, notes };
      this.#manifest.scanDigest = this.#pendingDigest;
      await this.#manifest.save();
      return this.#nothing(lease, notes);
    } catch (error) {
      this.leases.release(lease);
      throw error;
    }
  }

  /** The driver has brought these changes to the caller's files. */
  async commit(done: {
    readonly uploaded: readonly { readonly path: string; readonly etag: string }[];
    readonly removed: readonly string[];
    readonly isComplete: boolean;
  }): Promise<void> {
    for (const { path, etag } of done.uploaded)
      this.#manifest.set(path, { etag, stamp: this.#scanned.get(path)?.stamp ?? "" });
    for (const path of done.removed) this.#manifest.delete(path);
    this.#manifest.scanDigest = done.isComplete ? this.#pendingDigest : undefined;
    await this.#manifest.save();
  }

  /** Keeps a file that also changed in the caller's files, under another name. */
  async keepBoth(path: string): Promise<{ path: string }> {
    const kept = this.#conflictName(path);
    await (await this.#guest()).rename(`${ROOT}/${path}`, `${ROOT}/${kept}`);
    this.#manifest.delete(path);
    return { path: kept };
  }

  async read(path: string): Promise<{ sizeBytes: number; body: AsyncGenerator<Uint8Array> }> {
    const guest = await this.#guest();
    return await guest.read(`${ROOT}/${path}`, { maxBytes: this.#limits.mountedFileBytes, isExact: true });
  }

  async save(): Promise<void> {
    await this.#manifest.save();
  }

  #conflictName(path: string): string {
    return conflictName(path, new Date(), (name) => this.#scanned.has(name));
  }

  #nothing(lease: string, notes: readonly string[] = []): { readonly notes: readonly string[] } {
    this.leases.release(lease);
    return { notes };
  }

  async #scan(notes: string[] = []): Promise<Found> {
    const guest = await this.#guest();
    const scan = await guest.scanAll(ROOT, this.#limits.mountedFiles);
    this.#pendingDigest = scan.digest;
    const found = new Map<string, { stamp: string; sizeBytes: number }>();
    const large: string[] = [];
    let unnameable = 0;
    for (const [path, sizeBytes, stamp] of scan.files) {
      if (!isPlainPath(path)) unnameable += 1;
      else if (sizeBytes > this.#limits.mountedFileBytes) large.push(path);
      else found.set(path, { stamp, sizeBytes });
    }
    // A file that is too large now has not been removed.
    for (const path of large) {
      const entry = this.#manifest.files.get(path);
      if (entry !== undefined) this.#manifest.set(path, { etag: entry.etag });
    }
    if (large.length > 0)
      notes.push(`Not kept in your files, being over ${megabytes(this.#limits.mountedFileBytes)}: ${shorten(large)}.`);
    if (scan.leftOut > 0)
      notes.push(`Not kept in your files: ${scan.leftOut} links, devices or unreadable names in /workspace/files.`);
    if (unnameable > 0) notes.push(`Not kept in your files: ${unnameable} names that files cannot have.`);
    if (scan.isFull)
      notes.push(`Only the first ${this.#limits.mountedFiles} files in /workspace/files are kept in your files.`);
    if (scan.isFull) this.#forgetRemovals(found);
    this.#scanned = found;
    return found;
  }

  /** Where not everything was seen, what is missing has not been removed. */
  #forgetRemovals(found: Found): void {
    for (const [path, { etag }] of this.#manifest.files) if (!found.has(path)) this.#manifest.set(path, { etag });
  }

  /** By its stamp, else by its content: a file that was only touched is the same. */
  async #isUnchanged(
    path: string,
    here: { readonly stamp: string },
    entry: { readonly etag: string; readonly stamp?: string },
  ): Promise<boolean> {
    if (here.stamp === entry.stamp) return true;
    // The etag of a file that was uploaded in parts is no hash of it.
    if (!/^[0-9a-f]{32}$/.test(entry.etag)) return false;
    return (await (await this.#guest()).md5(`${ROOT}/${path}`)) === entry.etag;
  }
}

function selectFiles(
  listing: Listing,
  { mountedFiles, mountedFileBytes }: MountLimits,
): { wanted: ReadonlySet<string>; notes: string[] } {
  const notes: string[] = [];
  const large = listing.filter(([, , sizeBytes]) => sizeBytes > mountedFileBytes).map(([path]) => path);
  const paths = new Set(listing.map(([path]) => path));
  const impossible = listing.map(([path]) => path).filter((path) => !fitsOnDisk(path, paths));
  const leftOut = new Set([...large, ...impossible]);
  const fitting = listing.map(([path]) => path).filter((path) => !leftOut.has(path));
  if (large.length > 0)
    notes.push(`Left out of /workspace/files, being over ${megabytes(mountedFileBytes)}: ${shorten(large)}.`);
  if (impossible.length > 0)
    notes.push(`Left out of /workspace/files, having names that no disk takes: ${shorten(impossible)}.`);
  if (fitting.length > mountedFiles) {
    notes.push(`Only the first ${mountedFiles} of your ${fitting.length} files are in /workspace/files.`);
  }
  return { wanted: new Set(fitting.slice(0, mountedFiles)), notes };
}

/** What files cannot be called, or a file that lies below another file, has no place in a folder. */
function fitsOnDisk(path: string, paths: ReadonlySet<string>): boolean {
  const names = path.split("/");
  const parents = names.slice(1).map((_, index) => names.slice(0, index + 1).join("/"));
  return isPlainPath(path) && !parents.some((parent) => paths.has(parent));
}

function isPlainPath(path: string): boolean {
  try {
    return normalizePath(path) === path;
  } catch {
    return false;
  }
}

function megabytes(bytes: number): string {
  return `${Math.round(bytes / 1024 / 1024)} MB`;
}

function shorten(paths: readonly string[]): string {
  const shown = paths.slice(0, 5).join(", ");
  return paths.length > 5 ? `${shown} and ${paths.length - 5} more` : shown;
}

function bothChanged(path: string, kept: string): string {
  return `/workspace/files/${path} changed in the sandbox and in your files; the sandbox's version is now ${kept}.`;
}

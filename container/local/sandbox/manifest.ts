import { createHash } from "node:crypto";
import { readFile, rename, writeFile } from "node:fs/promises";
import * as z from "zod";

const schema = z.object({
  /** The folder that this is about; another one means that the disk was changed behind our back. */
  root: z.string(),
  /** What the last scan found, where everything in it is accounted for. */
  scanDigest: z.string().exactOptional(),
  files: z.record(
    z.string(),
    z.object({
      /** What the caller's files hold under that name. */
      etag: z.string(),
      /** What lies in the sandbox; absent for a file that was left out. */
      stamp: z.string().exactOptional(),
    }),
  ),
});

type Stored = z.output<typeof schema>;

/** What the caller's files and the sandbox's folder held when they were last the same, kept across restarts. */
export class Manifest {
  readonly files: Map<string, { readonly etag: string; readonly stamp?: string }>;
  scanDigest: string | undefined;
  readonly #path: string;
  readonly #root: string;
  #digest: string | undefined;

  private constructor(path: string, root: string, stored: Stored | undefined) {
    this.#path = path;
    this.#root = root;
    this.files = new Map(Object.entries(stored?.files ?? {}));
    this.scanDigest = stored?.scanDigest;
  }

  /** An unreadable manifest, or one of another folder, is none: then nothing is taken for removed. */
  static async load(path: string, root: string): Promise<Manifest> {
    const text = await readFile(path, "utf8").catch(() => "null");
    const parsed = schema.safeParse(tryJson(text));
    return new Manifest(path, root, parsed.success && parsed.data.root === root ? parsed.data : undefined);
  }

  /** The same for the same files as `listingDigest` in `servers/sandbox/mount.ts`. */
  get digest(): string {
    if (this.#digest === undefined) {
      const hash = createHash("sha256");
      for (const path of [...this.files.keys()].toSorted()) hash.update(`${path}\0${this.files.get(path)?.etag}\n`);
      this.#digest = hash.digest("hex");
    }
    return this.#digest;
  }

  set(path: string, entry: { readonly etag: string; readonly stamp?: string }): void {
    this.files.set(path, entry);
    this.#digest = undefined;
  }

  delete(path: string): void {
    this.files.delete(path);
    this.#digest = undefined;
  }

  async save(): Promise<void> {
    const stored: Stored = {
      root: this.#root,
      ...(this.scanDigest !== undefined && { scanDigest: this.scanDigest }),
      files: Object.fromEntries(this.files),
    };
    await writeFile(`${this.#path}.new`, JSON.stringify(stored), { mode: 0o600 });
    await rename(`${this.#path}.new`, this.#path);
  }
}

function tryJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

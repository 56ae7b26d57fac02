import { mkdir, readFile, rename, writeFile } from "node:fs/promises";
import { dirname } from "node:path";

/** Nothing was put into the workspace yet. */
const FRESH = "fresh";
/** A restore has begun. */
const HALF = "half";

/**
 * Whether a sandbox's workspace is what its caller left there, beside its folders. The mark names the disk that it is
 * about: one that was wiped and made anew is another.
 */
export class WorkspaceMark {
  readonly #file: string;
  /** Names what the workspace lies on; nothing where that is not there. */
  readonly #diskIdentity: () => Promise<string | undefined>;
  #isKnownRestored = false;
  #knownIdentity: string | undefined;
  #looking: Promise<boolean> | undefined;

  constructor(file: string, diskIdentity: () => Promise<string | undefined>) {
    this.#file = file;
    this.#diskIdentity = diskIdentity;
  }

  /** Has to be asked before a disk is made: what is made then counts as fresh. */
  async isRestored(): Promise<boolean> {
    if (this.#isKnownRestored) return true;
    this.#looking ??= this.#look().finally(() => (this.#looking = undefined));
    return await this.#looking;
  }

  async #look(): Promise<boolean> {
    const [mark, identity] = await Promise.all([this.#read(), this.#identity()]);
    // A workspace without any mark was made by a Pincer that had none.
    if (mark === undefined) await this.#write(identity ?? FRESH);
    this.#isKnownRestored = identity !== undefined && (mark ?? identity) === identity;
    return this.#isKnownRestored;
  }

  async isHalf(): Promise<boolean> {
    return (await this.#read()) === HALF;
  }

  async beginRestore(): Promise<void> {
    this.#isKnownRestored = false;
    await this.#write(HALF);
  }

  async endRestore(): Promise<void> {
    await this.#write((await this.#identity()) ?? FRESH);
  }

  /** The disk may be wiped while nothing runs on it. */
  forget(): void {
    this.#isKnownRestored = false;
  }

  /** Whether the disk is no longer the one that was seen before. */
  async hasLostDisk(): Promise<boolean> {
    return this.#knownIdentity !== undefined && (await this.#diskIdentity()) !== this.#knownIdentity;
  }

  async #identity(): Promise<string | undefined> {
    const identity = await this.#diskIdentity();
    this.#knownIdentity ??= identity;
    return identity;
  }

  async #read(): Promise<string | undefined> {
    return await readFile(this.#file, "utf8").catch((error: unknown) => {
      if (error instanceof Error && "code" in error && error.code === "ENOENT") return undefined;
      throw error;
    });
  }

  async #write(mark: string): Promise<void> {
    await mkdir(dirname(this.#file), { recursive: true, mode: 0o700 });
    await writeFile(`${this.#file}.new`, mark);
    await rename(`${this.#file}.new`, this.#file);
  }
}

/**
 * Deletes files that are still what they were. R2 has no conditional delete: between the look and the delete somebody
 * could write, and what was written would be lost. Every writer asks the account first, so it can hold them off.
 */
export class FileDeletions {
  readonly #bucket: R2Bucket;
  readonly #running = new Map<string, Promise<unknown>>();

  constructor(bucket: R2Bucket) {
    this.#bucket = bucket;
  }

  /** Calls of it are to be awaited until it is absent; from there to the next `await` nothing is being deleted. */
  running(path: string): Promise<unknown> | undefined {
    return this.#running.get(path);
  }

  /** To be called only where nothing is running and nobody writes. Whether the file had that etag, and is gone. */
  async deleteUnchanged(prefix: string, path: string, etag: string): Promise<boolean> {
    const deleting = this.#delete(prefix + path, etag).finally(() => this.#running.delete(path));
    // Who waits for its end does not ask how it ended.
    this.#running.set(
      path,
      deleting.catch(() => undefined),
    );
    return await deleting;
  }

  async #delete(key: string, etag: string): Promise<boolean> {
    if ((await this.#bucket.head(key))?.etag !== etag) return false;
    await this.#bucket.delete(key);
    return true;
  }
}

const MAX_KEPT = 10;
const MAX_PATH_CHARS = 200;

/**
 * What was refused to a sandbox's programs in its caller's files. They see an error of the file system without a
 * reason, and a shell that closes a file not even that: the call in which it happened says it instead.
 */
export class Refusals {
  readonly #sentences = new Map<string, string>();

  note(path: string, reason: string): void {
    if (this.#sentences.size >= MAX_KEPT && !this.#sentences.has(path)) return;
    this.#sentences.set(path, `/workspace/files/${path.slice(0, MAX_PATH_CHARS)} is not as you left it: ${reason}`);
  }

  /** Each is told once. */
  take(): readonly string[] {
    const taken = [...this.#sentences.values()];
    this.#sentences.clear();
    return taken;
  }
}

/**
 * The same frames of a guest's program, and behind them what was refused meanwhile, where anything was. `mark` tells
 * that frame from one which the program made up.
 */
export function withRefusals(frames: ReadableStream, refusals: Refusals, mark: string): ReadableStream {
  const { readable, writable } = new IdentityTransformStream();
  const tell = async (): Promise<void> => {
    await frames.pipeTo(writable, { preventClose: true });
    const writer = writable.getWriter();
    const notes = refusals.take();
    if (notes.length > 0) await writer.write(new TextEncoder().encode(`${JSON.stringify({ notes, mark })}\n`));
    await writer.close();
  };
  // Where either end breaks, so does the other: whoever reads has seen it.
  tell().catch(() => undefined);
  return readable;
}

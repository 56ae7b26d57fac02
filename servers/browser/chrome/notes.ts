const MAX_NOTES = 8;

/** What happened in a browser since somebody was last told, in our words; the same thing is said once, counted. */
export class Notes {
  readonly #counts = new Map<string, number>();

  add(note: string): void {
    if (this.#counts.size >= MAX_NOTES && !this.#counts.has(note)) return;
    this.#counts.set(note, (this.#counts.get(note) ?? 0) + 1);
  }

  /** What is true no more. */
  drop(note: string): void {
    this.#counts.delete(note);
  }

  take(): string[] {
    const notes = [...this.#counts].map(([note, count]) => (count === 1 ? note : `${note} (${count} times)`));
    this.#counts.clear();
    return notes;
  }
}

import { ChangeBurst } from "./change-burst.ts";
import { ChangeTable, LARGE_BYTES, type OpenChange } from "./change-table.ts";

/** All changes under way: small ones in memory, in bursts; large ones, and those that outlast their burst, on disk. */
export class OpenChanges {
  readonly #table: ChangeTable;
  #burst: ChangeBurst | undefined;

  constructor(sql: SqlStorage) {
    this.#table = new ChangeTable(sql);
  }

  begin(change: OpenChange): void {
    const burst = this.#burst ?? this.#beginBurst(change.beganAtMs);
    if (change.growsBytes > LARGE_BYTES || !burst.begin(change)) this.#table.add(change);
  }

  #beginBurst(nowMs: number): ChangeBurst {
    this.#burst = new ChangeBurst(nowMs);
    this.#table.add(this.#burst.mark);
    return this.#burst;
  }

  /** After it, nothing of what is under way is known to memory alone. */
  endBurst(): void {
    if (this.#burst === undefined) return;
    for (const change of this.#burst.open()) this.#table.add(change);
    this.#table.remove(this.#burst.mark.id);
    this.#burst = undefined;
  }

  /** Where the change was until now. */
  end(id: string): "in memory" | "on disk" | "nowhere" {
    if (this.#burst?.take(id) !== undefined) return "in memory";
    return this.#table.remove(id) ? "on disk" : "nowhere";
  }

  giveUp(id: string, nowMs: number): void {
    const change = this.#burst?.take(id);
    if (change !== undefined) this.#table.add(change);
    this.#table.giveUp(id, nowMs);
  }

  /** Those of which nothing more is to be expected. */
  ended(nowMs: number, limit: number): ReturnType<ChangeTable["ended"]> {
    return this.#table.ended(nowMs, limit);
  }

  /** When a change that nobody finishes ends, or the burst. */
  nextEndMs(): number | undefined {
    const ends = [this.#table.nextEndMs(), this.#burst?.endsAtMs].filter((atMs) => atMs !== undefined);
    return ends.length === 0 ? undefined : Math.min(...ends);
  }

  /** How many there are, and by how much files and trash may grow with them. */
  sum(): { readonly count: number; readonly growsBytes: number } {
    const onDisk = this.#table.sum(this.#markId());
    const inMemory = this.#inMemory();
    return {
      count: onDisk.count + inMemory.length,
      growsBytes: inMemory.reduce((sum, { growsBytes }) => sum + growsBytes, onDisk.growsBytes),
    };
  }

  /** Whether somebody else may be putting a file there right now. */
  isWriting(path: string, exceptId: string, nowMs: number): boolean {
    const isWriter = (change: OpenChange): boolean => change.path === path && change.writes && change.id !== exceptId;
    return this.#inMemory().some(isWriter) || this.#table.isWriting(path, [exceptId, this.#markId()], nowMs);
  }

  #inMemory(): readonly OpenChange[] {
    return this.#burst?.open() ?? [];
  }

  /** To be left out of what is on disk: what it stands for is in memory. */
  #markId(): string {
    return this.#burst?.mark.id ?? "";
  }
}

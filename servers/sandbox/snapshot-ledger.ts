import * as z from "zod";

/** How many snapshots of a sandbox are kept. */
const KEPT = 5;
const KEY = "ledger";

const snapshotSchema = z.object({
  key: z.string(),
  parts: z.int(),
  sizeBytes: z.number(),
  atMs: z.number(),
  /** How often the sandbox had been reset. */
  epoch: z.int(),
});

const ledgerSchema = z.object({
  epoch: z.int(),
  /** Newest first. */
  snapshots: z.array(snapshotSchema),
  /** Of what the newest snapshot of this epoch holds. */
  fingerprint: z.string().exactOptional(),
  /** When the first change came that is in no snapshot. */
  unsavedSinceMs: z.number().exactOptional(),
  /** When the last attempt ended, and how long it took. */
  lastAttempt: z.object({ endedAtMs: z.number(), tookMs: z.number() }).exactOptional(),
  failures: z.int(),
  /** Sentences for the caller about the newest snapshot. */
  notes: z.array(z.string()),
  /** Keys that are no snapshots, or none yet, and of which something may be in the bucket. */
  stale: z.array(z.string()),
});

export type Snapshot = Readonly<z.output<typeof snapshotSchema>>;
type State = z.output<typeof ledgerSchema>;

const EMPTY: State = { epoch: 0, snapshots: [], failures: 0, notes: [], stale: [] };

/**
 * Which snapshots of one sandbox there are, and which of them is what it held: the newest since its last reset. Every
 * change is one write, so that it is there whole or not at all.
 */
export class SnapshotLedger {
  readonly #storage: SyncKvStorage;
  #state: State;

  constructor(storage: SyncKvStorage) {
    this.#storage = storage;
    const kept = storage.get(KEY);
    // One that cannot be read is an error: an empty one would say that there is nothing to restore.
    this.#state = kept === undefined ? EMPTY : ledgerSchema.parse(kept);
  }

  get state(): Readonly<State> {
    return this.#state;
  }

  /** Those that may be restored, newest first. */
  get restorable(): readonly Snapshot[] {
    return this.#state.snapshots.filter(({ epoch }) => epoch === this.#state.epoch);
  }

  /** Where what it names is `undefined`, that is forgotten. */
  update(change: { readonly [Name in keyof State]?: State[Name] | undefined }): void {
    const entries = Object.entries({ ...this.#state, ...change }).filter(([, value]) => value !== undefined);
    this.#state = ledgerSchema.parse(Object.fromEntries(entries));
    this.#storage.put(KEY, this.#state);
  }

  /** Something is about to be written there. */
  begin(key: string): void {
    this.update({ stale: [...this.#state.stale, key] });
  }

  /** The pointer moves: from now on that is what the sandbox held. */
  add(snapshot: Omit<Snapshot, "epoch">, fingerprint: string, notes: string[]): void {
    this.update({ ...this.#with({ ...snapshot, epoch: this.#state.epoch }), fingerprint, notes });
  }

  /** The pointer moves to what another sandbox held, past everything from before. */
  replace(copy: Omit<Snapshot, "epoch">, notes: string[]): void {
    const epoch = this.#state.epoch + 1;
    this.update({ ...this.#with({ ...copy, epoch }), epoch, fingerprint: undefined, notes, failures: 0 });
  }

  /** The pointer moves to nothing. */
  reset(): void {
    const { epoch } = this.#state;
    this.update({ epoch: epoch + 1, fingerprint: undefined, unsavedSinceMs: undefined, notes: [], failures: 0 });
  }

  /** As if there had never been any. */
  forget(): void {
    this.#state = EMPTY;
    this.#storage.delete(KEY);
  }

  #with(snapshot: Snapshot): Pick<State, "snapshots" | "stale"> {
    const { snapshots, stale } = this.#state;
    const all = [snapshot, ...snapshots];
    const gone = all.slice(KEPT).map(({ key }) => key);
    return { snapshots: all.slice(0, KEPT), stale: [...stale.filter((key) => key !== snapshot.key), ...gone] };
  }
}

/** A Chrome that has answered `--version`. */
export interface Chrome {
  readonly executable: string;
  /** `156.0.8078.79`. */
  readonly version: string;
  readonly origin: "system" | "bundled";
  /** What it needs in its environment. */
  readonly env: Readonly<Record<string, string>>;
  /** Folders outside `/usr` that it reads, to be mounted where it runs. */
  readonly folders: readonly string[];
}

export type FoundChrome =
  | { readonly found: true; readonly chrome: Chrome }
  | { readonly found: false; readonly problem: string };

export interface FindOptions {
  /** Absolute; the bundled Chrome is unpacked to `chrome/` in it, once. */
  readonly dataDir: string;
  /** Told what takes long, one line each. */
  readonly report: (line: string) => void;
  /** Look for this kind alone. */
  readonly origin?: Chrome["origin"];
}

/** The system's Chrome, else the one that `@sparticuz/chromium` carries, else one sentence that says what to do. */
export async function findChrome(_options: FindOptions): Promise<FoundChrome> {
  throw new Error("being written");
}

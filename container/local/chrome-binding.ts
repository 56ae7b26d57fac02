import type { Chrome } from "./chrome.ts";

export interface BindingOptions {
  /** Absolute. */
  readonly dataDir: string;
  readonly chrome: Chrome;
  /** Of an egress proxy in browser mode; Chrome reaches nothing else. */
  readonly egressSocket: string;
}

export type PreparedBinding =
  | {
      readonly ready: true;
      /** To be set in the environment of the process that makes `Miniflare`, before it does. */
      readonly env: Readonly<Record<string, string>>;
      /** For the banner: `its own sandbox, inside bubblewrap`. */
      readonly isolation: string;
    }
  | { readonly ready: false; readonly problem: string };

/**
 * Makes Miniflare's browser binding use that Chrome: puts a launcher script where Miniflare looks for its own. Each
 * start gets a private profile, no network but the egress proxy, and a sandbox; it ends with whoever started it.
 */
export async function prepareBrowserBinding(_options: BindingOptions): Promise<PreparedBinding> {
  throw new Error("being written");
}

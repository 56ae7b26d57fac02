import type { CallPipeline } from "../core/call.ts";

/** One request that came out of a sandbox. */
export interface InsideVisit {
  /** Its URL as it was asked for: `http://browser.internal/json/version`. */
  readonly request: Request;
  /** The sandbox's name, `main`. */
  readonly sandbox: string;
  /**
   * Gate, capabilities and books of its caller: the sandbox's owner, with their scopes less what the settings withhold,
   * and the client `sandbox:<name>`.
   */
  readonly pipeline: CallPipeline;
  readonly waitUntil: (work: Promise<unknown>) => void;
}

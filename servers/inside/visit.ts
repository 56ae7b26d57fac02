import type { Caller } from "../../auth/caller.ts";
import type { CallPipeline } from "../core/call.ts";

/** One request that came out of a sandbox. */
export interface InsideVisit {
  /** Its URL as it was asked for: `http://browser.internal/json/version`. */
  readonly request: Request;
  /** The sandbox's owner, with their scopes less what the settings withhold; the client is `sandbox:<name>`. */
  readonly caller: Caller;
  /** The sandbox's name, `main`. */
  readonly sandbox: string;
  /** The caller's: gate, capabilities, books. */
  readonly pipeline: CallPipeline;
  readonly waitUntil: (work: Promise<unknown>) => void;
}

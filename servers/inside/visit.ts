import type { Caller } from "../../auth/caller.ts";
import type { CallPipeline } from "../core/call.ts";

export interface InsideVisit {
  readonly request: Request; // URL as asked for: http://browser.internal/json/version
  readonly caller: Caller; // owner of the sandbox; clientId `sandbox:<name>`; scopes: the owner's, less what a setting withholds
  readonly sandbox: string; // its name, "main"
  readonly pipeline: CallPipeline; // servers/core/call.ts, of that caller: gate, capabilities, record
  readonly waitUntil: (work: Promise<unknown>) => void;
}

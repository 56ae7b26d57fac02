import type { Visitor } from "../../auth/account-session.ts";
import type { Account } from "../account/account.ts";
import type { InstanceType } from "../account/prices.ts";
import type { BrowserLook } from "../browser/session.ts";
import type { RunReport } from "../delegate/run-report.ts";
import type { DirectoryObject } from "../directory/directory-object.ts";
import type { FileStore } from "../files/store.ts";
import type { Sandbox } from "../sandbox/driver.ts";
import type { Preview } from "../sandbox/previews.ts";
import type { TerminalOrder } from "../sandbox/terminal-wire.ts";
import type { Acts, Rules } from "./acts.ts";
import type { HealthReport } from "./health-report.ts";

/** What the pages look at and act on. Whose it is they decide: the visitor's own, or anybody's for an admin. */
export interface Desk {
  readonly publicUrl: string;
  /** Whether this deployment is billed by anybody. */
  readonly isBilled: boolean;
  /** The size of its sandboxes, as the settings have it. */
  readonly instanceType: InstanceType;
  /** Why nobody can be an admin; nothing where somebody can. */
  readonly whyNoAdmins: string | undefined;
  readonly now: () => Date;
  account(userId: string): DurableObjectStub<Account>;
  directory(): DurableObjectStub<DirectoryObject>;
  filesOf(userId: string): FileStore;
  thingsOf(userId: string): PersonsThings;
  actsOn(userId: string): Acts;
  rules(): Rules;
  /** Answers an upgrade with a WebSocket to a shell in one of the visitor's own sandboxes. */
  openTerminal(
    visitor: Pick<Visitor, "person" | "role">,
    order: TerminalOrder,
    isStillIn: () => Promise<boolean>,
  ): Response;
  /** A file of the deployment's static assets. */
  asset(path: string): Promise<Response>;
  /** Tries each binding and setting, for the admin who asks for it at `origin`. */
  health(userId: string, origin: string): Promise<HealthReport>;
}

/** To be looked at: nothing of it wakes a sandbox, starts Chrome or counts as a use. */
export interface PersonsThings {
  sandbox(name: string): Pick<Sandbox, "status" | "listProcesses" | "readProcess" | "port">;
  /** Its exposed ports; none where this deployment has no place for previews. */
  previews(sandbox: string): Promise<readonly Preview[]>;
  /** Nothing where no Chrome is open. */
  browser(name: string): Promise<BrowserLook | undefined>;
  /** Nothing where the run is forgotten. */
  run(runId: string): Promise<RunReport | undefined>;
}

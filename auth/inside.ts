import { SettingsError, type Settings } from "../servers/shared/settings.ts";
import type { Caller } from "./caller.ts";
import { ALL_SCOPES, type Scope, isScope } from "./scopes.ts";

/** What a person or service may do by now. */
export type Standing = Pick<Caller, "role" | "scopes">;

/** The names of clients that run in a sandbox begin with it; the sandbox's own name follows. */
const CLIENT_PREFIX = "sandbox:";
/** Without one of these nobody has a sandbox. */
const OPENING: readonly Scope[] = ["sandbox:exec", "interpreter:run"];

export function clientIdOfSandbox(sandbox: string): string {
  return CLIENT_PREFIX + sandbox;
}

export function isInside(clientId: string): boolean {
  return clientId.startsWith(CLIENT_PREFIX);
}

/** What no sandbox may do, whoever owns it: to administer, and what the settings name. Throws where they name no scopes. */
export function withheldInside({ INSIDE_WITHHOLDS: named }: Pick<Settings, "INSIDE_WITHHOLDS">): readonly Scope[] {
  if (named.every(isScope)) return ["admin", ...named.filter(isScope)];
  throw new SettingsError([`INSIDE_WITHHOLDS names what is no scope; scopes are ${ALL_SCOPES.join(", ")}.`]);
}

/** What may be done from inside a sandbox whose owner may do that; nothing where they may have no sandbox any more. */
export function standingInside(owner: Standing | undefined, withheld: readonly Scope[]): Standing | undefined {
  if (owner === undefined || !OPENING.some((scope) => owner.scopes.includes(scope))) return undefined;
  return { role: owner.role, scopes: owner.scopes.filter((scope) => !withheld.includes(scope)) };
}

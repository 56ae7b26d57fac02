import type { Caller } from "./caller.ts";
import { ALL_SCOPES, type Scope, isScope, withImplied } from "./scopes.ts";

type Role = Caller["role"];

/** The most that each role may be granted. */
const SCOPES_OF_ROLE: Readonly<Record<Role, readonly Scope[]>> = {
  admin: ALL_SCOPES,
  member: ALL_SCOPES.filter((scope) => scope !== "admin"),
  reader: ["files:read", "browser:read"],
};

/** What is left of a grant under the role that the person has now. */
export function withinRole(scopes: readonly string[], role: Role): Scope[] {
  return scopes.filter(isScope).filter((scope) => SCOPES_OF_ROLE[role].includes(scope));
}

/** All that a role may ever have. */
export function scopesOfRole(role: Role): readonly Scope[] {
  return SCOPES_OF_ROLE[role];
}

/** Whether a role may ever have all of these scopes. */
export function mayHave(role: Role, scopes: readonly Scope[]): boolean {
  return withinRole(scopes, role).length === scopes.length;
}

/** What a client may have at an endpoint, and which of it the consent page ticks beforehand. */
export interface Offer {
  readonly scopes: readonly Scope[];
  readonly ticked: readonly Scope[];
}

/**
 * asked ∩ known ∩ endpoint ∩ role. A client that asks for nothing that we know (some ask for `openid email`) is
 * offered all that the endpoint's tools use. `admin` is offered only where it is asked for, and never ticked.
 */
export function offerFor(asked: readonly string[], endpointPath: string, role: Role): Offer {
  const known = asked.filter(isScope);
  const endpoint = scopesOfEndpoint(endpointPath);
  const wanted = known.length === 0 ? endpoint.filter((scope) => scope !== "admin") : withImplied(known);
  const scopes = withinRole(
    ALL_SCOPES.filter((scope) => wanted.includes(scope) && endpoint.includes(scope)),
    role,
  );
  return { scopes, ticked: scopes.filter((scope) => scope !== "admin") };
}

/** The grant: what was ticked of the offer, with what it reaches anyway. */
export function grantOf(ticked: readonly string[], offer: Offer): Scope[] {
  return withImplied(offer.scopes.filter((scope) => ticked.includes(scope)));
}

/** A sub-agent uses the tools of every server, so its endpoint takes every scope, as the suite's does. */
function scopesOfEndpoint(path: string): Scope[] {
  const server = path.slice(path.lastIndexOf("/") + 1);
  const own = ALL_SCOPES.filter((scope) => scope.startsWith(`${server}:`));
  return own.length === 0 || server === "delegate" ? ALL_SCOPES : withImplied(own);
}

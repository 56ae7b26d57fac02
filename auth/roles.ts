import type { Settings } from "../servers/shared/settings.ts";
import type { Caller } from "./caller.ts";

export type RoleGroups = Pick<Settings, "ADMIN_GROUPS" | "MEMBER_GROUPS" | "READER_GROUPS">;

/**
 * The role that groups give, the highest of several; `undefined` for who is in none of them. Where no group is named
 * for any role, everybody whom Access lets in is a member.
 */
export function roleInGroups(
  groups: readonly string[],
  { ADMIN_GROUPS, MEMBER_GROUPS, READER_GROUPS }: RoleGroups,
): Caller["role"] | undefined {
  if (ADMIN_GROUPS.length + MEMBER_GROUPS.length + READER_GROUPS.length === 0) return "member";
  const isIn = (named: readonly string[]): boolean => named.some((name) => groups.includes(name));
  if (isIn(ADMIN_GROUPS)) return "admin";
  if (isIn(MEMBER_GROUPS)) return "member";
  return isIn(READER_GROUPS) ? "reader" : undefined;
}

/** Those groups that a role goes by: no others are kept. */
export function namedGroups(
  groups: readonly string[],
  { ADMIN_GROUPS, MEMBER_GROUPS, READER_GROUPS }: RoleGroups,
): string[] {
  return [...new Set([...ADMIN_GROUPS, ...MEMBER_GROUPS, ...READER_GROUPS])].filter((name) => groups.includes(name));
}

import * as z from "zod";
import type { Settings } from "../servers/shared/settings.ts";
import type { Caller } from "./caller.ts";

export type RoleGroups = Pick<Settings, "ADMIN_GROUPS" | "MEMBER_GROUPS" | "READER_GROUPS">;

/** For whom Access lets in and no role goes to. */
export const NO_GROUP = "You are in no group that may use Pincer. Ask whoever runs it to let one of your groups in.";

/** Some identity providers have Access send objects: any of what they say names the group. */
const group = z.union([
  z.string().transform((name) => [name]),
  z
    .object({ id: z.string().optional(), name: z.string().optional(), email: z.string().optional() })
    .transform(({ id, name, email }) => [id, isClaimed(name, id) ? undefined : name, email])
    .transform((texts) => texts.filter((text) => text !== undefined)),
]);

/** A UUID or an address: what a directory gives out, and each group has for itself. */
const LIKE_ID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$|@/i;

/** In many directories anybody may make a group and call it as they like, also by the id of the admins' group. */
function isClaimed(name: string | undefined, id: string | undefined): boolean {
  return name !== undefined && id !== undefined && LIKE_ID.test(name);
}

/** A person's groups, as Access tells them. */
export const groupNames = z.array(group).transform((groups) => groups.flat());

/** Whether roles go by groups. */
export function hasRoleGroups({ ADMIN_GROUPS, MEMBER_GROUPS, READER_GROUPS }: RoleGroups): boolean {
  return ADMIN_GROUPS.length + MEMBER_GROUPS.length + READER_GROUPS.length > 0;
}

/**
 * The role that groups give, the highest of several; `undefined` for who is in none of them. Where no group is named
 * for any role, everybody whom Access lets in is a member.
 */
export function roleInGroups(groups: readonly string[], roleGroups: RoleGroups): Caller["role"] | undefined {
  if (!hasRoleGroups(roleGroups)) return "member";
  const isIn = (named: readonly string[]): boolean => named.some((name) => groups.includes(name));
  if (isIn(roleGroups.ADMIN_GROUPS)) return "admin";
  if (isIn(roleGroups.MEMBER_GROUPS)) return "member";
  return isIn(roleGroups.READER_GROUPS) ? "reader" : undefined;
}

/** Those groups that a role goes by: no others are kept. */
export function namedGroups(
  groups: readonly string[],
  { ADMIN_GROUPS, MEMBER_GROUPS, READER_GROUPS }: RoleGroups,
): string[] {
  return [...new Set([...ADMIN_GROUPS, ...MEMBER_GROUPS, ...READER_GROUPS])].filter((name) => groups.includes(name));
}

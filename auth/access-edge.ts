import * as z from "zod";
import { ASSERTION_HEADER, type AccessPerson, createAssertionVerifier } from "./access-jwt.ts";
import { type AccessRefusal, askAccess } from "./ask-access.ts";
import type { Caller } from "./caller.ts";
import { type GrantOwner, type Identity, type Refused, grantOwner, userIdOf } from "./identity.ts";
import { NO_GROUP, type RoleGroups, groupNames, hasRoleGroups, namedGroups, roleInGroups } from "./roles.ts";

/** Access is asked at `/authorize` only, so a grant must not outlive its decision by more than a day. */
const GRANT_SECONDS = 24 * 60 * 60;
const TOKEN_SECONDS = 60 * 60;
/** As long as a grant, for the same reason. */
const MAX_TOKEN_DAYS = 1;

interface AccessEdgeOptions {
  readonly teamDomain: string;
  readonly audience: string;
  readonly adminEmails: readonly string[];
  readonly groups: RoleGroups;
  readonly fetch: typeof fetch;
  readonly now: () => Date;
}

/** A Cloudflare Access application in front of `/authorize`: its assertion is the person. Fails closed. */
export function createAccessEdgeIdentity(options: AccessEdgeOptions): Identity {
  const verify = createAssertionVerifier(options);
  const admins = options.adminEmails.map((email) => email.toLowerCase());
  const roleOf = (owner: GrantOwner): Caller["role"] | undefined => {
    if (owner.identity !== "access-edge") return undefined;
    return admins.includes(owner.email) ? "admin" : roleInGroups(owner.groups, options.groups);
  };
  return {
    grantLife: { seconds: GRANT_SECONDS, isRenewed: false, tokenSeconds: TOKEN_SECONDS },
    maxTokenDays: MAX_TOKEN_DAYS,
    asksForCode: false,
    identify: async (request) => {
      const given = request.headers.get(ASSERTION_HEADER);
      if (given === null) return refuse("no assertion", NOT_SIGNED_IN);
      const assertion = await verify(given);
      switch (assertion.kind) {
        case "person": {
          const { issuer, subject, email } = assertion.person;
          const found = await findGroups(assertion.person, given, options);
          if (found.kind !== "groups") return refuseAs(found);
          const owner: GrantOwner = { identity: "access-edge", email, groups: found.groups };
          if (roleOf(owner) === undefined) return refuse("in no group", NO_GROUP);
          return { kind: "person", person: { userId: await userIdOf(issuer, subject), displayName: email, owner } };
        }
        case "service":
          return refuse("a service token's assertion", "A service token cannot consent; sign in as a person.");
        case "invalid":
          return refuse(assertion.reason, NOT_SIGNED_IN);
        case "unavailable":
          return refuseAs(assertion);
      }
    },
    prove: async () => ({ kind: "proven" }),
    roleOf: (owner) => {
      const parsed = grantOwner.safeParse(owner);
      return parsed.success ? roleOf(parsed.data) : undefined;
    },
  };
}

const NOT_SIGNED_IN = "Sign in through Cloudflare Access, then try again.";
const NOT_REACHED = "Cloudflare Access cannot be reached; try again in a minute.";

function refuseAs({ kind, reason }: AccessRefusal): Refused {
  return kind === "refused" ? refuse(reason, NOT_SIGNED_IN) : { ...refuse(reason, NOT_REACHED), isForNow: true };
}

function refuse(reason: string, message: string): Refused {
  return { kind: "refused", reason, message };
}

/** What the team's identity endpoint says of the person whose assertion it is shown. */
const identityAnswer = z.object({ user_uuid: z.string(), email: z.string(), groups: groupNames.nullish() });

type FoundGroups = { readonly kind: "groups"; readonly groups: string[] } | AccessRefusal;

/** An assertion has no room for groups: Access tells them where it is shown one. Not asked where no role goes by them. */
async function findGroups(
  { subject, email }: AccessPerson,
  assertion: string,
  { teamDomain, groups, fetch: fetcher }: AccessEdgeOptions,
): Promise<FoundGroups> {
  if (!hasRoleGroups(groups)) return { kind: "groups", groups: [] };
  const headers = { Cookie: `CF_Authorization=${assertion}` };
  const answer = await askAccess(`${teamDomain}/cdn-cgi/access/get-identity`, { headers }, identityAnswer, fetcher);
  if (answer.kind !== "answer") return answer;
  const told = answer.value;
  // Somebody else's groups are nobody's.
  if (told.user_uuid !== subject || told.email.toLowerCase() !== email) {
    return { kind: "refused", reason: "another person's groups" };
  }
  return { kind: "groups", groups: namedGroups(told.groups ?? [], groups) };
}

import type { Caller } from "./caller.ts";
import { ASSERTION_HEADER, createAssertionVerifier } from "./access-jwt.ts";
import { type Identity, grantOwner, userIdOf } from "./identity.ts";

/** Access is asked at `/authorize` only, so a grant must not outlive its decision by more than a day. */
const GRANT_SECONDS = 24 * 60 * 60;
const TOKEN_SECONDS = 60 * 60;
/** As long as a grant, for the same reason. */
const MAX_TOKEN_DAYS = 1;

interface AccessEdgeOptions {
  readonly teamDomain: string;
  readonly audience: string;
  readonly adminEmails: readonly string[];
  readonly fetch: typeof fetch;
  readonly now: () => Date;
}

/** A Cloudflare Access application in front of `/authorize`: its assertion is the person. Fails closed. */
export function createAccessEdgeIdentity(options: AccessEdgeOptions): Identity {
  const verify = createAssertionVerifier(options);
  const admins = options.adminEmails.map((email) => email.toLowerCase());
  const roleFor = (email: string): Caller["role"] => (admins.includes(email) ? "admin" : "member");
  return {
    grantLife: { seconds: GRANT_SECONDS, isRenewed: false, tokenSeconds: TOKEN_SECONDS },
    maxTokenDays: MAX_TOKEN_DAYS,
    asksForCode: false,
    letsInForGood: false,
    identify: async (request) => {
      const assertion = await verify(request.headers.get(ASSERTION_HEADER));
      switch (assertion.kind) {
        case "person": {
          const { issuer, subject, email } = assertion.person;
          const userId = await userIdOf(issuer, subject);
          return { kind: "person", person: { userId, displayName: email, owner: { identity: "access-edge", email } } };
        }
        case "service":
          return {
            kind: "refused",
            reason: "a service token's assertion",
            message: "A service token cannot consent; sign in through Cloudflare Access as a person.",
          };
        case "invalid":
          return {
            kind: "refused",
            reason: assertion.reason,
            message: "Sign in through Cloudflare Access, then try again.",
          };
        case "unavailable":
          return {
            kind: "refused",
            reason: assertion.reason,
            message: "Cloudflare Access cannot be reached; try again in a minute.",
          };
      }
    },
    prove: async () => ({ kind: "proven" }),
    roleOf: (owner) => {
      const parsed = grantOwner.safeParse(owner);
      return parsed.success && parsed.data.identity === "access-edge" ? roleFor(parsed.data.email) : undefined;
    },
  };
}

import * as z from "zod";
import type { AccessRefusal } from "./ask-access.ts";
import {
  type GiverNow,
  type Identity,
  type Refused,
  type Upstream,
  type UpstreamArrival,
  grantOwner,
  userIdOf,
} from "./identity.ts";
import { plainName } from "./html.ts";
import { NO_GROUP, type RoleGroups, namedGroups, roleInGroups } from "./roles.ts";
import { randomHex } from "./secrets.ts";
import type { UpstreamProvider } from "./upstream-provider.ts";
import type { SessionHolder } from "./upstream-session.ts";

/** So long a grant lives unused; Access is asked again before each of its tokens. */
const GRANT_SECONDS = 30 * 24 * 60 * 60;
/** Whom Access no longer lets in loses the suite when the token ends. */
const TOKEN_SECONDS = 10 * 60;
/** Access is asked about the maker of a personal token, too. */
const MAX_TOKEN_DAYS = 366;

/** Where one grant's session at the provider is held. */
export type UpstreamSessions = (userId: string, sessionId: string) => SessionHolder;

interface AccessOidcOptions {
  readonly issuer: string;
  readonly groups: RoleGroups;
  readonly provider: UpstreamProvider;
  readonly sessions: UpstreamSessions;
  readonly now: () => Date;
}

/** Kept on the server between the way to the provider and the way back. */
const journeySchema = z.object({ nonce: z.string(), codeVerifier: z.string() });

const NOT_LET_IN = "Cloudflare Access did not let you in. Go back to the app and start again.";
const NOT_REACHED = "Cloudflare Access cannot be reached; go back to the app and try again in a minute.";
const NO_REFRESH_TOKEN =
  "Cloudflare Access gave no refresh token, so it could not be asked about you later. Whoever runs Pincer must set a refresh token lifetime in its Access application.";

/** Access for SaaS as the OpenID provider: its id token is the person, its `groups` are the role. */
export function createAccessOidcIdentity(options: AccessOidcOptions): Identity {
  const { groups: roleGroups, sessions, now } = options;
  const upstream: Upstream = {
    begin: async () => await begin(options),
    finish: async (url, data) => await finish(url, data, options),
    giverNow: async (userId, sessionId, maxAgeMs): Promise<GiverNow> => {
      const session = sessions(userId, sessionId);
      const standing = await session.standing({ maxAgeMs, nowMs: now().getTime() });
      if (standing.kind !== "in") return { kind: standing.kind };
      const role = roleInGroups(standing.groups, roleGroups);
      if (role === undefined) {
        await session.end();
        return { kind: "out" };
      }
      const groups = namedGroups(standing.groups, roleGroups);
      return { kind: "in", role, owner: { identity: "access-oidc", session: sessionId, groups } };
    },
    keep: async (userId, sessionId) => await sessions(userId, sessionId).keep(now().getTime()),
    end: async (userId, sessionId) => await sessions(userId, sessionId).end(),
  };
  return {
    grantLife: { seconds: GRANT_SECONDS, isRenewed: true, tokenSeconds: TOKEN_SECONDS },
    maxTokenDays: MAX_TOKEN_DAYS,
    asksForCode: false,
    identify: async () => ({ kind: "upstream", upstream }),
    prove: async () => ({ kind: "proven" }),
    roleOf: (owner) => {
      const parsed = grantOwner.safeParse(owner);
      if (!parsed.success || parsed.data.identity !== "access-oidc") return undefined;
      return roleInGroups(parsed.data.groups, roleGroups);
    },
    upstream,
  };
}

async function begin({ provider }: AccessOidcOptions): ReturnType<Upstream["begin"]> {
  const nonce = randomHex(32);
  const codeVerifier = randomHex(32);
  const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(codeVerifier));
  const codeChallenge = new Uint8Array(digest).toBase64({ alphabet: "base64url", omitPadding: true });
  return {
    data: { nonce, codeVerifier },
    urlFor: (state: string) => provider.signInUrl({ state, nonce, codeChallenge }),
  };
}

async function finish(url: URL, data: unknown, options: AccessOidcOptions): Promise<UpstreamArrival | Refused> {
  const { issuer, groups: roleGroups, provider, sessions, now } = options;
  const { nonce, codeVerifier } = journeySchema.parse(data);
  const answer = url.searchParams;
  // RFC 9207: an answer of another issuer is not for us.
  if ((answer.get("iss") ?? issuer) !== issuer) return refuse("another issuer", NOT_LET_IN);
  const code = answer.get("code");
  if (answer.has("error") || code === null) return refuse("the provider sent no code", NOT_LET_IN);
  const tokens = await provider.exchange(code, codeVerifier);
  if (tokens.kind !== "tokens") return refuseAs(tokens);
  const found = await provider.identify(tokens, nonce);
  if (found.kind !== "person") return refuseAs(found);
  if (roleInGroups(found.groups, roleGroups) === undefined) return refuse("in no group", NO_GROUP);
  const { subject, email } = found;
  const { refreshToken } = tokens;
  if (refreshToken === undefined) return refuse("no refresh token", NO_REFRESH_TOKEN);
  // By the team and not by the application, as in access-edge: another application is still the same person.
  const userId = await userIdOf(new URL(issuer).origin, subject);
  const sessionId = randomHex(16);
  const groups = namedGroups(found.groups, roleGroups);
  return {
    kind: "arrival",
    person: {
      userId,
      displayName: email ?? `somebody without an e-mail address (${plainName(subject)})`,
      owner: { identity: "access-oidc", session: sessionId, groups },
    },
    hold: async () => {
      await sessions(userId, sessionId).begin({ subject, refreshToken, groups }, now().getTime());
    },
  };
}

function refuseAs({ kind, reason }: AccessRefusal): Refused {
  return kind === "refused" ? refuse(reason, NOT_LET_IN) : { ...refuse(reason, NOT_REACHED), isForNow: true };
}

function refuse(reason: string, message: string): Refused {
  return { kind: "refused", reason, message };
}

import type { Log } from "../servers/core/log.ts";
import { ROLES } from "../servers/shared/limits.ts";
import type { ServiceToken } from "../servers/shared/service-settings.ts";
import { SettingsError } from "../servers/shared/settings.ts";
import { ASSERTION_HEADER, createAssertionVerifier } from "./access-jwt.ts";
import { userIdOf } from "./identity.ts";
import type { Standing } from "./inside.ts";
import { withinRole } from "./policy.ts";
import { ALL_SCOPES, type Scope, isScope, withImplied } from "./scopes.ts";
import type { VerifiedToken } from "./token-cache.ts";

const CLIENT_PREFIX = "service:";

interface ServiceTokenOptions {
  readonly tokens: Readonly<Record<string, ServiceToken>>;
  readonly teamDomain: string;
  /** Of the Access application in front of the endpoints, where only service tokens are asked for. */
  readonly audience: string;
  readonly log: Log;
  readonly fetch: typeof fetch;
  readonly now: () => Date;
}

/** Services that Access vouches for and the settings name; whoever is not named is nobody. */
export interface ServiceTokens {
  /** The service that sent this request. */
  find(request: Request): Promise<VerifiedToken | undefined>;
  /** What the service behind a caller may do by now; `undefined` for one that is no longer named. */
  scopesNow(clientId: string): readonly Scope[] | undefined;
  /** Whether that is a service which may do all of this by now. */
  mayHave(userId: string, scopes: readonly Scope[]): Promise<boolean>;
  /** What that service may do by now, by all of its tokens; `undefined` for whoever is none. */
  standingOf(userId: string): Promise<Standing | undefined>;
}

export function isService(clientId: string): boolean {
  return clientId.startsWith(CLIENT_PREFIX);
}

/** Throws where the settings give a service what its role never has. */
export function createServiceTokens(options: ServiceTokenOptions): ServiceTokens {
  const { teamDomain, log } = options;
  const tokens = new Map(
    Object.entries(options.tokens).map(([id, token]) => [id, { ...token, scopes: scopesOf(token) }]),
  );
  const verify = createAssertionVerifier(options);
  return {
    find: async (request) => {
      const given = request.headers.get(ASSERTION_HEADER);
      if (given === null) return undefined;
      const assertion = await verify(given);
      if (assertion.kind === "unavailable") log.error("service not verified", { reason: assertion.reason });
      if (assertion.kind !== "service") return undefined;
      const token = tokens.get(assertion.tokenId);
      if (token === undefined) return undefined;
      const { name, role, scopes } = token;
      return {
        caller: {
          userId: await userIdOfService(teamDomain, name),
          role,
          scopes,
          clientId: `${CLIENT_PREFIX}${assertion.tokenId}`,
        },
        expiresAtSeconds: assertion.expiresAtSeconds,
      };
    },
    scopesNow: (clientId) => tokens.get(clientId.slice(CLIENT_PREFIX.length))?.scopes,
    mayHave: async (userId, scopes) => {
      for (const token of tokens.values()) {
        if (!scopes.every((scope) => token.scopes.includes(scope))) continue;
        if ((await userIdOfService(teamDomain, token.name)) === userId) return true;
      }
      return false;
    },
    standingOf: async (userId) => {
      const all = await Promise.all(
        [...tokens.values()].map(async (token) => {
          const isTheirs = (await userIdOfService(teamDomain, token.name)) === userId;
          return isTheirs ? [token] : [];
        }),
      );
      const own = all.flat();
      const role = ROLES.find((each) => own.some((token) => token.role === each));
      return role && { role, scopes: ALL_SCOPES.filter((scope) => own.some(({ scopes }) => scopes.includes(scope))) };
    },
  };
}

/** A person's subject has no slash in it. */
async function userIdOfService(teamDomain: string, name: string): Promise<string> {
  return await userIdOf(teamDomain, `service/${name}`);
}

function scopesOf({ name, role, scopes: named }: ServiceToken): readonly Scope[] {
  const wanted = named ?? withinRole(ALL_SCOPES, role).filter((scope) => scope !== "admin");
  const foreign = wanted.filter((scope) => withinRole([scope], role).length === 0);
  if (foreign.length > 0) {
    throw new SettingsError([`SERVICE_TOKENS gives ${name} ${foreign.join(", ")}, which no ${role} has; remove it.`]);
  }
  return withinRole(withImplied(wanted.filter(isScope)), role);
}

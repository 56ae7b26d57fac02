import { jwtVerify } from "jose";
import * as z from "zod";
import { explainJwtFailure, remoteKeys } from "./remote-keys.ts";
import { groupNames } from "./roles.ts";

export interface IdTokenOptions {
  readonly issuer: string;
  readonly clientId: string;
  readonly fetch: typeof fetch;
  readonly now: () => Date;
}

export type VerifiedIdToken =
  /** `groups` is absent where the token says nothing of them. */
  | { readonly kind: "valid"; readonly subject: string; readonly email?: string; readonly groups?: readonly string[] }
  | { readonly kind: "invalid"; readonly reason: string }
  /** The issuer's keys could not be fetched: nobody's fault, and nobody gets in. */
  | { readonly kind: "unavailable"; readonly reason: string };

/** A person's claims, as id tokens and the userinfo endpoint carry them. */
export const personClaims = z.object({
  sub: z.string().min(1),
  email: z.string().max(320).optional(),
  groups: groupNames.optional(),
});

const idClaims = personClaims.extend({
  aud: z.union([z.string(), z.array(z.string())]),
  azp: z.string().optional(),
  nonce: z.string().optional(),
});

/**
 * Verifies id tokens of one client (OpenID Connect Core §3.1.3.7); keeps the issuer's keys, so make it once. With a
 * `nonce` the token must be the answer to the request that carried it.
 */
export function createIdTokenVerifier(
  options: IdTokenOptions,
): (token: string, nonce: string | undefined) => Promise<VerifiedIdToken> {
  const { issuer, clientId, now } = options;
  const keys = remoteKeys(`${issuer}/jwks`, options.fetch);
  return async (token, nonce) => {
    try {
      const { payload } = await jwtVerify(token, keys, {
        issuer,
        audience: clientId,
        algorithms: ["RS256"],
        requiredClaims: ["exp", "iat", "sub"],
        clockTolerance: 5,
        currentDate: now(),
      });
      const parsed = idClaims.safeParse(payload);
      if (!parsed.success) return { kind: "invalid", reason: "not a person's id token" };
      const { sub, email, groups, aud, azp, nonce: answered } = parsed.data;
      if (nonce !== undefined && answered !== nonce) return { kind: "invalid", reason: "wrong nonce" };
      // A token for several clients says by azp which of them asked for it.
      const party = azp ?? (typeof aud === "string" || aud.length === 1 ? clientId : undefined);
      if (party !== clientId) return { kind: "invalid", reason: "another client's token" };
      return {
        kind: "valid",
        subject: sub,
        ...(email === undefined ? {} : { email }),
        ...(groups === undefined ? {} : { groups }),
      };
    } catch (failure) {
      return explainJwtFailure(failure);
    }
  };
}

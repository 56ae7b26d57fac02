import { jwtVerify } from "jose";
import * as z from "zod";
import { explainJwtFailure, remoteKeys } from "./remote-keys.ts";

/** The header in which Access hands over its assertion. A bare e-mail header is never believed. */
export const ASSERTION_HEADER = "Cf-Access-Jwt-Assertion";

export interface AccessPerson {
  readonly issuer: string;
  readonly subject: string;
  readonly email: string;
}

export type Assertion =
  | { readonly kind: "person"; readonly person: AccessPerson }
  | { readonly kind: "service"; readonly tokenId: string; readonly expiresAtSeconds: number }
  | { readonly kind: "invalid"; readonly reason: string }
  /** The team's keys could not be fetched: nobody's fault, and nobody gets in. */
  | { readonly kind: "unavailable"; readonly reason: string };

interface AccessOptions {
  /** `https://<team>.cloudflareaccess.com` */
  readonly teamDomain: string;
  readonly audience: string;
  readonly fetch: typeof fetch;
  readonly now: () => Date;
}

/** A person's application token. */
const personClaims = z.object({
  sub: z.string().min(1),
  email: z.string().regex(/^[^\s@]+@[^\s@]+$/),
  type: z.literal("app"),
  common_name: z.undefined().optional(),
});

/** A service token has an empty `sub`, and a `common_name`, its client id, in place of an e-mail. */
const serviceClaims = z.object({
  sub: z.literal("").optional(),
  email: z.undefined().optional(),
  type: z.literal("app"),
  common_name: z.string().min(1),
  exp: z.number(),
});

/** Verifies assertions of one Access application; keeps the team's keys, so make it once. */
export function createAssertionVerifier(options: AccessOptions): (assertion: string) => Promise<Assertion> {
  const keys = remoteKeys(`${options.teamDomain}/cdn-cgi/access/certs`, options.fetch);
  return async (assertion) => {
    try {
      const { payload } = await jwtVerify(assertion, keys, {
        issuer: options.teamDomain,
        audience: options.audience,
        algorithms: ["RS256"],
        requiredClaims: ["exp", "iat"],
        clockTolerance: 5,
        currentDate: options.now(),
      });
      const service = serviceClaims.safeParse(payload);
      if (service.success) {
        return { kind: "service", tokenId: service.data.common_name, expiresAtSeconds: service.data.exp };
      }
      const claims = personClaims.safeParse(payload);
      if (!claims.success) return { kind: "invalid", reason: "neither a person's assertion nor a service's" };
      const { sub, email } = claims.data;
      return { kind: "person", person: { issuer: options.teamDomain, subject: sub, email: email.toLowerCase() } };
    } catch (failure) {
      return explainJwtFailure(failure);
    }
  };
}

import { type JWTVerifyGetKey, createRemoteJWKSet, customFetch, errors } from "jose";

/** The keys that an issuer publishes at `url`. jose follows no redirect, so no other host chooses them. */
export function remoteKeys(url: string, fetcher: typeof fetch): JWTVerifyGetKey {
  return createRemoteJWKSet(new URL(url), {
    timeoutDuration: 5_000,
    cooldownDuration: 30_000,
    cacheMaxAge: 10 * 60 * 1000,
    [customFetch]: async (address, init) => await fetcher(address, init),
  });
}

/** Why a JWT was not accepted. jose's codes say which check failed, and never hold the token. */
export function explainJwtFailure(failure: unknown): {
  readonly kind: "invalid" | "unavailable";
  readonly reason: string;
} {
  if (!(failure instanceof errors.JOSEError)) return { kind: "unavailable", reason: "the keys cannot be fetched" };
  const isOurTrouble = failure instanceof errors.JWKSTimeout || failure.code === "ERR_JOSE_GENERIC";
  return { kind: isOurTrouble ? "unavailable" : "invalid", reason: failure.code };
}

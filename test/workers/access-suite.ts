import { env } from "cloudflare:workers";
import { SignJWT, exportJWK, generateKeyPair } from "jose";
import { LOCAL_SETTINGS, type Suite, startSuite } from "./auth-suite.ts";

export const TEAM = "https://team.cloudflareaccess.com";
export const AUDIENCE = "the-audience-tag";
export const EDGE_SETTINGS = {
  ...LOCAL_SETTINGS,
  IDENTITY: "access-edge",
  ACCESS_TEAM_DOMAIN: TEAM,
  ACCESS_AUDIENCE: AUDIENCE,
  ADMIN_EMAILS: "Boss@example.com",
};
export const CLAIMS = { email: "ann@example.com", type: "app", identity_nonce: "n", country: "DE" };

export type Keys = Awaited<ReturnType<typeof generateKeyPair>>;

/** Access's side: a key pair, its certificate endpoint, and assertions signed with it. */
export async function startAccess(
  settings: Readonly<Record<string, string>> = {},
): Promise<{ suite: Suite; keys: Keys; fetched: string[] }> {
  const keys = await generateKeyPair("RS256", { extractable: true });
  const jwks = { keys: [{ ...(await exportJWK(keys.publicKey)), kid: "k1", alg: "RS256", use: "sig" }] };
  const fetched: string[] = [];
  const suite = startSuite({
    bindings: env,
    settings: { ...EDGE_SETTINGS, ...settings },
    fetch: async (input) => {
      const url = input instanceof Request ? input.url : input.toString();
      fetched.push(url);
      return url === `${TEAM}/cdn-cgi/access/certs` ? Response.json(jwks) : new Response(null, { status: 599 });
    },
  });
  return { suite, keys, fetched };
}

/** An assertion as Access makes them, to be signed. */
export function assertion(
  claims: Readonly<Record<string, unknown>> = {},
  header: Readonly<Record<string, unknown>> = {},
): SignJWT {
  return new SignJWT({ ...CLAIMS, ...claims })
    .setProtectedHeader({ alg: "RS256", kid: "k1", ...header })
    .setIssuer(TEAM)
    .setAudience([AUDIENCE])
    .setSubject("7f1c-ann")
    .setIssuedAt()
    .setExpirationTime("1h");
}

export const withAssertion = (jwt: string): Record<string, string> => ({ "Cf-Access-Jwt-Assertion": jwt });

import { env } from "cloudflare:workers";
import { SignJWT, exportJWK, generateKeyPair } from "jose";
import type { Desk } from "../../servers/admin/desk.ts";
import { LOCAL_SETTINGS, type Suite, startSuite } from "./auth-suite.ts";

export const TEAM = "https://team.cloudflareaccess.com";
export const IDENTITY_URL = `${TEAM}/cdn-cgi/access/get-identity`;
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

interface Access {
  readonly suite: Suite;
  readonly keys: Keys;
  readonly fetched: string[];
}

/** Access's side: a key pair, its certificate endpoint, and assertions signed with it. Its identity endpoint is a test's. */
export async function startAccess(
  settings: Readonly<Record<string, string>> = {},
  identity: (request: Request) => Response | Promise<Response> = () => new Response(null, { status: 599 }),
  deskOf: (desk: Desk) => Desk = (desk) => desk,
): Promise<Access> {
  const keys = await generateKeyPair("RS256", { extractable: true });
  const jwks = { keys: [{ ...(await exportJWK(keys.publicKey)), kid: "k1", alg: "RS256", use: "sig" }] };
  const fetched: string[] = [];
  const answer = async (request: Request): Promise<Response> => {
    fetched.push(request.url);
    if (request.url === `${TEAM}/cdn-cgi/access/certs`) return Response.json(jwks);
    return request.url === IDENTITY_URL ? await identity(request) : new Response(null, { status: 599 });
  };
  const suite = startSuite({
    bindings: env,
    settings: { ...EDGE_SETTINGS, ...settings },
    desk: deskOf,
    fetch: async (input, init) => {
      const request = new Request(input, init);
      const response = await answer(request);
      const location = response.headers.get("Location");
      if (location === null || request.redirect === "manual") return response;
      return await answer(new Request(location, request));
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

import * as z from "zod";
import { type AccessRefusal, askAccess } from "./ask-access.ts";
import { createIdTokenVerifier, personClaims } from "./id-token.ts";

export interface UpstreamClient {
  readonly issuer: string;
  readonly clientId: string;
  readonly clientSecret: string;
  /** Where the provider sends browsers back to. */
  readonly redirectUri: string;
  /** Whether roles go by groups; where they do not, none are asked for. */
  readonly needsGroups: boolean;
}

export interface UpstreamTokens {
  readonly kind: "tokens";
  readonly accessToken: string;
  readonly idToken?: string;
  readonly refreshToken?: string;
}

export interface UpstreamPerson {
  readonly kind: "person";
  readonly subject: string;
  /** For people to read: who it is goes by the subject alone. */
  readonly email?: string;
  readonly groups: readonly string[];
}

/** The OpenID provider that signs people in, as Access for SaaS serves it: every endpoint lies below the issuer. */
export interface UpstreamProvider {
  signInUrl(request: { readonly state: string; readonly nonce: string; readonly codeChallenge: string }): string;
  exchange(code: string, codeVerifier: string): Promise<UpstreamTokens | AccessRefusal>;
  /** Where a new refresh token comes along, the old one is used up. */
  refresh(refreshToken: string): Promise<UpstreamTokens | AccessRefusal>;
  /** Whose tokens they are. With a `nonce` an id token must be among them, and answer it. */
  identify(tokens: UpstreamTokens, nonce?: string): Promise<UpstreamPerson | AccessRefusal>;
}

interface ProviderOptions extends UpstreamClient {
  readonly fetch: typeof fetch;
  readonly now: () => Date;
}

const tokenAnswer = z.object({
  access_token: z.string().min(1),
  id_token: z.string().min(1).optional(),
  refresh_token: z.string().min(1).optional(),
});

/** Keeps the provider's keys, so make it once. */
export function createUpstreamProvider(options: ProviderOptions): UpstreamProvider {
  const { issuer, clientId, clientSecret, redirectUri, needsGroups } = options;
  const verify = createIdTokenVerifier(options);
  const requestTokens = async (form: Readonly<Record<string, string>>): Promise<UpstreamTokens | AccessRefusal> => {
    const body = new URLSearchParams({ ...form, client_id: clientId, client_secret: clientSecret });
    const answer = await askAccess(`${issuer}/token`, { method: "POST", body }, tokenAnswer, options.fetch);
    if (answer.kind !== "answer") return answer;
    const { access_token: accessToken, id_token: idToken, refresh_token: refreshToken } = answer.value;
    return {
      kind: "tokens",
      accessToken,
      ...(idToken === undefined ? {} : { idToken }),
      ...(refreshToken === undefined ? {} : { refreshToken }),
    };
  };
  return {
    signInUrl: ({ state, nonce, codeChallenge }) => {
      const query = new URLSearchParams({
        response_type: "code",
        client_id: clientId,
        redirect_uri: redirectUri,
        scope: needsGroups ? "openid email groups" : "openid email",
        state,
        nonce,
        code_challenge: codeChallenge,
        code_challenge_method: "S256",
      });
      return `${issuer}/authorization?${query.toString()}`;
    },
    exchange: async (code, codeVerifier) =>
      await requestTokens({
        grant_type: "authorization_code",
        code,
        code_verifier: codeVerifier,
        redirect_uri: redirectUri,
      }),
    refresh: async (refreshToken) => await requestTokens({ grant_type: "refresh_token", refresh_token: refreshToken }),
    identify: async ({ idToken, accessToken }, nonce) => {
      if (idToken === undefined && nonce !== undefined) return { kind: "refused", reason: "no id token" };
      const verified = idToken === undefined ? undefined : await verify(idToken, nonce);
      if (verified?.kind === "invalid") return { kind: "refused", reason: verified.reason };
      if (verified?.kind === "unavailable") return { kind: "unavailable", reason: verified.reason };
      if (verified !== undefined && (verified.groups !== undefined || !needsGroups)) {
        return personOf(verified.subject, verified.email, verified.groups);
      }
      const headers = { Authorization: `Bearer ${accessToken}` };
      const answer = await askAccess(`${issuer}/userinfo`, { headers }, personClaims, options.fetch);
      if (answer.kind !== "answer") return answer;
      const { sub: subject, email, groups } = answer.value;
      // OpenID Connect Core §5.3.2: userinfo of somebody else must not be used.
      if (verified !== undefined && verified.subject !== subject) return { kind: "refused", reason: "two subjects" };
      return personOf(subject, verified?.email ?? email, groups);
    },
  };
}

function personOf(
  subject: string,
  email: string | undefined,
  groups: readonly string[] | undefined = [],
): UpstreamPerson {
  return { kind: "person", subject, groups, ...(email === undefined ? {} : { email }) };
}

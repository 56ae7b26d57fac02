import { listDurableObjectIds, runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { SignJWT, exportJWK, generateKeyPair } from "jose";
import type { UpstreamSessions } from "../../auth/access-oidc.ts";
import { type UpstreamProvider, createUpstreamProvider } from "../../auth/upstream-provider.ts";
import { UpstreamSession } from "../../auth/upstream-session.ts";
import {
  type Client,
  type ConsentForm,
  LOCAL_SETTINGS,
  ORIGIN,
  type Suite,
  authorizeUrl,
  press,
  readForm,
  register,
  startSuite,
} from "./auth-suite.ts";

export const ISSUER = "https://team.cloudflareaccess.com/cdn-cgi/access/sso/oidc/the-client";
export const CLIENT_ID = "the-client";
export const CLIENT_SECRET = "the-secret-of-the-client";

const { LOCAL_SIGN_IN_CODE: _code, LOCAL_ADMIN_SECRET: _secret, ...COMMON } = LOCAL_SETTINGS;

export const OIDC_SETTINGS = {
  ...COMMON,
  IDENTITY: "access-oidc",
  ACCESS_OIDC_ISSUER: ISSUER,
  ACCESS_OIDC_CLIENT_ID: CLIENT_ID,
  ACCESS_OIDC_CLIENT_SECRET: CLIENT_SECRET,
  MEMBER_GROUPS: "staff",
  READER_GROUPS: "guests",
};

export type Keys = Awaited<ReturnType<typeof generateKeyPair>>;

/** What the scripted provider says; a test changes it under way. */
export interface Script {
  readonly keys: Keys;
  /** Signs what is said of the person who has just signed in. */
  idToken: (claims: Readonly<Record<string, unknown>>) => Promise<string>;
  /** What is said of the person beside `sub`, in the id token and by userinfo. */
  claims: Record<string, unknown>;
  userinfo: () => Response | Promise<Response>;
  /** The answer of the token endpoint, where it is not tokens. */
  refusal: (() => Response) | undefined;
  /** A refresh token that was used is refused; `undefined` gives none out. */
  refreshToken: string | undefined;
  hasIdTokenAtRefresh: boolean;
  /** The forms that the token endpoint was sent. */
  readonly asked: URLSearchParams[];
  /** Where a redirect of its has led. */
  readonly followed: string[];
}

interface OidcSuite {
  readonly suite: Suite;
  readonly script: Script;
}

/** Sign-in at a provider that says what a test has it say. Sessions are Durable Objects, which ask it too. */
export async function startOidcSuite(settings: Readonly<Record<string, string>> = {}): Promise<OidcSuite> {
  const keys = await generateKeyPair("RS256", { extractable: true });
  const jwks = { keys: [{ ...(await exportJWK(keys.publicKey)), kid: "k1", use: "sig" }] };
  let nonce = "";
  const script: Script = {
    keys,
    idToken: async (claims) => await idToken(claims).sign(keys.privateKey),
    claims: { groups: ["staff"] },
    userinfo: () => Response.json({ sub: "ann", ...script.claims }),
    refusal: undefined,
    refreshToken: "upstream-refresh-1",
    hasIdTokenAtRefresh: true,
    asked: [],
    followed: [],
  };
  const answerTokens = async (form: URLSearchParams): Promise<Response> => {
    script.asked.push(form);
    if (script.refusal !== undefined) return script.refusal();
    const isRefresh = form.get("grant_type") === "refresh_token";
    if (isRefresh && form.get("refresh_token") !== script.refreshToken) {
      return Response.json({ error: "invalid_grant" }, { status: 400 });
    }
    if (isRefresh) script.refreshToken = `upstream-refresh-${script.asked.length}`;
    const claims = { ...(isRefresh ? {} : { nonce }), ...script.claims };
    return Response.json({
      access_token: "upstream-access",
      ...(script.refreshToken === undefined ? {} : { refresh_token: script.refreshToken }),
      ...(isRefresh && !script.hasIdTokenAtRefresh ? {} : { id_token: await script.idToken(claims) }),
    });
  };
  const answer = async (input: RequestInfo | URL, init?: RequestInit): Promise<Response> => {
    const form = init?.body instanceof URLSearchParams ? init.body : new URLSearchParams();
    switch (new Request(input).url) {
      case `${ISSUER}/jwks`:
        return Response.json(jwks);
      case `${ISSUER}/userinfo`:
        return await script.userinfo();
      case `${ISSUER}/token`:
        return await answerTokens(form);
      default:
        throw new Error("That address is not the provider's.");
    }
  };
  const fetcher = async (input: RequestInfo | URL, init?: RequestInit): Promise<Response> => {
    const response = await answer(input, init);
    const location = response.headers.get("Location");
    if (location !== null && init?.redirect !== "manual") script.followed.push(location);
    return response;
  };
  const suite = startSuite({
    bindings: env,
    settings: { ...OIDC_SETTINGS, ...settings },
    fetch: fetcher,
    upstreamSessions: scriptedSessions(fetcher),
  });
  const watched: Suite = {
    ...suite,
    fetch: async (path, init) => {
      const response = await suite.fetch(path, init);
      const location = response.headers.get("Location") ?? "";
      if (location.startsWith(ISSUER)) nonce = new URL(location).searchParams.get("nonce") ?? "";
      return response;
    },
  };
  return { suite: watched, script };
}

/** An id token as Access makes them, to be signed. */
export function idToken(
  claims: Readonly<Record<string, unknown>>,
  header: Readonly<Record<string, unknown>> = {},
): SignJWT {
  return new SignJWT({ ...claims })
    .setProtectedHeader({ alg: "RS256", kid: "k1", ...header })
    .setIssuer(ISSUER)
    .setAudience(CLIENT_ID)
    .setSubject("ann")
    .setIssuedAt()
    .setExpirationTime("5m");
}

/** The sessions of the Worker, but that they ask by `fetcher`. */
function scriptedSessions(fetcher: typeof fetch): UpstreamSessions {
  const client = {
    issuer: ISSUER,
    clientId: CLIENT_ID,
    clientSecret: CLIENT_SECRET,
    redirectUri: `${ORIGIN}/authorize/callback`,
    needsGroups: true,
  };
  class ScriptedSession extends UpstreamSession {
    protected override provider(): UpstreamProvider {
      return createUpstreamProvider({ ...client, fetch: fetcher, now: () => new Date() });
    }
  }
  const opened = new Map<string, ScriptedSession>();
  return (userId, sessionId) => {
    const name = `${userId}/upstream/${sessionId}`;
    const stub = env.UPSTREAM_SESSION.get(env.UPSTREAM_SESSION.idFromName(name));
    const within = async <T>(use: (session: ScriptedSession) => Promise<T>): Promise<T> =>
      await runInDurableObject(stub, async (_object, state) => {
        const session = opened.get(name) ?? new ScriptedSession(state, {});
        opened.set(name, session);
        return await use(session);
      });
    return {
      keep: async (nowMs) => await within(async (object) => await object.keep(nowMs)),
      begin: async (session, nowMs) => await within(async (object) => await object.begin(session, nowMs)),
      standing: async (question) => await within(async (object) => await object.standing(question)),
      end: async () => await within(async (object) => await object.end()),
    };
  };
}

/** The browser is sent to the provider: with which state, and which cookies it holds. */
export async function leave(
  suite: Suite,
  client: Client,
  extra: Readonly<Record<string, string>> = {},
): Promise<{ readonly url: URL; readonly state: string; readonly cookie: string }> {
  const away = await suite.fetch(await authorizeUrl(client, extra));
  const url = new URL(away.headers.get("Location") ?? "");
  const cookie = away.headers
    .getSetCookie()
    .map((line) => line.split(";")[0] ?? "")
    .join("; ");
  return { url, state: url.searchParams.get("state") ?? "", cookie };
}

/** Comes back from the provider with a code; `answer` is what the provider adds to it or changes. */
export async function comeBack(
  suite: Suite,
  client: Client,
  answer: Readonly<Record<string, string>> = {},
  extra: Readonly<Record<string, string>> = {},
): Promise<Response> {
  const { state, cookie } = await leave(suite, client, extra);
  const query = new URLSearchParams({ code: "upstream-code", state, ...answer });
  for (const [name, value] of [...query]) if (value === "") query.delete(name);
  return await suite.fetch(`/authorize/callback?${query.toString()}`, { headers: { Cookie: cookie } });
}

/** The consent page of somebody whom the provider lets in. */
export async function openUpstream(
  suite: Suite,
  client: Client,
  extra: Readonly<Record<string, string>> = {},
): Promise<ConsentForm> {
  return await readForm(await comeBack(suite, client, {}, extra));
}

/** A client of somebody whom the provider lets in. */
export async function signInUpstream(
  suite: Suite,
  client?: Client,
): Promise<{ readonly client: Client; readonly code: string }> {
  const signedIn = client ?? (await register(suite));
  const form = await openUpstream(suite, signedIn);
  const response = await press(suite, form);
  const location = response.headers.get("Location");
  if (location === null) throw new Error(`Sign-in ended with ${response.status}, after ${form.status}: ${form.markup}`);
  return { client: signedIn, code: new URL(location).searchParams.get("code") ?? "" };
}

/** How many sessions at the provider something is kept of. */
export async function sessionsKept(): Promise<number> {
  const ids = await listDurableObjectIds(env.UPSTREAM_SESSION);
  const kept = await Promise.all(
    ids.map(async (id) => {
      const stub = env.UPSTREAM_SESSION.get(id);
      return await runInDurableObject(stub, (_object, state) => state.storage.kv.get("session") !== undefined);
    }),
  );
  return kept.filter(Boolean).length;
}

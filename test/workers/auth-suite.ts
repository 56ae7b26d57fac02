import { createExecutionContext, waitOnExecutionContext } from "cloudflare:test";
import * as z from "zod";
import { type AuthOptions, createAuth } from "../../auth/auth.ts";
import type { AuthEnv } from "../../auth/authorization-server.ts";
import type { Caller } from "../../auth/caller.ts";
import type { Standing } from "../../auth/inside.ts";
import { scopeChallenge } from "../../auth/resource-server.ts";
import { type Scope, isScope } from "../../auth/scopes.ts";
import type { Desk } from "../../servers/admin/desk.ts";
import type { HealthBindings } from "../../servers/admin/health.ts";
import { createPages } from "../../servers/admin/pages.ts";
import type { LogFields } from "../../servers/core/log.ts";
import { parseSettings } from "../../servers/shared/settings.ts";
import { createDesk } from "../../servers/suite-desk.ts";
import type { Bindings } from "../../servers/suite.ts";
import { textOfMarkup } from "../support/markup.ts";
import { SecretWatch } from "../support/secret-watch.ts";

export const ORIGIN = "http://localhost:8717";
export const CODE = "WXYZ-2345";
export const ADMIN_SECRET = "a".repeat(40);
export const REDIRECT = "http://localhost:4999/callback";
export const ENDPOINTS = ["/mcp", "/mcp/sandbox", "/mcp/interpreter", "/mcp/files", "/mcp/browser", "/mcp/delegate"];

/** Guarded for programs of admins: its handler answers with who asked, as JSON. */
export const ADMIN_PROGRAMS = "/health";

export const LOCAL_SETTINGS = {
  PUBLIC_URL: ORIGIN,
  IDENTITY: "local",
  LOCAL_SIGN_IN_CODE: CODE,
  LOCAL_ADMIN_SECRET: ADMIN_SECRET,
  SIGNING_SECRET: "s".repeat(40),
  SANDBOX_DRIVER: "local",
  LOCAL_RUNTIME_URL: "http://127.0.0.1:4000",
  LOCAL_RUNTIME_SECRET: "r".repeat(40),
};

/** The bindings that sign-in and the pages behind it use, from the tests' Worker. */
export type TestBindings = Bindings & AuthEnv;

export interface Suite {
  readonly clock: { nowMs: number };
  /** All that it has logged. */
  readonly logged: readonly string[];
  readonly watch: SecretWatch;
  /** One request to the suite; a guarded endpoint answers with its caller as JSON. */
  fetch(path: string, init?: RequestInit & { readonly origin?: string }): Promise<Response>;
  /** What goes on without a request asks these. */
  scopesNow(caller: Caller): Promise<readonly Scope[] | undefined>;
  isLetIn(userId: string, scopes: readonly Scope[]): Promise<boolean>;
  insideNow(userId: string): Promise<Standing | undefined>;
}

interface SuiteOptions {
  readonly settings?: Readonly<Record<string, string>>;
  readonly bindings: TestBindings;
  readonly fetch?: AuthOptions["fetch"];
  readonly upstreamSessions?: AuthOptions["upstreamSessions"];
  /** What the pages look at in the place of what there is. */
  readonly desk?: (desk: Desk) => Desk;
  /** What the guarded handler needs; a caller without it gets the 403. */
  readonly needs?: readonly Scope[];
}

/**
 * Sign-in on the real KV and Durable Objects, in front of a handler that tells who called. Whatever a test does with it,
 * no secret that came or went is in its log.
 */
export function startSuite({ settings = LOCAL_SETTINGS, bindings, needs = [], ...options }: SuiteOptions): Suite {
  const clock = { nowMs: Date.now() };
  const watch = new SecretWatch();
  const logged: string[] = [];
  const keep = (event: string, fields?: LogFields): void => void logged.push(JSON.stringify({ event, ...fields }));
  const parsed = parseSettings(settings);
  // Asked for a Chrome, the tests' own browser binding would fetch one from the internet.
  const { BROWSER: _none, ...others }: TestBindings & HealthBindings = bindings;
  const desk = createDesk(others, parsed, () => new Date(clock.nowMs));
  const auth = createAuth({
    settings: parsed,
    endpoints: ENDPOINTS,
    accounts: (userId) => bindings.ACCOUNT.get(bindings.ACCOUNT.idFromName(userId)),
    upstreamSessions:
      options.upstreamSessions ??
      ((userId, id) => bindings.UPSTREAM_SESSION.get(bindings.UPSTREAM_SESSION.idFromName(`${userId}/${id}`))),
    clients: () => bindings.CLIENT_REGISTRY.get(bindings.CLIENT_REGISTRY.idFromName("clients")),
    pages: createPages(options.desk?.(desk) ?? desk),
    noteSignIn: async (person) => await desk.directory().notePerson(person, clock.nowMs),
    log: { info: keep, error: keep },
    now: () => new Date(clock.nowMs),
    fetch: options.fetch ?? (async () => await Promise.reject(new Error("Nothing is fetched in this test."))),
  });
  return {
    clock,
    logged,
    watch,
    scopesNow: async (caller) => await auth.scopesNow(caller, bindings),
    isLetIn: async (userId, scopes) => await auth.isLetIn(userId, scopes, bindings),
    insideNow: async (userId) => await auth.insideNow(userId, bindings),
    fetch: async (path, { origin = ORIGIN, ...init } = {}) => {
      const request = new Request(new URL(path, origin), { redirect: "manual", ...init });
      watch.seeRequest(request, init.body instanceof URLSearchParams ? init.body : undefined);
      const response = await answer(request);
      await watch.seeAnswer(response);
      watch.check(logged.join("\n"));
      return response;
    },
  };

  async function answer(request: Request): Promise<Response> {
    const { pathname } = new URL(request.url);
    const ctx = createExecutionContext();
    if (pathname === ADMIN_PROGRAMS) {
      const guarded = await auth.guardAdmin(request, ctx, async (userId) => Response.json({ userId }));
      await waitOnExecutionContext(ctx);
      return guarded;
    }
    if (!ENDPOINTS.includes(pathname)) {
      return (await auth.routes(request, bindings, ctx)) ?? new Response("not mine", { status: 404 });
    }
    const answered = await auth.guard(pathname, request, bindings, ctx, async (_request, caller, facts) =>
      needs.every((scope) => caller.scopes.includes(scope))
        ? Response.json({ caller, expiresAt: facts.expiresAt })
        : scopeChallenge(caller, needs, facts),
    );
    // What is written off the caller's path is written before a test looks, or empties the storage.
    await waitOnExecutionContext(ctx);
    return answered;
  }
}

const callerSchema = z.object({
  userId: z.string(),
  role: z.enum(["admin", "member", "reader"]),
  scopes: z.array(z.string()).transform((scopes) => scopes.filter(isScope)),
  clientId: z.string(),
});

/** Who the suite takes the bearer of `token` for; `undefined` where it answers with the challenge. */
export async function callerOf(
  suite: Suite,
  endpoint: string,
  token: string,
): Promise<z.output<typeof callerSchema> | undefined> {
  const response = await suite.fetch(endpoint, { method: "POST", headers: { Authorization: `Bearer ${token}` } });
  if (response.status === 401) return undefined;
  if (response.status !== 200) throw new Error(`The guard answered ${response.status}.`);
  return z.object({ caller: callerSchema }).parse(await response.json()).caller;
}

export interface Client {
  readonly clientId: string;
  readonly redirectUri: string;
  readonly verifier: string;
}

const registered = z.object({ client_id: z.string() });

/** Registers a public client (RFC 7591) and picks its PKCE verifier. */
export async function register(suite: Suite, metadata: Readonly<Record<string, unknown>> = {}): Promise<Client> {
  const body = {
    client_name: "Test client",
    redirect_uris: [REDIRECT],
    token_endpoint_auth_method: "none",
    ...metadata,
  };
  const response = await suite.fetch("/oauth/register", {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(body),
  });
  if (response.status !== 201) throw new Error(`register: ${response.status} ${await response.text()}`);
  const [redirectUri = REDIRECT] = body.redirect_uris;
  return {
    clientId: registered.parse(await response.json()).client_id,
    redirectUri,
    verifier: crypto.getRandomValues(new Uint8Array(32)).toHex(),
  };
}

export async function authorizeUrl(client: Client, extra: Readonly<Record<string, string>> = {}): Promise<string> {
  const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(client.verifier));
  const query = new URLSearchParams({
    response_type: "code",
    client_id: client.clientId,
    redirect_uri: client.redirectUri,
    state: "the-state",
    code_challenge: new Uint8Array(digest).toBase64({ alphabet: "base64url", omitPadding: true }),
    code_challenge_method: "S256",
    resource: `${ORIGIN}/mcp`,
    ...extra,
  });
  return `/authorize?${query.toString()}`;
}

/** A consent page as a browser holds it: what it shows, the form's handle, its tick boxes, its cookies. */
export interface ConsentForm {
  readonly status: number;
  readonly markup: string;
  readonly handle: string;
  /** Where the form says whom its page was shown to. */
  readonly person?: string;
  readonly offered: readonly string[];
  readonly ticked: readonly string[];
  readonly cookie: string;
  readonly headers: Headers;
}

export async function readForm(response: Response): Promise<ConsentForm> {
  const markup = await response.text();
  const boxes = [...markup.matchAll(/name="scope" value="([^"]+)"\s*(checked)?/g)];
  const person = /name="person" value="([^"]+)"/.exec(markup)?.[1];
  return {
    status: response.status,
    markup,
    handle: /name="handle" value="([^"]+)"/.exec(markup)?.[1] ?? "",
    ...(person === undefined ? {} : { person: textOfMarkup(person) }),
    offered: boxes.map(([, scope = ""]) => scope),
    ticked: boxes.filter(([, , checked]) => checked !== undefined).map(([, scope = ""]) => scope),
    cookie: response.headers
      .getSetCookie()
      .map((cookie) => cookie.split(";")[0] ?? "")
      .filter((cookie) => !cookie.endsWith("="))
      .join("; "),
    headers: response.headers,
  };
}

export async function openConsent(
  suite: Suite,
  client: Client,
  extra: Readonly<Record<string, string>> = {},
  headers: Readonly<Record<string, string>> = {},
): Promise<ConsentForm> {
  return await readForm(await suite.fetch(await authorizeUrl(client, extra), { headers }));
}

interface Press {
  readonly code?: string;
  readonly scopes?: readonly string[];
  readonly decision?: string;
  readonly headers?: Readonly<Record<string, string>>;
}

/** Presses a button on the page, as a browser does that holds its cookie. */
export async function press(
  suite: Suite,
  form: ConsentForm,
  { code = CODE, scopes = form.ticked, decision = "allow", headers = {} }: Press = {},
): Promise<Response> {
  const body = new URLSearchParams([
    ["handle", form.handle],
    ["code", code],
    ["decision", decision],
  ]);
  if (form.person !== undefined) body.append("person", form.person);
  for (const scope of scopes) body.append("scope", scope);
  return await suite.fetch("/authorize", {
    method: "POST",
    headers: {
      Cookie: form.cookie,
      Origin: ORIGIN,
      "Sec-Fetch-Site": "same-origin",
      "Content-Type": "application/x-www-form-urlencoded",
      ...headers,
    },
    body,
  });
}

export function codeOf(response: Response): string {
  return new URL(response.headers.get("Location") ?? "http://none/").searchParams.get("code") ?? "";
}

export async function exchange(
  suite: Suite,
  client: Client,
  code: string,
  extra: Readonly<Record<string, string>> = {},
): Promise<Response> {
  return await suite.fetch("/oauth/token", {
    method: "POST",
    body: new URLSearchParams({
      grant_type: "authorization_code",
      client_id: client.clientId,
      redirect_uri: client.redirectUri,
      code,
      code_verifier: client.verifier,
      ...extra,
    }),
  });
}

export async function refresh(
  suite: Suite,
  client: Client,
  refreshToken: string,
  extra: Readonly<Record<string, string>> = {},
): Promise<Response> {
  return await suite.fetch("/oauth/token", {
    method: "POST",
    body: new URLSearchParams({
      grant_type: "refresh_token",
      client_id: client.clientId,
      refresh_token: refreshToken,
      ...extra,
    }),
  });
}

/** Revokes an access token or a refresh token (RFC 7009). */
export async function revoke(suite: Suite, client: Client, token: string, hint?: string): Promise<number> {
  const body = new URLSearchParams({ token, client_id: client.clientId });
  if (hint !== undefined) body.set("token_type_hint", hint);
  return (await suite.fetch("/oauth/token", { method: "POST", body })).status;
}

export const tokenAnswer = z.object({
  access_token: z.string(),
  refresh_token: z.string(),
  expires_in: z.number(),
  scope: z.string(),
});

/** The whole way: register, consent, exchange. */
export async function signIn(
  suite: Suite,
  extra: Readonly<Record<string, string>> = {},
  headers: Readonly<Record<string, string>> = {},
): Promise<z.output<typeof tokenAnswer> & { readonly client: Client }> {
  const client = await register(suite);
  const form = await openConsent(suite, client, extra, headers);
  const redirect = await press(suite, form, { headers });
  return { client, ...tokenAnswer.parse(await (await exchange(suite, client, codeOf(redirect))).json()) };
}

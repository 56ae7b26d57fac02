import { createHash, randomBytes } from "node:crypto";
import * as z from "zod";
import { type AccessProvider, startAccessProvider } from "./access-provider.ts";
import { textOfMarkup } from "./markup.ts";
import { type Arrival, CookieBrowser } from "./cookie-browser.ts";
import { type DeployedSuite, startDeployedSuite } from "./deployed-suite.ts";

const CLIENT_CALLBACK = "http://localhost:4999/callback";

/** A suite that signs people in at a provider of its own. */
export interface AccessSuite extends AsyncDisposable {
  readonly suite: DeployedSuite;
  readonly access: AccessProvider;
}

export async function startAccessSuite(
  settings: Readonly<Record<string, string>> = {},
  browserEnv?: Readonly<Record<string, string>>,
): Promise<AccessSuite> {
  const started = Promise.withResolvers<AccessProvider>();
  const suite = await startDeployedSuite(async (url) => {
    const provider = await startAccessProvider(`${url}/authorize/callback`);
    started.resolve(provider);
    return { ...provider.settings, ...settings };
  }, browserEnv);
  const access = await started.promise;
  return {
    suite,
    access,
    [Symbol.asyncDispose]: async () => {
      for (const token of access.refreshTokens) suite.watch.add(token);
      await suite[Symbol.asyncDispose]();
      await access[Symbol.asyncDispose]();
    },
  };
}

export interface Client {
  readonly clientId: string;
  readonly redirectUri: string;
  readonly verifier: string;
}

/** A client that has registered itself, and has chosen its PKCE verifier. */
export async function registerClient({ url }: DeployedSuite, redirectUri = CLIENT_CALLBACK): Promise<Client> {
  const response = await fetch(`${url}/oauth/register`, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({
      client_name: "Test client",
      redirect_uris: [redirectUri],
      token_endpoint_auth_method: "none",
    }),
  });
  const { client_id: clientId } = z.object({ client_id: z.string() }).parse(await response.json());
  return { clientId, redirectUri, verifier: randomBytes(32).toString("hex") };
}

/** Where the client sends its person to. */
export function authorizeUrl({ url }: DeployedSuite, { clientId, redirectUri, verifier }: Client): URL {
  const authorize = new URL("/authorize", url);
  authorize.search = new URLSearchParams({
    response_type: "code",
    client_id: clientId,
    redirect_uri: redirectUri,
    state: "the-clients-state",
    code_challenge: createHash("sha256").update(verifier).digest("base64url"),
    code_challenge_method: "S256",
    resource: `${url}/mcp`,
  }).toString();
  return authorize;
}

/** Goes by the provider to the consent page, or to a page that says why not. */
export async function openConsent(suite: DeployedSuite, browser: CookieBrowser, client: Client): Promise<Arrival> {
  return await openConsentAt(suite, browser, authorizeUrl(suite, client));
}

/** The same for wherever a client sends its person to. */
export async function openConsentAt(suite: DeployedSuite, browser: CookieBrowser, url: URL): Promise<Arrival> {
  const away = await browser.send(url);
  await suite.watch.seeAnswer(away);
  return await browser.follow(away, url, url.searchParams.get("redirect_uri") ?? "");
}

/** Presses Allow on the consent page with all that it has ticked; returns where the browser is sent. */
export async function allow(suite: DeployedSuite, browser: CookieBrowser, page: string): Promise<Response> {
  const ticked = [...page.matchAll(/name="scope" value="([^"]+)"\s+checked/g)].map(([, scope = ""]) => scope);
  const field = (name: string): string =>
    textOfMarkup(new RegExp(`name="${name}" value="([^"]+)"`).exec(page)?.[1] ?? "");
  const handle = field("handle");
  suite.watch.add(handle);
  const response = await browser.send(new URL("/authorize", suite.url), {
    method: "POST",
    headers: { Origin: suite.url, "Sec-Fetch-Site": "same-origin" },
    body: new URLSearchParams([
      ["handle", handle],
      ["person", field("person")],
      ["decision", "allow"],
      ...ticked.map((scope): [string, string] => ["scope", scope]),
    ]),
  });
  await suite.watch.seeAnswer(response);
  return response;
}

/** Signs in at the provider, allows what the page has ticked, and comes back to the client or to a page that says why not. */
export async function authorize(suite: DeployedSuite, browser: CookieBrowser, client: Client): Promise<Arrival> {
  const shown = await openConsent(suite, browser, client);
  if (shown.status !== 200) return shown;
  const response = await allow(suite, browser, shown.text);
  return await browser.follow(response, new URL("/authorize", suite.url), client.redirectUri);
}

const tokenAnswer = z.object({
  access_token: z.string(),
  refresh_token: z.string(),
  expires_in: z.number(),
  scope: z.string(),
});

export type Tokens = z.output<typeof tokenAnswer>;

/** What the token endpoint says; the tokens only where it grants them. */
interface TokenAnswer {
  readonly status: number;
  readonly tokens?: Tokens;
  readonly error?: string | undefined;
}

async function requestTokens(suite: DeployedSuite, form: Readonly<Record<string, string>>): Promise<TokenAnswer> {
  const body = new URLSearchParams(form);
  const request = new Request(`${suite.url}/oauth/token`, { method: "POST", body });
  suite.watch.seeRequest(request, body);
  const response = await fetch(request);
  await suite.watch.seeAnswer(response);
  const answer: unknown = await response.json();
  if (response.status === 200) return { status: 200, tokens: tokenAnswer.parse(answer) };
  return { status: response.status, error: z.object({ error: z.string() }).parse(answer).error };
}

export async function exchange(suite: DeployedSuite, client: Client, code: string): Promise<TokenAnswer> {
  return await requestTokens(suite, {
    grant_type: "authorization_code",
    client_id: client.clientId,
    redirect_uri: client.redirectUri,
    code,
    code_verifier: client.verifier,
  });
}

export async function refresh(suite: DeployedSuite, { clientId }: Client, { refresh_token }: Tokens) {
  return await requestTokens(suite, { grant_type: "refresh_token", client_id: clientId, refresh_token });
}

/** The whole way of a person whom the provider lets in. */
export async function signIn(
  suite: DeployedSuite,
  browser = new CookieBrowser(),
): Promise<{ readonly client: Client; readonly tokens: Tokens; readonly arrival: Arrival }> {
  const client = await registerClient(suite);
  const arrival = await authorize(suite, browser, client);
  const code = arrival.url.searchParams.get("code");
  if (code === null) throw new Error(`Sign-in ended at ${arrival.url.pathname} with ${arrival.status}.`);
  const { tokens, error } = await exchange(suite, client, code);
  if (tokens === undefined) throw new Error(`The code was answered with ${error}.`);
  return { client, tokens, arrival };
}

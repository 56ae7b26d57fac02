import * as z from "zod";
import { upstreamClient } from "../../../auth/upstream-settings.ts";
import { readText } from "../../shared/read-text.ts";
import type { Settings } from "../../shared/settings.ts";
import type { Finding } from "../health-report.ts";
import type { Probe } from "./probe.ts";

const MAX_ANSWER_BYTES = 256 * 1024;

/** OpenID Connect Discovery §3, as much of it as sign-in goes by. */
const discovery = z.object({ issuer: z.string(), authorization_endpoint: z.string(), token_endpoint: z.string() });
const keySet = z.object({ keys: z.array(z.looseObject({ kty: z.string() })) });

type ReadJson = (url: string, signal: AbortSignal) => Promise<unknown>;

/** Who says who people are: whether that can be asked, and publishes the keys that its word is checked with. */
export function signInProbe(settings: Settings, fetcher: typeof fetch): Probe {
  const readJson: ReadJson = async (url, signal) => {
    const response = await fetcher(url, { redirect: "manual", signal });
    const text = await readText(response.body, MAX_ANSWER_BYTES);
    if (response.status !== 200) throw new Error(`It answered ${response.status}.`);
    const json: unknown = JSON.parse(text ?? "");
    return json;
  };
  switch (settings.IDENTITY) {
    case "local":
      return {
        name: "Sign-in",
        failing: { says: "Nobody can sign in.", todo: "End npm start and start it anew." },
        run: () => ({ state: "ok", says: "People sign in with the code that npm start printed." }),
      };
    case "access-oidc":
      return {
        name: "Sign-in (access-oidc)",
        failing: {
          says: "The OpenID issuer does not answer as one, so nobody can sign in, and nobody's access is renewed.",
          todo: "Compare ACCESS_OIDC_ISSUER and ACCESS_OIDC_CLIENT_ID with what Access shows beside its application; they must be of one application.",
        },
        run: async (signal) => await askIssuer(upstreamClient(settings).issuer, readJson, signal),
      };
    case "access-edge":
      return {
        name: "Sign-in (access-edge)",
        failing: {
          says: "The keys of the Access team cannot be fetched, so nobody can sign in.",
          todo: "Check ACCESS_TEAM_DOMAIN: https://<team>.cloudflareaccess.com, as Zero Trust shows it under Settings.",
        },
        run: async (signal) => {
          await readKeys(`${settings.ACCESS_TEAM_DOMAIN}/cdn-cgi/access/certs`, readJson, signal);
          return { state: "ok", says: "The Access team publishes its keys." };
        },
      };
  }
}

async function askIssuer(issuer: string, readJson: ReadJson, signal: AbortSignal): Promise<Finding> {
  const said = discovery.parse(await readJson(`${issuer}/.well-known/openid-configuration`, signal));
  await readKeys(`${issuer}/jwks`, readJson, signal);
  const areWhereSignInLooks =
    said.issuer === issuer &&
    said.authorization_endpoint === `${issuer}/authorization` &&
    said.token_endpoint === `${issuer}/token`;
  if (areWhereSignInLooks) return { state: "ok", says: "The OpenID issuer answers and publishes its keys." };
  return {
    state: "broken",
    says: "The OpenID issuer answers, but names itself or its endpoints otherwise, so nobody can sign in.",
    todo: "Copy ACCESS_OIDC_ISSUER from the application in Access, letter by letter.",
  };
}

async function readKeys(url: string, readJson: ReadJson, signal: AbortSignal): Promise<void> {
  const { keys } = keySet.parse(await readJson(url, signal));
  if (keys.length === 0) throw new Error("It publishes no keys.");
}

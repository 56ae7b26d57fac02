import { type Settings, SettingsError } from "../servers/shared/settings.ts";
import { hasRoleGroups } from "./roles.ts";
import type { UpstreamClient } from "./upstream-provider.ts";

/** Where the upstream provider sends browsers back to; the provider must know it as a redirect URL. */
export const CALLBACK_ROUTE = "/authorize/callback";

/** What the settings say of the upstream provider. Throws where they name none. */
export function upstreamClient(settings: Settings): UpstreamClient {
  const { ACCESS_OIDC_CLIENT_ID: clientId, ACCESS_OIDC_CLIENT_SECRET: clientSecret } = settings;
  const issuer = settings.ACCESS_OIDC_ISSUER ?? issuerOf(settings.ACCESS_TEAM_DOMAIN, clientId);
  if (issuer === undefined || clientId === undefined || clientSecret === undefined) {
    throw new SettingsError([`ACCESS_OIDC_* is missing while IDENTITY is ${settings.IDENTITY}.`]);
  }
  return {
    issuer,
    clientId,
    clientSecret,
    redirectUri: `${settings.PUBLIC_URL}${CALLBACK_ROUTE}`,
    needsGroups: hasRoleGroups(settings),
  };
}

/** As Access names it for the application with that client id. */
function issuerOf(teamDomain: string | undefined, clientId: string | undefined): string | undefined {
  if (teamDomain === undefined || clientId === undefined) return undefined;
  return `${teamDomain}/cdn-cgi/access/sso/oidc/${encodeURIComponent(clientId)}`;
}

import type { ClientInfo } from "@cloudflare/workers-oauth-provider";
import * as z from "zod";
import type { PreregisteredClient } from "../servers/shared/client-settings.ts";
import { isDocumentUrl } from "./client-documents.ts";

/** What the OAuth library uses of KV. Its keys are its own affair; those that Pincer relies on are named in this file. */
export interface OAuthStore {
  get(key: string, options?: { readonly type: "json" }): Promise<unknown>;
  put(key: string, value: string, options?: KVNamespacePutOptions): Promise<void>;
  delete(key: string): Promise<void>;
  list(options?: KVNamespaceListOptions): Promise<KVNamespaceListResult<unknown>>;
}

/** What the library is handed as its environment: KV, or KV as it is to see it. */
export interface LibraryEnv {
  readonly OAUTH_KV: OAuthStore;
}

const CLIENT_PREFIX = "client:";
/** As the library makes them; KV would throw for a key that is too long. */
const REGISTERED_ID = /^[\w-]{1,64}$/;

/** How long a client that has registered itself has for its first sign-in. */
const FIRST_SIGN_IN_SECONDS = 24 * 60 * 60;

interface ClientSources {
  readonly preregistered: Readonly<Record<string, PreregisteredClient>>;
  /** The client of a document; `undefined` where it is unknown. */
  readonly byDocument: (url: string) => Promise<ClientInfo | undefined>;
}

/**
 * KV as the library sees it. Clients that the settings name and those with a document are found as if they had
 * registered, so that the library never fetches from where a client says.
 */
export function withClients(kv: KVNamespace, { preregistered, byDocument }: ClientSources): OAuthStore {
  const clientOf = async (clientId: string): Promise<unknown> => {
    const known = Object.hasOwn(preregistered, clientId) ? preregistered[clientId] : undefined;
    if (known !== undefined) return describePreregistered(clientId, known);
    if (isDocumentUrl(clientId)) return (await byDocument(clientId)) ?? null;
    return REGISTERED_ID.test(clientId) ? await kv.get(`${CLIENT_PREFIX}${clientId}`, "json") : null;
  };
  return {
    ...plain(kv),
    get: async (key, options) => {
      if (key.startsWith(CLIENT_PREFIX)) return await clientOf(key.slice(CLIENT_PREFIX.length));
      return await (options === undefined ? kv.get(key) : kv.get(key, "json"));
    },
  };
}

const clientRecord = z.looseObject({ registrationDate: z.number() });

/**
 * KV for registrations: a client is kept for a day. Its first sign-in finds that more than half of its time is over,
 * and the library keeps it for as long as any other.
 */
export function forNewClients(kv: KVNamespace): OAuthStore {
  return {
    ...plain(kv),
    put: async (key, value, options) => {
      if (!key.startsWith(CLIENT_PREFIX)) return await kv.put(key, value, options);
      const client = clientRecord.parse(JSON.parse(value));
      const registrationExpiresAt = client.registrationDate + FIRST_SIGN_IN_SECONDS;
      await kv.put(key, JSON.stringify({ ...client, registrationExpiresAt }), { expirationTtl: FIRST_SIGN_IN_SECONDS });
    },
  };
}

/** Whose an access token, a refresh token or a code claims to be. */
export interface IssuedToken {
  readonly userId: string;
  readonly grantId: string;
  readonly grant: string;
}

/** Reads what the library has issued, `<userId>:<grantId>:<secret>`; nothing where it cannot have. */
export function parseIssuedToken(token: string): IssuedToken | undefined {
  const [, userId, grantId] = /^([0-9a-z]{32}):([\w-]{16}):[\w-]{32}$/.exec(token) ?? [];
  return userId === undefined || grantId === undefined ? undefined : { userId, grantId, grant: `${userId}:${grantId}` };
}

const grantRecord = z.object({ metadata: z.unknown() });

/** The grant where there is such a one, so that a made-up token wakes nobody's Durable Object. */
export async function findGrant(
  kv: KVNamespace,
  { userId, grantId, grant }: IssuedToken,
): Promise<{ readonly id: string; readonly userId: string; readonly metadata: unknown } | undefined> {
  const stored = await kv.get(`grant:${grant}`, "json");
  return stored === null ? undefined : { id: grantId, userId, metadata: grantRecord.parse(stored).metadata };
}

function plain(kv: KVNamespace): OAuthStore {
  return {
    get: async (key, options) => await (options === undefined ? kv.get(key) : kv.get(key, "json")),
    put: async (key, value, options) => await kv.put(key, value, options),
    delete: async (key) => await kv.delete(key),
    list: async (options) => await kv.list(options),
  };
}

function describePreregistered(clientId: string, { name, ...client }: PreregisteredClient): ClientInfo {
  const secret = client.secret_sha256;
  return {
    clientId,
    clientName: name,
    redirectUris: [...client.redirect_uris],
    grantTypes: ["authorization_code", "refresh_token"],
    responseTypes: ["code"],
    tokenEndpointAuthMethod: secret === undefined ? "none" : "client_secret_basic",
    ...(secret === undefined ? {} : { clientSecret: secret }),
  };
}

import type { ClientInfo } from "@cloudflare/workers-oauth-provider";
import * as z from "zod";
import { checkTarget } from "../servers/shared/network-policy.ts";
import { readText } from "../servers/shared/read-text.ts";
import { isSafeRedirect } from "../servers/shared/redirect-address.ts";
import type { KeptDocument } from "./client-registry.ts";

/** As much as the draft recommends (draft-ietf-oauth-client-id-metadata-document §6.6). */
const MAX_DOCUMENT_BYTES = 5 * 1024;
const TIMEOUT_MS = 5_000;
const FRESH_MS = 60 * 60 * 1000;
/** A client's sign-ins do not end with an outage of the host of its document. */
const STALE_MS = 24 * 60 * 60 * 1000;
const UNDESCRIBED_MS = 60 * 1000;

const documentSchema = z.object({
  client_id: z.string(),
  client_name: z.string().trim().min(1),
  redirect_uris: z.array(z.string()).min(1),
  client_uri: z.string().optional(),
  grant_types: z.array(z.string()).default(["authorization_code"]),
  token_endpoint_auth_method: z.string().default("none"),
  token_endpoint_auth_methods_supported: z.array(z.string()).default([]),
  client_secret: z.undefined().optional(),
});

/** Why a client that is named by the URL of its document cannot sign in, in words for the person. */
export class ClientDocumentError extends Error {
  override readonly name = "ClientDocumentError";
}

/** Where documents are kept, once fetched. */
export interface DocumentStore {
  findDocument(url: string): Promise<KeptDocument | undefined>;
  keepDocument(url: string, document: KeptDocument): Promise<void>;
  forgetDocument(url: string): Promise<void>;
  allowDocument(url: string, nowMs: number): Promise<void>;
}

/** Clients whose id is the URL of a document that describes them (OAuth Client ID Metadata Documents). */
export interface ClientDocuments {
  /** The client, by its document of the last hour. Throws `ClientDocumentError`. */
  open(url: string): Promise<ClientInfo>;
  /** The same for those that somebody has opened before; nothing is fetched from anywhere else. */
  recall(url: string): Promise<ClientInfo | undefined>;
}

interface ClientDocumentsOptions {
  readonly publicUrl: string;
  /** A suite on the person's own machine, which may be without the internet. */
  readonly isLocal?: boolean;
  readonly store: () => DocumentStore;
  readonly fetch: typeof fetch;
  readonly now: () => Date;
  readonly timeoutMs?: number;
}

/** Where apps on the person's own machine listen, at whatever port. */
const LOOPBACK_REDIRECTS = ["localhost", "127.0.0.1"].flatMap((host) =>
  ["/", "/callback", "/oauth/callback"].map((path) => `http://${host}${path}`),
);

export function isDocumentUrl(clientId: string): boolean {
  return clientId.startsWith("https://");
}

/** What a client is called whose document could not be fetched; one that calls itself so is believed no more. */
export function undescribedName(url: string): string {
  return `An app that names ${new URL(url).host}`;
}

export function createClientDocuments(options: ClientDocumentsOptions): ClientDocuments {
  const { publicUrl, store, now } = options;
  const refresh = async (url: string, kept: KeptDocument | undefined): Promise<ClientInfo> => {
    const fetchedAtMs = now().getTime();
    const ageMs = kept === undefined ? Infinity : fetchedAtMs - kept.fetchedAtMs;
    if (kept !== undefined && ageMs < FRESH_MS) return readClient(url, kept.body);
    const answer = await fetchDocument(url, options);
    if (answer.kind === "unreachable") {
      if (kept !== undefined && ageMs < STALE_MS) return readClient(url, kept.body);
      if (options.isLocal === true && answer.isOffline) return await keepUndescribed(url, fetchedAtMs);
      throw new ClientDocumentError(
        `Pincer could not fetch ${url}, which describes the app. Connect it to the internet, or use an app that registers itself`,
      );
    }
    try {
      if (answer.kind === "refused")
        throw new ClientDocumentError(`${url} does not describe the app: ${answer.reason}`);
      const client = readClient(url, answer.body);
      await store().keepDocument(url, { body: answer.body, fetchedAtMs });
      return client;
    } catch (failure) {
      await store().forgetDocument(url);
      throw failure;
    }
  };
  /**
   * Without the internet a client may come back to this machine alone, as anyone may who registers here: an app on it
   * that names a document would have no way in otherwise. Whose app it is nobody vouches for.
   */
  const keepUndescribed = async (url: string, fetchedAtMs: number): Promise<ClientInfo> => {
    const document = { client_id: url, client_name: undescribedName(url), redirect_uris: LOOPBACK_REDIRECTS };
    const body = JSON.stringify({ ...document, grant_types: ["authorization_code", "refresh_token"] });
    // Asked for again in a minute: the real one goes before this.
    await store().keepDocument(url, { body, fetchedAtMs: fetchedAtMs - FRESH_MS + UNDESCRIBED_MS });
    return readClient(url, body);
  };
  const recall = async (url: string): Promise<ClientInfo | undefined> => {
    const kept = await store().findDocument(url);
    if (kept === undefined) return undefined;
    try {
      return await refresh(url, kept);
    } catch (failure) {
      if (failure instanceof ClientDocumentError) return undefined;
      throw failure;
    }
  };
  return {
    open: async (url) => {
      refusePlace(url, publicUrl);
      return await refresh(url, await store().findDocument(url));
    },
    recall,
  };
}

/** Only the one spelling of a URL is taken, so that nothing below reads it differently; only 443, so no other service. */
function refusePlace(url: string, publicUrl: string): void {
  const parsed = URL.canParse(url) ? new URL(url) : undefined;
  const isPlain =
    parsed?.href === url &&
    parsed.protocol === "https:" &&
    parsed.port === "" &&
    parsed.username === "" &&
    parsed.password === "" &&
    parsed.pathname !== "/" &&
    !url.includes("#");
  if (!isPlain) throw new ClientDocumentError("The app's id is neither known here nor the https URL of a document");
  const verdict = checkTarget(parsed.hostname, 443, { allowedHosts: [], suiteOrigin: publicUrl });
  if (!verdict.allowed) throw new ClientDocumentError(`The app's id leads to ${parsed.hostname}, which is not public`);
}

type Answer =
  | { readonly kind: "document"; readonly body: string }
  /** Whoever serves it says that there is none, or something else. */
  | { readonly kind: "refused"; readonly reason: string }
  /** `isOffline`: there was no answer at all. */
  | { readonly kind: "unreachable"; readonly isOffline: boolean };

async function fetchDocument(url: string, { fetch, timeoutMs = TIMEOUT_MS }: ClientDocumentsOptions): Promise<Answer> {
  const signal = AbortSignal.timeout(timeoutMs);
  try {
    return await Promise.race([readDocument(url, fetch, signal), endOf(signal)]);
  } catch {
    return { kind: "unreachable", isOffline: true };
  }
}

/** A redirect is not followed: it would lead past the check of the host. */
async function readDocument(url: string, fetchFrom: typeof fetch, signal: AbortSignal): Promise<Answer> {
  const response = await fetchFrom(url, { redirect: "manual", signal, headers: { Accept: "application/json" } });
  if (response.status >= 500 || response.status === 429) return { kind: "unreachable", isOffline: false };
  if (response.status !== 200) return { kind: "refused", reason: `it is answered with ${response.status}` };
  const body = await readText(response.body, MAX_DOCUMENT_BYTES);
  if (body === undefined) return { kind: "refused", reason: `it is longer than ${MAX_DOCUMENT_BYTES} bytes` };
  return { kind: "document", body };
}

/** Rejects once the time is up, whether or not what waits heeds the signal. */
async function endOf(signal: AbortSignal): Promise<never> {
  return await new Promise((_resolve, reject) => {
    signal.addEventListener("abort", () => reject(new Error("It took too long.")));
  });
}

/** Such a client proves itself by PKCE and its address alone: nobody has agreed on a secret with it. */
function readClient(url: string, body: string): ClientInfo {
  const document = documentSchema.safeParse(parseJson(body));
  if (!document.success) throw new ClientDocumentError(`${url} does not describe an app as it should`);
  const client = document.data;
  if (client.client_id !== url) throw new ClientDocumentError(`${url} describes another app`);
  const methods = [client.token_endpoint_auth_method, ...client.token_endpoint_auth_methods_supported];
  if (!methods.includes("none")) throw new ClientDocumentError(`${url} describes an app that signs its requests`);
  const redirectUris = client.redirect_uris.filter(isSafeRedirect);
  if (redirectUris.length === 0) throw new ClientDocumentError(`${url} has no address to come back to`);
  return {
    clientId: url,
    clientName: client.client_name,
    redirectUris,
    grantTypes: client.grant_types,
    responseTypes: ["code"],
    tokenEndpointAuthMethod: "none",
    ...(client.client_uri === undefined ? {} : { clientUri: client.client_uri }),
  };
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

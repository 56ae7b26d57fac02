import { OAuthError } from "@cloudflare/workers-oauth-provider";
import * as z from "zod";
import { ToolError } from "../servers/shared/errors.ts";
import { type GiverNow, type GrantOwner, type Identity, type Person, grantOwner } from "./identity.ts";

/** How old the provider's word may be for what acts without a request, and for a code that is exchanged. */
const MAX_AGE_MS = 10 * 60 * 1000;
const EXCHANGE_MAX_AGE_MS = 30 * 1000;

/** Kept with a grant in clear: which session of the upstream provider vouches for it, or else who gave it. */
const grantMetadata = z.object({ session: z.string().optional(), owner: grantOwner.optional() });

export function metadataOf(owner: GrantOwner): z.output<typeof grantMetadata> {
  return owner.identity === "access-oidc" ? { session: owner.session } : { owner };
}

/** The session at the upstream provider that vouches for a grant, where one does. */
export function sessionOf(metadata: unknown): string | undefined {
  return grantMetadata.safeParse(metadata).data?.session;
}

/** Has the upstream session of a person who signed in live as long as a grant may. */
export async function keepSession({ upstream }: Identity, { userId, owner }: Person): Promise<void> {
  if (owner.identity === "access-oidc") await upstream?.keep(userId, owner.session);
}

/** Nothing is vouched for by it from then on. */
export async function endSession(
  { upstream }: Identity,
  { userId, owner }: Pick<Person, "userId" | "owner">,
): Promise<void> {
  if (owner.identity === "access-oidc") await upstream?.end(userId, owner.session);
}

/** Nobody can say whether the person is still let in. Asked again, somebody may: delegated runs wait for that. */
export class GiverUnknown extends ToolError {
  readonly retryable = true;

  constructor() {
    super("unavailable", "Cloudflare Access cannot be asked whether you are still let in; try again in a minute.");
  }
}

/**
 * The giver of a grant for its next access token, looked up anew where that can be asked. Throws what ends the grant
 * where they are out, and what the client tries again where nobody can say.
 */
export async function giverForToken(
  { upstream }: Identity,
  { userId, props, isRefresh }: { readonly userId: string; readonly props: unknown; readonly isRefresh: boolean },
): Promise<GrantOwner | undefined> {
  const owner = grantOwner.safeParse(props).data;
  if (upstream === undefined || owner?.identity !== "access-oidc") return owner;
  // The code has come: until then the session was held as for a page.
  if (!isRefresh && !(await upstream.keep(userId, owner.session))) return undefined;
  const giver = await upstream.giverNow(userId, owner.session, isRefresh ? 0 : EXCHANGE_MAX_AGE_MS);
  switch (giver.kind) {
    case "in":
      return giver.owner;
    case "out":
      return undefined;
    case "unknown":
      throw cannotAsk();
  }
}

/** As clients are told that nobody can say whether a person is still let in. */
export function cannotAsk(): OAuthError {
  return new OAuthError("temporarily_unavailable", {
    description: "Cloudflare Access cannot be asked; try again in a minute.",
    statusCode: 503,
    headers: { "Retry-After": "30" },
  });
}

/** The giver of what `owner` was kept with, by now: looked up anew where the provider's word is older than asked for. */
export async function giverNow(
  identity: Identity,
  { userId, owner }: { readonly userId: string; readonly owner: GrantOwner },
  maxAgeMs: number = MAX_AGE_MS,
): Promise<GiverNow> {
  if (identity.upstream !== undefined && owner.identity === "access-oidc") {
    return await identity.upstream.giverNow(userId, owner.session, maxAgeMs);
  }
  const role = identity.roleOf(owner);
  return role === undefined ? { kind: "out" } : { kind: "in", owner, role };
}

/** The giver of a grant as the provider saw them in the last ten minutes; `undefined` where the grant does not tell. */
export async function giverOfGrant(
  identity: Identity,
  userId: string,
  metadata: unknown,
): Promise<GiverNow | undefined> {
  const { session, owner } = grantMetadata.safeParse(metadata).data ?? {};
  const { upstream } = identity;
  if (upstream !== undefined) {
    // A grant from before the suite asked upstream has nobody to vouch for it.
    return session === undefined ? { kind: "out" } : await upstream.giverNow(userId, session, MAX_AGE_MS);
  }
  return owner && (await giverNow(identity, { userId, owner }));
}

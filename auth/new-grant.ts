import type { AuthRequest, GrantSummary, OAuthHelpers } from "@cloudflare/workers-oauth-provider";
import { type DocumentStore, isDocumentUrl } from "./client-documents.ts";
import type { Endings } from "./endings.ts";
import { metadataOf } from "./giver.ts";
import { type EndedGrants, grantsOf } from "./grants.ts";
import type { Person } from "./identity.ts";
import type { Scope } from "./scopes.ts";

interface NewGrant {
  readonly asked: AuthRequest;
  readonly person: Person;
  readonly scope: readonly Scope[];
}

interface NewGrantOptions {
  readonly oauth: OAuthHelpers;
  readonly accounts: (userId: string) => EndedGrants;
  readonly clients: () => Pick<DocumentStore, "allowDocument">;
  readonly endings: Endings;
  readonly now: () => Date;
}

/**
 * Makes the grant that a person has consented to, and returns where the browser goes with it. The library ends what the
 * client held for the same endpoint before: so does whatever vouched for that.
 */
export async function makeGrant({ asked, person, scope }: NewGrant, options: NewGrantOptions): Promise<string> {
  const { oauth, clients, endings, now } = options;
  const { userId, owner } = person;
  const heldByClient = async (): Promise<GrantSummary[]> => {
    const grants = await Array.fromAsync(grantsOf(userId, oauth, options));
    return grants.filter(({ clientId }) => clientId === asked.clientId);
  };
  const before = await heldByClient();
  if (isDocumentUrl(asked.clientId)) await clients().allowDocument(asked.clientId, now().getTime());
  const { redirectTo } = await oauth.completeAuthorization({
    request: asked,
    userId,
    metadata: metadataOf(owner),
    scope: [...scope],
    props: owner,
  });
  if (before.length === 0) return redirectTo;
  const after = new Set((await heldByClient()).map(({ id }) => id));
  await Promise.all(before.filter(({ id }) => !after.has(id)).map(async (grant) => await endings.grant(grant)));
  return redirectTo;
}

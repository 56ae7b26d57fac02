import type { OAuthHelpers } from "@cloudflare/workers-oauth-provider";
import type { StoredSession } from "./account-session.ts";
import { endSession, sessionOf } from "./giver.ts";
import type { GrantOwner, Identity } from "./identity.ts";
import type { TokenCache } from "./token-cache.ts";
import { clientIdOfToken } from "./tokens.ts";
import type { StoredToken } from "./tokens.ts";

/** What ends in a person's Durable Object: nothing new comes of it, whatever KV still shows for a minute. */
export interface EndingStore {
  endGrant(grantId: string, nowMs: number): Promise<void>;
  findTokenById(id: string): Promise<StoredToken | undefined>;
  removeToken(id: string): Promise<boolean>;
  /** Every session at the person's own pages; returns them. */
  endSessions(): Promise<StoredSession[]>;
  /** Whether a token or a page lives by that session at the upstream provider. */
  usesUpstream(session: string, nowMs: number): Promise<boolean>;
}

interface EndedGrant {
  readonly id: string;
  readonly userId: string;
  readonly metadata: unknown;
}

/** Ends what acts for a person, at once, and with it the session at the upstream provider that vouched for nothing else. */
export interface Endings {
  /** Without `oauth` the library has revoked it already. */
  grant(grant: EndedGrant, oauth?: Pick<OAuthHelpers, "revokeGrant">): Promise<void>;
  /** Whether there was such a token. */
  token(userId: string, id: string): Promise<boolean>;
  /** Signs the person out of their own pages, wherever those are open. */
  pages(userId: string): Promise<void>;
}

interface EndingsOptions {
  readonly accounts: (userId: string) => EndingStore;
  readonly identity: Identity;
  readonly cache: TokenCache;
  readonly now: () => Date;
}

export function createEndings(options: EndingsOptions): Endings {
  const { accounts, identity, cache, now } = options;
  return {
    grant: async ({ id, userId, metadata }, oauth) => {
      await accounts(userId).endGrant(id, now().getTime());
      await oauth?.revokeGrant(id, userId);
      cache.forgetGrant(`${userId}:${id}`);
      const session = sessionOf(metadata);
      if (session !== undefined) await identity.upstream?.end(userId, session);
    },
    token: async (userId, id) => {
      const account = accounts(userId);
      const token = await account.findTokenById(id);
      const wasThere = await account.removeToken(id);
      cache.forgetGrant(clientIdOfToken(id));
      if (token !== undefined) await endIfUnused(userId, token.owner, options);
      return wasThere;
    },
    pages: async (userId) => {
      for (const { owner } of await accounts(userId).endSessions()) await endIfUnused(userId, owner, options);
    },
  };
}

type Use = Pick<EndingsOptions, "identity" | "now"> & {
  readonly accounts: (userId: string) => Pick<EndingStore, "usesUpstream">;
};

/** Tokens share the session of the page that they were made on. */
export async function endIfUnused(userId: string, owner: GrantOwner, { accounts, identity, now }: Use): Promise<void> {
  if (owner.identity !== "access-oidc") return;
  const isUsed = await accounts(userId).usesUpstream(owner.session, now().getTime());
  if (!isUsed) await endSession(identity, { userId, owner });
}

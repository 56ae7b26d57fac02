import type { GrantSummary, OAuthHelpers } from "@cloudflare/workers-oauth-provider";

/** Knows at once what KV, where the grants are, may still show elsewhere for a minute. */
export interface EndedGrants {
  endedAmong(grantIds: readonly string[]): Promise<readonly string[]>;
}

interface GrantsOptions {
  readonly accounts: (userId: string) => EndedGrants;
  readonly now: () => Date;
}

/** The grants of a person that have neither expired nor ended. */
export async function* grantsOf(
  userId: string,
  oauth: OAuthHelpers,
  { accounts, now }: GrantsOptions,
): AsyncGenerator<GrantSummary> {
  const nowSeconds = now().getTime() / 1_000;
  let cursor: string | undefined;
  do {
    const page = await oauth.listUserGrants(userId, cursor === undefined ? {} : { cursor });
    const current = page.items.filter(({ expiresAt = Infinity }) => expiresAt > nowSeconds);
    const ended = current.length === 0 ? [] : await accounts(userId).endedAmong(current.map(({ id }) => id));
    yield* current.filter(({ id }) => !ended.includes(id));
    cursor = page.cursor;
  } while (cursor !== undefined);
}

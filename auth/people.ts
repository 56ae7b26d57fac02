import * as z from "zod";
import type { Person } from "./identity.ts";

const PREFIX = "person:";
const PER_PAGE = 25;

const DAY_SECONDS = 24 * 60 * 60;
/** Who has not been heard of for so long is forgotten; whatever acted for them has ended long before. */
const KEEP_SECONDS = 400 * DAY_SECONDS;
/** What goes on without a sign-in renews it no more often than that: a write costs ten reads. */
const RENEW_AFTER_MS = 30 * DAY_SECONDS * 1000;

const metadataSchema = z.object({
  displayName: z.string(),
  /** Absent where an older version wrote it. */
  seenAtMs: z.number().default(0),
});

export interface KnownPerson {
  readonly userId: string;
  readonly displayName: string;
}

/** Everybody who has signed in, so that an admin finds them: everything else is kept by an opaque id. */
export interface People {
  remember(person: Person): Promise<void>;
  /** A client goes on for them, without their signing in. */
  renew(userId: string): Promise<void>;
  find(userId: string): Promise<KnownPerson | undefined>;
  /** A page of them, in no order that means anything; `cursor` leads to the next. */
  list(cursor?: string): Promise<{ readonly people: readonly KnownPerson[]; readonly cursor?: string }>;
}

export function peopleIn(kv: KVNamespace, now: () => Date): People {
  const find = async (userId: string): Promise<(KnownPerson & { readonly seenAtMs: number }) | undefined> => {
    const { value, metadata } = await kv.getWithMetadata(`${PREFIX}${userId}`);
    return value === null ? undefined : { userId, ...metadataSchema.parse(metadata) };
  };
  const remember = async ({ userId, displayName }: KnownPerson): Promise<void> => {
    const metadata: z.output<typeof metadataSchema> = { displayName, seenAtMs: now().getTime() };
    await kv.put(`${PREFIX}${userId}`, "", { metadata, expirationTtl: KEEP_SECONDS });
  };
  return {
    remember,
    find,
    renew: async (userId) => {
      const known = await find(userId);
      if (known !== undefined && now().getTime() - known.seenAtMs > RENEW_AFTER_MS) await remember(known);
    },
    list: async (cursor) => {
      const page = await kv.list({ prefix: PREFIX, limit: PER_PAGE, ...(cursor === undefined ? {} : { cursor }) });
      const people = page.keys.map(({ name, metadata }) => ({
        userId: name.slice(PREFIX.length),
        displayName: metadataSchema.parse(metadata).displayName,
      }));
      return page.list_complete ? { people } : { people, cursor: page.cursor };
    },
  };
}

import * as z from "zod";

const PREFIX = "person:";
const PER_PAGE = 25;

const metadataSchema = z.object({ displayName: z.string() });

export interface KnownPerson {
  readonly userId: string;
  readonly displayName: string;
}

/** Everybody who has signed in, so that an admin finds them: everything else is kept by an opaque id. */
export interface People {
  remember(person: KnownPerson): Promise<void>;
  find(userId: string): Promise<KnownPerson | undefined>;
  /** A page of them, in no order that means anything; `cursor` leads to the next. */
  list(cursor?: string): Promise<{ readonly people: readonly KnownPerson[]; readonly cursor?: string }>;
}

export function peopleIn(kv: KVNamespace): People {
  return {
    remember: async ({ userId, displayName }) => {
      await kv.put(`${PREFIX}${userId}`, "", { metadata: { displayName } satisfies z.output<typeof metadataSchema> });
    },
    find: async (userId) => {
      const { value, metadata } = await kv.getWithMetadata(`${PREFIX}${userId}`);
      return value === null ? undefined : { userId, ...metadataSchema.parse(metadata) };
    },
    list: async (cursor) => {
      const page = await kv.list({ prefix: PREFIX, limit: PER_PAGE, ...(cursor === undefined ? {} : { cursor }) });
      const people = page.keys.map(({ name, metadata }) => ({
        userId: name.slice(PREFIX.length),
        ...metadataSchema.parse(metadata),
      }));
      return page.list_complete ? { people } : { people, cursor: page.cursor };
    },
  };
}

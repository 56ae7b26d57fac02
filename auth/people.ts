import * as z from "zod";
import type { Person } from "./identity.ts";

const PREFIX = "person:";
const PER_PAGE = 25;

const metadataSchema = z.object({ displayName: z.string() });

export interface KnownPerson {
  readonly userId: string;
  readonly displayName: string;
}

/** Everybody who has signed in, so that an admin finds them: everything else is kept by an opaque id. */
export interface People {
  remember(person: Person): Promise<void>;
  find(userId: string): Promise<KnownPerson | undefined>;
  /** A page of them, in no order that means anything; `cursor` leads to the next. */
  list(cursor?: string): Promise<{ readonly people: readonly KnownPerson[]; readonly cursor?: string }>;
}

/** `onSignIn` is told of everybody who signs in, as well as KV. */
export function peopleIn(kv: KVNamespace, onSignIn: (person: Person) => Promise<void>): People {
  return {
    remember: async (person) => {
      const { userId, displayName } = person;
      const metadata = { displayName } satisfies z.output<typeof metadataSchema>;
      await Promise.all([kv.put(`${PREFIX}${userId}`, "", { metadata }), onSignIn(person)]);
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

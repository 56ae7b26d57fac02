import * as z from "zod";
import { type Person, grantOwner } from "./identity.ts";
import { createSigner, isSameSecret } from "./secrets.ts";

const personSchema = z.object({ userId: z.string(), displayName: z.string(), owner: grantOwner });

/**
 * Whom the upstream provider has let in, between the consent page and its answer. The page's form carries them, signed
 * together with its handle, which works once and in one browser: nobody can put another person there, or theirs into
 * another page.
 */
export interface ConsentPerson {
  write(person: Person, handle: string): Promise<string>;
  /** Nothing where it was not written for this handle. */
  read(field: string, handle: string): Promise<Person | undefined>;
}

export function createConsentPerson(signingSecret: string): ConsentPerson {
  const signer = createSigner(signingSecret, "consent-person");
  return {
    write: async (person, handle) => {
      const text = JSON.stringify(personSchema.parse(person));
      return `${await signer.sign(`${handle}:${text}`)}${text}`;
    },
    read: async (field, handle) => {
      const [mac, text] = [field.slice(0, MAC_LENGTH), field.slice(MAC_LENGTH)];
      if (!(await isSameSecret(mac, await signer.sign(`${handle}:${text}`)))) return undefined;
      return personSchema.parse(JSON.parse(text));
    },
  };
}

const MAC_LENGTH = 32;

import { createSigner, isSameSecret, randomHex } from "./secrets.ts";

/** Whose preview a label says it is, and which. */
export interface PreviewName {
  readonly userId: string;
  readonly id: string;
}

/** The first part of a preview's host: `<person>-<preview><MAC>`, as many characters as a DNS label has at the most. */
export interface PreviewLabels {
  make(name: PreviewName): Promise<string>;
  /** Nothing for a label that is not ours: it reaches no Durable Object. */
  read(label: string): Promise<PreviewName | undefined>;
}

const LABEL = /^([0-9a-z]{1,32})-([0-9a-f]{10})([0-9a-f]{20})$/;
const ID_BYTES = 5;
const MAC_CHARS = 20;

export function newPreviewId(): string {
  return randomHex(ID_BYTES);
}

export function createPreviewLabels(signingSecret: string): PreviewLabels {
  const signer = createSigner(signingSecret, "preview");
  const macOf = async (userId: string, id: string): Promise<string> =>
    (await signer.sign(`${userId}.${id}`)).slice(0, MAC_CHARS);
  return {
    make: async ({ userId, id }) => `${userId}-${id}${await macOf(userId, id)}`,
    read: async (label) => {
      const [, userId, id, mac] = LABEL.exec(label) ?? [];
      if (userId === undefined || id === undefined || mac === undefined) return undefined;
      return (await isSameSecret(mac, await macOf(userId, id))) ? { userId, id } : undefined;
    },
  };
}

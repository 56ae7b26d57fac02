import { type Signer, createSigner, isSameSecret } from "../../auth/secrets.ts";
import { SHARE_PATH, UPLOAD_PATH } from "../shared/network-policy.ts";

export type LinkPurpose = "download" | "upload";

/** What a link's URL says, once its MAC holds. */
export interface LinkToken {
  readonly userId: string;
  readonly id: string;
  readonly purpose: LinkPurpose;
  /** The last part of the URL, decoded; empty where there is none. */
  readonly name: string;
}

const PATHS: Readonly<Record<LinkPurpose, string>> = { download: SHARE_PATH, upload: UPLOAD_PATH };

/** `/s/<person>.<link>.<mac>/<name>`: where the link's row is found, and that it was us who made the link. */
export async function linkPath({ userId, id, purpose, name }: LinkToken, signingSecret: string): Promise<string> {
  const mac = await signerOf(purpose, signingSecret).sign(`${userId}.${id}`);
  return `${PATHS[purpose]}${userId}.${id}.${mac}/${encodeName(name)}`;
}

/** Nothing for a link that is not ours: it reaches no Durable Object. */
export async function readLinkPath(pathname: string, signingSecret: string): Promise<LinkToken | undefined> {
  const purpose = pathname.startsWith(UPLOAD_PATH) ? "upload" : "download";
  if (!pathname.startsWith(PATHS[purpose])) return undefined;
  const match = /^([\w-]+)\.([0-9a-f]+)\.([0-9a-f]{32})(?:\/([^/]*))?$/.exec(pathname.slice(PATHS[purpose].length));
  const [, userId, id, mac, encodedName = ""] = match ?? [];
  if (userId === undefined || id === undefined || mac === undefined) return undefined;
  const expected = await signerOf(purpose, signingSecret).sign(`${userId}.${id}`);
  const name = decodeName(encodedName);
  if (!(await isSameSecret(mac, expected)) || name === undefined) return undefined;
  return { userId, id, purpose, name };
}

/** As in a `Content-Disposition` too (RFC 8187), where fewer characters may stand for themselves. */
export function encodeName(name: string): string {
  return encodeURIComponent(name).replace(/['()*]/g, (char) => `%${char.charCodeAt(0).toString(16)}`);
}

function decodeName(encoded: string): string | undefined {
  try {
    return decodeURIComponent(encoded);
  } catch {
    return undefined;
  }
}

/** A link made for one purpose does not pass for one of the other. */
function signerOf(purpose: LinkPurpose, secret: string): Signer {
  return createSigner(secret, `${purpose}-link`);
}

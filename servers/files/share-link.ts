import { randomHex } from "../../auth/secrets.ts";
import type { Account } from "../account/account.ts";
import { MAX_LINKS, type StoredLink } from "../account/share-links.ts";
import { ToolError } from "../shared/errors.ts";
import { normalizeFolder, normalizePath } from "../shared/paths.ts";
import { type LinkPurpose, linkPath, readLinkPath } from "./link-url.ts";
import type { FileStore } from "./store.ts";

/** A link that anyone who holds it may use until it expires or is revoked. */
export interface ShareLink {
  /** Names it for `revoke`; whoever knows it alone cannot use the link. */
  readonly id: string;
  /** `upload` lets in one file at `path`, or, where that ends in a slash, any files into that folder. */
  readonly purpose: LinkPurpose;
  readonly path: string;
  readonly expiresAt: Date;
}

export interface ShareLinks {
  /** Rejects with `not_found` where a file to download is not there now. The URL is told once and kept nowhere. */
  create(link: {
    readonly path: string;
    readonly purpose: LinkPurpose;
    readonly expiresInSeconds: number;
  }): Promise<ShareLink & { readonly url: string }>;
  /** Those that still work, newest first. */
  list(): Promise<readonly ShareLink[]>;
  /** From now on nobody gets in by it. Rejects with `not_found`. `link` is its id or its URL. */
  revoke(link: string): Promise<ShareLink>;
}

export interface LinkSettings {
  readonly publicUrl: string;
  readonly signingSecret: string;
  readonly now: () => Date;
}

export function createShareLinks(
  userId: string,
  files: FileStore,
  account: Pick<DurableObjectStub<Account>, "addLink" | "listLinks" | "removeLink">,
  { publicUrl, signingSecret, now }: LinkSettings,
): ShareLinks {
  /** The id that a link is known by, where the link is this person's. */
  const idOf = async (link: string): Promise<string | undefined> => {
    if (!URL.canParse(link)) return link;
    const token = await readLinkPath(new URL(link).pathname, signingSecret);
    return token?.userId === userId ? token.id : undefined;
  };

  return {
    create: async ({ path: given, purpose, expiresInSeconds }) => {
      const path = purpose === "download" ? (await files.stat(given)).path : uploadPath(given);
      const id = randomHex(8);
      const createdAtMs = now().getTime();
      const link = { id, purpose, path, createdAtMs, expiresAtMs: createdAtMs + expiresInSeconds * 1_000, filesIn: 0 };
      if (!(await account.addLink(link))) {
        throw new ToolError(
          "limit_reached",
          `There are ${MAX_LINKS} links that still work; revoke some with files_share, or wait until they expire.`,
        );
      }
      const name = path.slice(path.lastIndexOf("/") + 1);
      return { ...shown(link), url: publicUrl + (await linkPath({ userId, id, purpose, name }, signingSecret)) };
    },

    list: async () => {
      const links = await account.listLinks();
      return links.filter(({ expiresAtMs }) => expiresAtMs > now().getTime()).map(shown);
    },

    revoke: async (given) => {
      const id = await idOf(given);
      const link = id === undefined ? undefined : await account.removeLink(id);
      if (link === undefined || link.expiresAtMs <= now().getTime()) {
        throw new ToolError("not_found", "There is no such link of yours that still works; files_share lists them.");
      }
      return shown(link);
    },
  };
}

/** The top folder is nobody's to fill: a link names a file or a folder below it. */
function uploadPath(given: string): string {
  if (!given.endsWith("/")) return normalizePath(given);
  const folder = normalizeFolder(given);
  if (folder === "") throw new ToolError("invalid_input", "Name a folder to let files into, such as inbox/.");
  return folder;
}

function shown({ id, purpose, path, expiresAtMs }: StoredLink): ShareLink {
  return { id, purpose, path, expiresAt: new Date(expiresAtMs) };
}

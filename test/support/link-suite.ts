import { env } from "cloudflare:workers";
import { type LinkHost, serveLink } from "../../servers/files/link.ts";
import { type ShareLink, type ShareLinks, createShareLinks } from "../../servers/files/share-link.ts";
import type { FileStore, StorageUsage } from "../../servers/files/store.ts";
import { parseSettings } from "../../servers/shared/settings.ts";
import { createLinkHost } from "../../servers/suite.ts";

/** One person with files and links, and strangers who hold those links, in the tests' Worker. */
export interface LinkSuite {
  readonly userId: string;
  readonly files: FileStore;
  readonly links: ShareLinks;
  readonly account: ReturnType<LinkHost["accountOf"]>;
  /** The time that links go by. */
  readonly clock: { now: Date };
  /** Says whether people are still let in; everybody is, unless a test says otherwise. */
  readonly access: { isLetIn: LinkHost["isLetIn"] };
  /** The people whose accounts requests have come to. */
  readonly askedAccounts: readonly string[];
  /** A link for an hour. */
  readonly link: (path: string, purpose: ShareLink["purpose"]) => Promise<ShareLink & { readonly url: string }>;
  /** A request with no token, as curl makes one; a body that is not a stream is sent with its length. */
  readonly open: (url: string, init?: RequestInit) => Promise<Response>;
  /** Until all that requests have left to do is done. */
  readonly settle: () => Promise<void>;
}

export function linkSuite(userId: string, usage?: () => StorageUsage): LinkSuite {
  const work: Promise<unknown>[] = [];
  const clock = { now: new Date("2026-11-22T12:00:00Z") };
  const access: LinkSuite["access"] = { isLetIn: async () => true };
  const built = createLinkHost(env, parseSettings(env), {
    waitUntil: (promise) => work.push(promise),
    isLetIn: async (id, scopes) => await access.isLetIn(id, scopes),
  });
  const filesOf: LinkHost["filesOf"] = (id) => {
    const files = built.filesOf(id);
    return usage === undefined ? files : { ...files, usage: async () => usage() };
  };
  const askedAccounts: string[] = [];
  const accountOf: LinkHost["accountOf"] = (id) => {
    askedAccounts.push(id);
    return built.accountOf(id);
  };
  const host = { ...built, filesOf, accountOf, now: () => clock.now };
  const files = filesOf(userId);
  const account = built.accountOf(userId);
  const links = createShareLinks(userId, files, account, host);
  return {
    userId,
    files,
    links,
    account,
    clock,
    access,
    askedAccounts,
    link: async (path, purpose) => await links.create({ path, purpose, expiresInSeconds: 3_600 }),
    open: async (url, init = {}) => {
      const headers = new Headers(init.headers);
      const { body } = init;
      const sized = typeof body === "string" ? new TextEncoder().encode(body) : body;
      if (sized instanceof Uint8Array) headers.set("Content-Length", String(sized.length));
      return await serveLink(new Request(url, { ...init, headers }), host);
    },
    settle: async () => void (await Promise.allSettled(work)),
  };
}

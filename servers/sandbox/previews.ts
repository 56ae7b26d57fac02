import { type PreviewLabels, newPreviewId } from "../../auth/preview-label.ts";
import { randomHex, sha256Hex } from "../../auth/secrets.ts";
import type { Account } from "../account/account.ts";
import { MAX_PREVIEWS, type StoredPreview } from "../account/preview-table.ts";
import { ToolError } from "../shared/errors.ts";
import { PREVIEW_SHARE_PATH, type PreviewSite, previewOrigin } from "../shared/preview-site.ts";
import type { Sandbox } from "./driver.ts";

/** A port of a sandbox that is seen from outside. */
export interface Preview {
  readonly sandbox: string;
  readonly port: number;
  /** Opens it for its person, who signs in. */
  readonly url: string;
  /** When the link by which others open it ends; absent where there is none. */
  readonly sharedUntil?: Date;
}

/** One person's previews. Every method rejects with `unavailable` where the settings name no place for them. */
export interface Previews {
  /** The same URL each time until it is withdrawn. Wakes nothing. */
  expose(sandbox: string, port: number): Promise<Preview & { readonly isListening: boolean }>;
  /**
   * Makes a link that opens it for whoever has it, in the place of the one before; for no seconds that one ends. The URL
   * is told once and kept nowhere.
   */
  share(sandbox: string, port: number, seconds: number): Promise<Preview & { readonly shareUrl?: string }>;
  /** From now on nobody gets in, and who is in is out. Rejects with `not_found`. */
  withdraw(sandbox: string, port: number): Promise<Preview>;
  /** Newest first. */
  list(): Promise<readonly Preview[]>;
}

export interface PreviewsContext {
  readonly userId: string;
  readonly site: PreviewSite | undefined;
  readonly labels: PreviewLabels;
  readonly account: Pick<
    DurableObjectStub<Account>,
    "exposePort" | "sharePreview" | "findPreview" | "listPreviews" | "withdrawPort"
  >;
  readonly sandbox: (name: string) => Pick<Sandbox, "port">;
  readonly now: () => Date;
}

const NO_SITE =
  "Previews need a host of their own: whoever runs Pincer sets PREVIEW_HOST, such as previews.example.com, and routes all names below it here.";

export function createPreviews({ userId, site, labels, account, sandbox, now }: PreviewsContext): Previews {
  const checkedSite = (): PreviewSite => {
    if (site === undefined) throw new ToolError("unavailable", NO_SITE);
    return site;
  };
  const originOf = async (id: string): Promise<string> =>
    previewOrigin(checkedSite(), await labels.make({ userId, id }));
  const shown = async ({ id, sandbox: name, port, share }: StoredPreview): Promise<Preview> => {
    const isShared = share !== undefined && share.expiresAtMs > now().getTime();
    return {
      ...{ sandbox: name, port, url: `${await originOf(id)}/` },
      ...(isShared ? { sharedUntil: new Date(share.expiresAtMs) } : {}),
    };
  };
  const exposed = async (name: string, port: number): Promise<StoredPreview> => {
    checkedSite();
    const stored = await account.exposePort({ id: newPreviewId(), sandbox: name, port, madeAtMs: now().getTime() });
    if (stored !== undefined) return stored;
    throw new ToolError("limit_reached", `${MAX_PREVIEWS} ports are exposed; withdraw some with sandbox_expose.`);
  };
  return {
    expose: async (name, port) => {
      checkedSite();
      const state = await sandbox(name).port(port).look();
      return { ...(await shown(await exposed(name, port))), isListening: state === "listening" };
    },
    share: async (name, port, seconds) => {
      const its = sandbox(name).port(port);
      const { id, share: before } = await exposed(name, port);
      const token = randomHex(32);
      const expiresAtMs = now().getTime() + seconds * 1_000;
      await account.sharePreview(id, seconds === 0 ? undefined : { hash: await sha256Hex(token), expiresAtMs });
      // Who came by that is out.
      if (before !== undefined) await its.close();
      const stored = await exposed(name, port);
      const shareUrl = (await originOf(id)) + PREVIEW_SHARE_PATH + token;
      return { ...(await shown(stored)), ...(seconds === 0 ? {} : { shareUrl }) };
    },
    withdraw: async (name, port) => {
      // Whoever may not have that sandbox is refused before anything ends.
      const its = sandbox(name).port(port);
      const stored = await account.withdrawPort(name, port);
      if (stored === undefined) {
        throw new ToolError(
          "not_found",
          `Port ${port} of ${name} is not exposed; sandbox_expose without port lists those that are.`,
        );
      }
      await its.close();
      return await shown(stored);
    },
    list: async () => {
      checkedSite();
      return await Promise.all((await account.listPreviews()).map(shown));
    },
  };
}

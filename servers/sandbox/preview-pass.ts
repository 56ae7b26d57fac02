import { createSigner, isSameSecret, sha256Hex } from "../../auth/secrets.ts";
import type { StoredPreview } from "../account/preview-table.ts";

const COOKIE = "__Host-pincer-preview";
const COOKIE_RULES = "Path=/; Secure; HttpOnly; SameSite=Lax";
/** How long its person may look on before their account is asked again. */
const PERSON_SECONDS = 60 * 60;
const PERSON = "person";
/** `<who>_<when it ends>_<MAC>` */
const VALUE_FORM = /^(person|share-[0-9a-f]{16})_(\d{1,15})_([0-9a-f]{32})$/;

/** What a browser shows at a preview's own origin: that it is its person's, or had the link. */
export interface Pass {
  /** `person`, or which link. */
  readonly holder: string;
  readonly expiresAtMs: number;
}

type Share = NonNullable<StoredPreview["share"]>;

export interface Passes {
  /** The cookie to set. */
  forPerson(label: string, nowMs: number): Promise<string>;
  forShare(label: string, share: Share, nowMs: number): Promise<string>;
  /** The pass in a request, if we made it, for that label, and it has not expired: no object is asked. */
  read(request: Request, label: string, nowMs: number): Promise<Pass | undefined>;
}

export function createPasses(signingSecret: string): Passes {
  const signer = createSigner(signingSecret, "preview-pass");
  const macOf = async ({ holder, expiresAtMs }: Pass, label: string): Promise<string> =>
    await signer.sign(`${label}|${holder}|${expiresAtMs}`);
  const cookieOf = async (pass: Pass, label: string, nowMs: number): Promise<string> => {
    const seconds = Math.max(0, Math.ceil((pass.expiresAtMs - nowMs) / 1_000));
    const value = `${pass.holder}_${pass.expiresAtMs}_${await macOf(pass, label)}`;
    return `${COOKIE}=${value}; Max-Age=${seconds}; ${COOKIE_RULES}`;
  };
  return {
    forPerson: async (label, nowMs) =>
      await cookieOf({ holder: PERSON, expiresAtMs: nowMs + PERSON_SECONDS * 1_000 }, label, nowMs),
    forShare: async (label, share, nowMs) =>
      await cookieOf({ holder: holderOf(share), expiresAtMs: share.expiresAtMs }, label, nowMs),
    read: async (request, label, nowMs) => {
      const [, holder, expires, mac] = VALUE_FORM.exec(readCookie(request)) ?? [];
      if (holder === undefined || mac === undefined) return undefined;
      const pass = { holder, expiresAtMs: Number(expires) };
      return pass.expiresAtMs > nowMs && (await isSameSecret(mac, await macOf(pass, label))) ? pass : undefined;
    },
  };
}

export function isPersons({ holder }: Pass): boolean {
  return holder === PERSON;
}

/** Whether a pass is its person's, or of the link that the preview has now. */
export function isPassOf(pass: Pass, { share }: StoredPreview): boolean {
  return isPersons(pass) || (share !== undefined && pass.holder === holderOf(share));
}

/** Whether that is what the share link holds. */
export async function opensShare(token: string, share: Share, nowMs: number): Promise<boolean> {
  return share.expiresAtMs > nowMs && (await isSameSecret(await sha256Hex(token), share.hash));
}

function holderOf({ hash }: Share): string {
  return `share-${hash.slice(0, 16)}`;
}

function readCookie(request: Request): string {
  const cookies = (request.headers.get("Cookie") ?? "").split(";").map((cookie) => cookie.trim());
  return cookies.find((cookie) => cookie.startsWith(`${COOKIE}=`))?.slice(COOKIE.length + 1) ?? "";
}

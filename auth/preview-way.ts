import { PREVIEW_OPEN_PATH, previewOrigin, previewSite, previewTarget } from "../servers/shared/preview-site.ts";
import type { Settings } from "../servers/shared/settings.ts";
import { type SignInTarget, signInTarget } from "./account-session.ts";
import { type PreviewName, createPreviewLabels } from "./preview-label.ts";
import { randomHex, sha256Hex } from "./secrets.ts";

const CODE_MS = 60_000;

/** The person's Durable Object. */
export interface PreviewCodes {
  /** Whether there is that preview to open. */
  addPreviewCode(
    code: { readonly hash: string; readonly previewId: string; readonly expiresAtMs: number },
    nowMs: number,
  ): Promise<boolean>;
}

interface AskedPreview extends PreviewName {
  readonly label: string;
  readonly to: string;
  /** The same question, for after signing in. */
  readonly page: SignInTarget;
}

/** The way from the account's pages, which know who a browser is, to a preview, which must not. */
export interface PreviewWay {
  /** Nothing for a label that is not ours, and for whatever is no visit to a page. */
  read(request: Request): Promise<AskedPreview | undefined>;
  /** Sends the browser on with a code that opens this preview, once, within a minute. Nothing where it is not theirs. */
  letIn(asked: AskedPreview, userId: string): Promise<Response | undefined>;
}

export function createPreviewWay(
  settings: Settings,
  accounts: (userId: string) => PreviewCodes,
  now: () => Date,
): PreviewWay {
  const labels = createPreviewLabels(settings.SIGNING_SECRET);
  const site = previewSite(settings);
  return {
    read: async (request) => {
      const destination = request.headers.get("Sec-Fetch-Dest");
      if (destination !== null && destination !== "document") return undefined;
      const { searchParams } = new URL(request.url);
      const label = searchParams.get("label") ?? "";
      const to = previewTarget(searchParams.get("to"));
      const page = signInTarget.safeParse(`/account/preview?label=${label}&to=${encodeURIComponent(to)}`);
      const name = await labels.read(label);
      return name !== undefined && page.success ? { ...name, label, to, page: page.data } : undefined;
    },
    letIn: async ({ label, to, userId: owner, id }, userId) => {
      if (site === undefined || owner !== userId) return undefined;
      const code = randomHex(32);
      const nowMs = now().getTime();
      const stored = { hash: await sha256Hex(code), previewId: id, expiresAtMs: nowMs + CODE_MS };
      if (!(await accounts(userId).addPreviewCode(stored, nowMs))) return undefined;
      const query = new URLSearchParams({ code, to }).toString();
      return new Response(null, {
        status: 303,
        headers: {
          Location: `${previewOrigin(site, label)}${PREVIEW_OPEN_PATH}?${query}`,
          "Cache-Control": "no-store",
          "Referrer-Policy": "no-referrer",
        },
      });
    },
  };
}

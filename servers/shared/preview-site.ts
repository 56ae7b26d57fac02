import type { Settings } from "./settings.ts";

/** Where previews are: each of them is `<protocol>//<label>.<host>`, an origin of its own. */
export interface PreviewSite {
  readonly protocol: string;
  /** With its port, where that is not the protocol's own. */
  readonly host: string;
}

/** What is ours on a preview's origin; all else is what runs in the sandbox. */
export const PREVIEW_OPEN_PATH = "/.pincer/open";
export const PREVIEW_SHARE_PATH = "/.pincer/share/";

const MAX_TARGET_CHARS = 2_000;

/** Nothing where the settings name no host for previews. On loopback every name below `localhost` is this machine. */
export function previewSite({
  PREVIEW_HOST,
  PUBLIC_URL,
  IDENTITY,
}: Pick<Settings, "PREVIEW_HOST" | "PUBLIC_URL" | "IDENTITY">): PreviewSite | undefined {
  const { protocol, port } = new URL(PUBLIC_URL);
  const end = port === "" ? "" : `:${port}`;
  if (PREVIEW_HOST !== undefined) return { protocol, host: PREVIEW_HOST + end };
  return IDENTITY === "local" ? { protocol, host: `localhost${end}` } : undefined;
}

export function previewOrigin({ protocol, host }: PreviewSite, label: string): string {
  return `${protocol}//${label}.${host}`;
}

/** The label that a `Host` names; nothing where it is no preview's, which the suite itself may be asked by. */
export function previewLabel(host: string, site: PreviewSite | undefined): string | undefined {
  const end = `.${site?.host}`;
  const lower = host.toLowerCase();
  return site !== undefined && lower.endsWith(end) ? lower.slice(0, -end.length) : undefined;
}

/** Where a visitor goes on, a path with its query; the top where what is asked for is none of that origin. */
export function previewTarget(asked: string | null): string {
  if (asked === null || asked.length > MAX_TARGET_CHARS || !/^\/(?![/\\])/.test(asked)) return "/";
  const base = "http://preview.invalid";
  if (!URL.canParse(asked, base)) return "/";
  const { origin, pathname, search } = new URL(asked, base);
  return origin === base && !pathname.startsWith("//") ? pathname + search : "/";
}

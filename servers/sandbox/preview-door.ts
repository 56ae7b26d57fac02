import type { PreviewLabels, PreviewName } from "../../auth/preview-label.ts";
import type { Scope } from "../../auth/scopes.ts";
import { sha256Hex } from "../../auth/secrets.ts";
import type { Account } from "../account/account.ts";
import type { StoredPreview } from "../account/preview-table.ts";
import type { CallPipeline } from "../core/call.ts";
import { ToolError } from "../shared/errors.ts";
import { PREVIEW_OPEN_PATH, PREVIEW_SHARE_PATH, type PreviewSite, previewTarget } from "../shared/preview-site.ts";
import type { Sandbox } from "./driver.ts";
import { isForeign, isVisit } from "./preview-headers.ts";
import { FOREIGN, GONE, NOT_SIGNED_IN, notice } from "./preview-pages.ts";
import { type Passes, isPassOf, isPersons, opensShare } from "./preview-pass.ts";
import { proxyPreview } from "./preview-proxy.ts";

/** An isolate's: what it was last told of previews, by their labels. */
export type KnownPreviews = Map<string, KnownPreview>;

interface KnownPreview {
  readonly atMs: number;
  /** Whether it is asked for anew already. */
  isAsked: boolean;
  /** Absent where it is not there, or its person is let in no longer. */
  readonly preview: StoredPreview | undefined;
}

export interface PreviewHost {
  readonly site: PreviewSite;
  readonly publicUrl: string;
  readonly labels: PreviewLabels;
  readonly passes: Passes;
  readonly known: KnownPreviews;
  readonly now: () => Date;
  readonly accountOf: (userId: string) => Pick<DurableObjectStub<Account>, "findPreview" | "takePreviewCode">;
  readonly sandboxOf: (userId: string, name: string) => Pick<Sandbox, "port" | "exec" | "status">;
  /** Whether the preview's person may still use sandboxes. Rejects where nobody can say. */
  readonly isLetIn: (userId: string, scopes: readonly Scope[]) => Promise<boolean>;
  /** Refuses while the preview's person is paused. */
  readonly gateOf: (userId: string) => CallPipeline["gate"];
  readonly waitUntil: (work: Promise<unknown>) => void;
  /** How long what listens may take to begin its answer. */
  readonly answersWithinMs: number;
}

/** What an isolate knows of a preview is asked anew in the background after so long. */
const FRESH_MS = 1_000;
/** After so long it is known no longer: a withdrawal holds by then. */
const KNOWN_MS = 2_000;
const MAX_KNOWN = 2_000;
const OURS = "/.pincer/";

interface Visit extends PreviewName {
  readonly request: Request;
  readonly label: string;
  readonly host: PreviewHost;
}

/** Serves what a preview's host is asked for. Nothing of the suite answers there but the two ways in. */
export async function servePreview(request: Request, label: string, host: PreviewHost): Promise<Response> {
  const name = await host.labels.read(label);
  if (name === undefined) return notice(request, GONE);
  const visit = { request, label, host, ...name };
  const { pathname } = new URL(request.url);
  try {
    if (pathname === PREVIEW_OPEN_PATH) return await letPersonIn(visit);
    if (pathname.startsWith(PREVIEW_SHARE_PATH)) return await letSharerIn(visit);
    return pathname.startsWith(OURS) ? notice(request, GONE) : await letThrough(visit);
  } catch (failure) {
    if (failure instanceof ToolError) return refusal(request, failure);
    throw failure;
  }
}

async function letThrough(visit: Visit): Promise<Response> {
  const { request, label, host } = visit;
  if (isForeign(request, label, host.site)) return notice(request, FOREIGN);
  const pass = await host.passes.read(request, label, host.now().getTime());
  if (pass === undefined) return askForPass(visit);
  const preview = await findStanding(visit);
  if (preview === undefined) return notice(request, GONE);
  if (!isPassOf(pass, preview)) return askForPass(visit);
  return await proxyPreview({
    ...{ request, label },
    site: host.site,
    port: preview.port,
    person: isPersons(pass) ? visit.userId : undefined,
    sandbox: host.sandboxOf(visit.userId, preview.sandbox),
    untilMs: pass.expiresAtMs,
    answersWithinMs: host.answersWithinMs,
    isStillIn: async (isAnew) => {
      if (isAnew) host.known.delete(label);
      const now = await findStanding(visit);
      return now !== undefined && isPassOf(pass, now) && pass.expiresAtMs > host.now().getTime();
    },
    waitUntil: host.waitUntil,
  });
}

/** A preview that is there, of a person who is let in. Rejects where they are paused, or nobody can say. */
async function findStanding(visit: Visit): Promise<StoredPreview | undefined> {
  const [preview] = await Promise.all([findKnown(visit), visit.host.gateOf(visit.userId).check()]);
  return preview;
}

/** By what this isolate knows, where that is new; what is a little older is asked for behind the visitor's back. */
async function findKnown(visit: Visit): Promise<StoredPreview | undefined> {
  const { host, label } = visit;
  const last = host.known.get(label);
  // What is dated ahead is as old: the clock was set back since.
  const ageMs = Math.abs(Date.now() - (last?.atMs ?? 0));
  if (last === undefined || ageMs >= KNOWN_MS) return await find(visit);
  if (ageMs >= FRESH_MS && !last.isAsked) {
    last.isAsked = true;
    host.waitUntil(find(visit).catch(() => undefined));
  }
  return last.preview;
}

async function find({ host, label, userId, id }: Visit): Promise<StoredPreview | undefined> {
  const { known } = host;
  const atMs = Date.now();
  const [found, isIn] = await Promise.all([
    host.accountOf(userId).findPreview(id),
    host.isLetIn(userId, ["sandbox:exec"]),
  ]);
  const preview = isIn ? found : undefined;
  if (known.size >= MAX_KNOWN) known.clear();
  const aheadMs = (known.get(label)?.atMs ?? 0) - atMs;
  // An answer that was overtaken says less; not less than one from before the clock was set back.
  if (aheadMs <= 0 || aheadMs >= KNOWN_MS) known.set(label, { atMs, isAsked: false, preview });
  return preview;
}

/** A browser is sent to the account's pages, which know who it is. */
function askForPass({ request, label, host: { publicUrl } }: Visit): Response {
  if (!isVisit(request)) return notice(request, NOT_SIGNED_IN);
  const { pathname, search } = new URL(request.url);
  const to = encodeURIComponent(previewTarget(pathname + search));
  return goOn(`${publicUrl}/account/preview?label=${label}&to=${to}`);
}

/** The way back from the account's pages, with a code that they gave out for this label. */
async function letPersonIn(visit: Visit): Promise<Response> {
  const { request, label, host, userId, id } = visit;
  const { searchParams } = new URL(request.url);
  const code = searchParams.get("code") ?? "";
  if (request.method !== "GET" || !/^[0-9a-f]{64}$/.test(code)) return notice(request, GONE);
  const nowMs = host.now().getTime();
  if (!(await host.accountOf(userId).takePreviewCode(await sha256Hex(code), id, nowMs))) return notice(request, GONE);
  return goOn(previewTarget(searchParams.get("to")), await host.passes.forPerson(label, nowMs));
}

async function letSharerIn(visit: Visit): Promise<Response> {
  const { request, label, host } = visit;
  const token = new URL(request.url).pathname.slice(PREVIEW_SHARE_PATH.length);
  if (request.method !== "GET" || !/^[0-9a-f]{64}$/.test(token)) return notice(request, GONE);
  const nowMs = host.now().getTime();
  host.known.delete(label);
  const share = (await findStanding(visit))?.share;
  if (share === undefined || !(await opensShare(token, share, nowMs))) return notice(request, GONE);
  return goOn("/", await host.passes.forShare(label, share, nowMs));
}

function goOn(location: string, cookie?: string): Response {
  const headers = new Headers({ Location: location, "Cache-Control": "no-store", "Referrer-Policy": "no-referrer" });
  if (cookie !== undefined) headers.set("Set-Cookie", cookie);
  return new Response(null, { status: 302, headers });
}

const STATUSES: Readonly<Partial<Record<ToolError["code"], number>>> = { forbidden: 403, not_found: 404 };

function refusal(request: Request, { code, message }: ToolError): Response {
  return notice(request, { status: STATUSES[code] ?? 503, heading: "Not now", text: message });
}

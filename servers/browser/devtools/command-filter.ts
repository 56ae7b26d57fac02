import * as z from "zod";
import { type NetworkPolicy, checkUrl } from "../../shared/network-policy.ts";

/** What of a client's commands reaches Chrome: all of `pass`, nothing where it is answered or refused in Chrome's place. */
export type Verdict =
  | { readonly pass: Params }
  | { readonly answer: Params }
  /** Another command takes its place. */
  | { readonly instead: string; readonly pass: Params }
  /** One sentence, for the client. */
  | { readonly refuse: string };

export type Params = Readonly<Record<string, unknown>>;

/**
 * Domains that act on pages and workers. Closed is what reaches the machine that Chrome runs on or the whole of Chrome
 * (SystemInfo, Tethering, Extensions, DeviceAccess, PWA, FileSystem, Cast), the platform's live view (Cloudflare), and
 * whatever comes with a later Chrome.
 */
const DOMAINS = new Set(
  (
    "Accessibility Animation Audits BackgroundService CSS CacheStorage Console DOM DOMDebugger DOMSnapshot DOMStorage " +
    "Debugger DeviceOrientation Emulation EventBreakpoints FedCm Fetch HeapProfiler IndexedDB Input Inspector LayerTree " +
    "Log Media Memory Network Overlay Page Performance PerformanceTimeline Preload Profiler Runtime Schema Security " +
    "ServiceWorker Storage WebAudio WebAuthn"
  ).split(" "),
);

/** Of these domains only so much is open: they hold what leads around our checks, and what is nobody's page. */
const METHODS = new Set([
  "Browser.close",
  "Browser.getVersion",
  "Browser.getWindowBounds",
  "Browser.getWindowForTarget",
  "Browser.grantPermissions",
  "Browser.resetPermissions",
  "Browser.setPermission",
  "Browser.setWindowBounds",
  "IO.close",
  "IO.read",
  "IO.resolveBlob",
  "Target.activateTarget",
  "Target.attachToBrowserTarget",
  "Target.attachToTarget",
  "Target.autoAttachRelated",
  "Target.closeTarget",
  "Target.createBrowserContext",
  "Target.createTarget",
  "Target.detachFromTarget",
  "Target.disposeBrowserContext",
  "Target.getBrowserContexts",
  "Target.getTargetInfo",
  "Target.getTargets",
  "Target.setAutoAttach",
  "Target.setDiscoverTargets",
  "Tracing.end",
  "Tracing.getCategories",
  "Tracing.recordClockSyncMarker",
  "Tracing.start",
]);

/** Downloads go to files as they do with the tools: nothing that a client wants of Chrome's own disk comes about. */
const WITHOUT_EFFECT = new Set(["Browser.cancelDownload", "Browser.setDownloadBehavior", "Page.setDownloadBehavior"]);

const OTHER_DISK =
  "Chrome runs on another machine, which has none of your files; give the content instead (in Playwright {name, mimeType, buffer}).";
const OLD_INTERCEPTION = "Use Fetch.enable in place of Network's own interception.";

const REFUSED = new Map([
  ["DOM.setFileInputFiles", OTHER_DISK],
  ["DOM.getFileInfo", OTHER_DISK],
  // They ask the network beside the page, where nothing of it is checked.
  ["Network.loadNetworkResource", "Fetch it from a page instead."],
  ["Network.setRequestInterception", OLD_INTERCEPTION],
  ["Network.continueInterceptedRequest", OLD_INTERCEPTION],
  ["Network.getResponseBodyForInterception", OLD_INTERCEPTION],
  ["Network.takeResponseBodyForInterceptionAsStream", OLD_INTERCEPTION],
]);

/** Has no network behind it. Other pages of `about:` are Chrome's own, or crash it. */
const INSIDE_CHROME = /^(about:blank([?#]|$)|data:|blob:)/i;

const urlSchema = z.object({ url: z.string().default("") });
const createTargetSchema = z.object({
  url: z.string().default(""),
  width: z.int().exactOptional(),
  height: z.int().exactOptional(),
  browserContextId: z.string().exactOptional(),
  newWindow: z.boolean().exactOptional(),
  background: z.boolean().exactOptional(),
  forTab: z.boolean().exactOptional(),
});
const dragSchema = z.object({ data: z.object({ files: z.array(z.unknown()).default([]) }).optional() });

/** Judges a command by itself. What Chrome is passed is what was judged, and of dangerous commands no unknown field. */
export function judge(method: string, params: Params, policy: NetworkPolicy): Verdict {
  if (WITHOUT_EFFECT.has(method)) return { answer: {} };
  const refusal = REFUSED.get(method);
  if (refusal !== undefined) return { refuse: refusal };
  const [domain = ""] = method.split(".");
  if (!METHODS.has(method) && !DOMAINS.has(domain)) {
    return { refuse: `${method.slice(0, 80)} is not open here; use the commands that act on pages.` };
  }
  switch (method) {
    case "Page.navigate":
      return withUrl(params, urlSchema, policy, () => params);
    case "Fetch.continueRequest": {
      const verdict = withUrl(params, urlSchema, policy, () => params);
      if ("pass" in verdict) return verdict;
      // Clients take no notice of a refusal, and the page would wait for ever.
      const { requestId } = params;
      return { instead: "Fetch.failRequest", pass: { requestId, errorReason: "BlockedByClient" } };
    }
    case "Target.createTarget":
      return withUrl(params, createTargetSchema, policy, (known) => known);
    case "Target.attachToTarget":
    case "Target.setAutoAttach":
      // Without it commands would come wrapped in others.
      return { pass: { ...params, flatten: true } };
    case "Target.createBrowserContext":
      if ("proxyServer" in params || "proxyBypassList" in params) {
        return { refuse: "All of the browser goes by the way that Pincer gives it; leave the proxy out." };
      }
      // It goes with its client, as Chrome's would with its process.
      return { pass: { disposeOnDetach: true } };
    case "Tracing.start":
      if ("perfettoConfig" in params) return { refuse: "Say what to trace by traceConfig." };
      return { pass: params };
    case "Input.dispatchDragEvent": {
      const drag = dragSchema.safeParse(params);
      return drag.success && (drag.data.data?.files ?? []).length === 0 ? { pass: params } : { refuse: OTHER_DISK };
    }
    default:
      return { pass: params };
  }
}

function withUrl<T extends { readonly url: string }>(
  params: Params,
  schema: z.ZodType<T>,
  policy: NetworkPolicy,
  passed: (known: T) => object,
): Verdict {
  const known = schema.safeParse(params);
  if (!known.success) return { refuse: "Those are not the parameters of that command." };
  const { url } = known.data;
  const verdict = url === "" || INSIDE_CHROME.test(url) ? ({ allowed: true } as const) : checkUrl(url, policy);
  return verdict.allowed ? { pass: { ...passed(known.data) } } : { refuse: verdict.reason };
}

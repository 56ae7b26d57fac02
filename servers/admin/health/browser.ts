import puppeteer, { type BrowserWorker } from "@cloudflare/puppeteer";
import { acquireChrome, discardChrome } from "../../browser/chrome/chrome.ts";
import { refusing } from "../../browser/chrome/platform-refusal.ts";
import { ToolError } from "../../shared/errors.ts";
import type { Finding } from "../health-report.ts";
import type { Probe } from "./probe.ts";

/** A Chrome starts in less than a second, and on a busy machine in ten. */
const LIMIT_MS = 15_000;

/** What opens pages. Locally a Chrome is started and ended; at Cloudflare that is billed, so only its limits are read. */
export function browserProbe(binding: BrowserWorker | undefined, isLocal: boolean): Probe {
  return {
    name: "Browser",
    limitMs: LIMIT_MS,
    failing: {
      says: "The browser does not answer, so no page opens.",
      todo: isLocal
        ? "End npm start and start it anew; suite.log in the data folder says what Chrome said, npm run doctor what this machine lacks."
        : "See that Browser Run is there for your account (dash.cloudflare.com, Browser Run) and that wrangler.jsonc binds it as BROWSER; the Worker's log says more.",
    },
    run: async () => {
      if (binding === undefined) return withoutBinding(isLocal);
      return isLocal ? await startOne(binding) : await readLimits(binding);
    },
  };
}

function withoutBinding(isLocal: boolean): Finding {
  if (isLocal) {
    return {
      state: "warning",
      says: "There is no Chrome here; everything but the browser works.",
      todo: "npm run doctor says what is lacking; start again when it is there.",
    };
  }
  return {
    state: "broken",
    says: "No browser is bound, so no page opens.",
    todo: "Bind one as BROWSER in wrangler.jsonc and deploy again.",
  };
}

async function startOne(binding: BrowserWorker): Promise<Finding> {
  try {
    const sessionId = await acquireChrome(binding);
    await discardChrome(binding, sessionId);
    return { state: "ok", says: "A Chrome starts and ends." };
  } catch (failure) {
    if (!(failure instanceof ToolError) || failure.code !== "limit_reached") throw failure;
    return { state: "warning", says: failure.message, todo: "Close browsers that nobody needs (browser_close)." };
  }
}

async function readLimits(binding: BrowserWorker): Promise<Finding> {
  const limits = await puppeteer.limits(refusing(binding));
  const { activeSessions, maxConcurrentSessions, allowedBrowserAcquisitions } = limits;
  const open = `${activeSessions.length} of ${maxConcurrentSessions} browsers are open`;
  if (activeSessions.length < maxConcurrentSessions && allowedBrowserAcquisitions > 0) {
    return { state: "ok", says: `Browser Run answers; ${open}. None was started for this check.` };
  }
  const waitS = Math.ceil(limits.timeUntilNextAllowedBrowserAcquisition / 1_000);
  return {
    state: "warning",
    says: `Browser Run answers, but starts no more browsers now: ${open}.`,
    todo: `Close browsers that nobody needs, or wait${waitS > 0 ? ` ${waitS} s` : ""}; a larger limit is asked for at Cloudflare.`,
  };
}

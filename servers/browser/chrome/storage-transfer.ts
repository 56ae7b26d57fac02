import type { Frame, Page } from "@cloudflare/puppeteer";
import * as z from "zod";
import { ToolError } from "../../shared/errors.ts";
import { within } from "./abort.ts";
import type { Chrome } from "./chrome.ts";
import type { Current } from "./keeper.ts";
import type { LivePage } from "./live-page.ts";
import { handleOf } from "./puppeteer-internals.ts";
import { MAX_ORIGINS, type StorageState, type StoredCookie, type StoredOrigin } from "./storage-state.ts";

const VISIT_LIMIT_MS = 5_000;
/** A page that is busy does not say what its tab keeps. */
const TAB_LIMIT_MS = 2_000;

type Items = StoredOrigin["localStorage"];

/**
 * All cookies, and the storage of the sites that the tabs have been at or show in frames: also of those that no page is
 * open of, since each is looked at from a blank page of its origin. The tabs are not disturbed.
 */
export async function exportStorage({ chrome, live }: Current): Promise<StorageState> {
  const [{ cookies }, tab, ...origins] = await Promise.all([
    chrome.control.send("Storage.getCookies"),
    within(readSession(live), TAB_LIMIT_MS),
    ...[live, ...chrome.tabs.pages].map(originsOf),
  ]);
  const kept = await chrome.tabs.aside(async (page) => {
    const all: StoredOrigin[] = [];
    for (const origin of [...new Set(origins.flat())].slice(0, MAX_ORIGINS)) {
      const localStorage =
        (await atBlankPage(chrome, page, origin, async (blank) => await readLocal(blank, origin))) ?? [];
      const sessionStorage = tab?.origin === origin ? tab.items : [];
      if (localStorage.length + sessionStorage.length === 0) continue;
      all.push({ origin, localStorage, ...(sessionStorage.length === 0 ? {} : { sessionStorage }) });
    }
    return all;
  });
  // Those with a partition are used within one site's pages alone.
  return { cookies: cookies.filter((cookie) => !("partitionKey" in cookie)).map(storedCookie), origins: kept };
}

/**
 * Puts cookies and storage into the browser, beside what is there. The page is taken from origin to origin for it,
 * without any request's leaving Chrome, and is blank in the end. Rejects with `invalid_input` where Chrome refuses.
 */
export async function importStorage({ chrome, live }: Current, state: StorageState): Promise<void> {
  try {
    await chrome.control.send("Storage.setCookies", { cookies: state.cookies.map(chromeCookie) });
    for (const stored of state.origins) {
      await atBlankPage(chrome, live.page, stored.origin, async (page) => await write(page, stored));
    }
  } catch {
    // Chrome's words are no cause to be logged: they may repeat what is secret.
    throw new ToolError("invalid_input", "Chrome does not take what that file holds; save one anew and give that.");
  } finally {
    await live.page.goto("about:blank");
    await live.session.send("Page.resetNavigationHistory");
  }
}

/** The origins whose storage can be the page's: those in its history, and those of frames that share it. */
async function originsOf(live: LivePage): Promise<string[]> {
  const [{ entries }, frames] = await Promise.all([
    live.session.send("Page.getNavigationHistory"),
    Promise.all(live.page.frames().map(sharedOriginOf)),
  ]);
  const urls = [...entries.map(({ url }) => url), ...frames].filter((url) => url !== undefined);
  const origins = urls.flatMap((url) => (/^https?:/.test(url) && URL.canParse(url) ? [new URL(url).origin] : []));
  return origins.toReversed();
}

/** Of a frame of its own or the page's site; what other sites keep within this one, they keep apart. */
async function sharedOriginOf(frame: Frame): Promise<string | undefined> {
  const { id, session } = handleOf(frame);
  const asked = session.send("Storage.getStorageKeyForFrame", { frameId: id }).catch(() => undefined);
  const key = (await within(asked, TAB_LIMIT_MS))?.storageKey;
  return key === undefined || key.includes("^") ? undefined : key;
}

/** What the page's tab keeps for the origin that it is at; asked where the page's scripts cannot meddle. */
async function readSession({ session, targetId }: LivePage): Promise<{ origin: string; items: Items } | undefined> {
  try {
    const { executionContextId: contextId } = await session.send("Page.createIsolatedWorld", { frameId: targetId });
    const expression = "[location.origin, Object.entries(sessionStorage)]";
    const { result } = await session.send("Runtime.evaluate", { expression, contextId, returnByValue: true });
    const [origin, entries] = z.tuple([z.string(), entriesSchema]).parse(result.value);
    return { origin, items: itemsOf(entries) };
  } catch {
    // A page without an origin has none.
    return undefined;
  }
}

const entriesSchema = z.array(z.tuple([z.string(), z.string()]));

function itemsOf(entries: z.output<typeof entriesSchema>): Items {
  return entries.map(([name, value]) => ({ name, value }));
}

async function readLocal(page: Page, origin: string): Promise<Items> {
  return itemsOf(entriesSchema.parse(await page.evaluate(onlyAt(origin, "Object.entries(localStorage)"))));
}

/** A page may be gone to another site between a question and its answer: the script itself looks where it is. */
function onlyAt(origin: string, expression: string): string {
  return `(() => { if (location.origin !== ${JSON.stringify(origin)}) throw new Error("moved"); return ${expression}; })()`;
}

async function write(page: Page, { origin, localStorage, sessionStorage = [] }: StoredOrigin): Promise<void> {
  const set = (storage: string, items: Items): string =>
    `for (const { name, value } of ${JSON.stringify(items)}) ${storage}.setItem(name, value);`;
  const both = `(() => { ${set("localStorage", localStorage)} ${set("sessionStorage", sessionStorage)} })()`;
  await page.evaluate(onlyAt(origin, both));
}

/**
 * Does something on a page of that origin which has nothing on it and came from nowhere; nothing where Chrome goes to
 * another one instead, as from http to https.
 */
async function atBlankPage<T>(
  chrome: Chrome,
  page: Page,
  origin: string,
  work: (page: Page) => Promise<T>,
): Promise<T | undefined> {
  const { id } = handleOf(page.mainFrame());
  chrome.gate.blank(id);
  try {
    await page.setBypassServiceWorker(true);
    await page.goto(origin, { waitUntil: "domcontentloaded", timeout: VISIT_LIMIT_MS });
    return new URL(page.url()).origin === origin ? await work(page) : undefined;
  } finally {
    chrome.gate.unblank(id);
    await page.setBypassServiceWorker(false);
  }
}

type ChromeCookie = Omit<StoredCookie, "sameSite"> & { readonly sameSite?: StoredCookie["sameSite"] };

function storedCookie({ name, value, domain, path, expires, httpOnly, secure, sameSite }: ChromeCookie): StoredCookie {
  const lasting = { name, value, domain, path, expires, httpOnly, secure };
  return sameSite === undefined ? lasting : { ...lasting, sameSite };
}

/** Without a dot the cookie is for its host alone, which Chrome understands of a URL only. */
function chromeCookie({ domain, expires, ...stored }: StoredCookie): SetCookie {
  const { name, value, path, httpOnly, secure } = stored;
  const isForHost = !domain.startsWith(".");
  return {
    ...{ name, value, path, httpOnly, secure },
    ...(stored.sameSite === undefined ? {} : { sameSite: stored.sameSite }),
    ...(isForHost ? { url: `${secure ? "https" : "http"}://${domain}${path}` } : { domain }),
    ...(expires < 0 ? {} : { expires }),
  };
}

interface SetCookie extends Omit<StoredCookie, "domain" | "expires" | "partitionKey"> {
  readonly url?: string;
  readonly domain?: string;
  readonly expires?: number;
}

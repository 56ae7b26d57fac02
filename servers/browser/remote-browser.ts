import { ToolError } from "../shared/errors.ts";
import type { BrowserSession } from "./browser-session.ts";
import { sessionNameOf } from "./session-name.ts";
import {
  type Browser,
  type BrowserSessions,
  type CallerFiles,
  type OpenedPage,
  type Outcome,
  type ReadRequest,
  type RemoteFiles,
  valueOf,
} from "./session.ts";

/** For a browser that nobody waits for any more to be ended. */
const CLOSE_LIMIT_MS = 5_000;

/** The browsers of a person, each in a Durable Object of its own. */
export function createBrowserSessions(
  namespace: DurableObjectNamespace<BrowserSession>,
  userId: string,
): BrowserSessions {
  const named = (name: string): Browser =>
    new RemoteBrowser(
      namespace.get(namespace.idFromName(sessionNameOf(userId, name))),
      async (request, files, signal) => {
        // No handle has a colon: it is nobody's browser but this call's.
        await using once = closing(named(`once:${crypto.randomUUID()}`));
        return await readOnce(once.browser, request, files, signal);
      },
    );
  return { named };
}

type ReadUrl = (
  request: ReadRequest & { readonly url: string },
  files: CallerFiles,
  signal: AbortSignal,
) => Promise<OpenedPage>;

class RemoteBrowser implements Browser {
  readonly #session: DurableObjectStub<BrowserSession>;
  readonly #readUrl: ReadUrl;

  constructor(session: DurableObjectStub<BrowserSession>, readUrl: ReadUrl) {
    this.#session = session;
    this.#readUrl = readUrl;
  }

  open: Browser["open"] = async (request, files, signal) =>
    await this.#call(signal, (id) => this.#session.open(id, request, remoteFiles(files)));

  snapshot: Browser["snapshot"] = async (request, signal) =>
    await this.#call(signal, (id) => this.#session.snapshot(id, request));

  read: Browser["read"] = async ({ url, ...request }, files, signal) => {
    if (url !== undefined) return await this.#readUrl({ ...request, url }, files, signal);
    return await this.#call(signal, (id) => this.#session.read(id, request));
  };

  screenshot: Browser["screenshot"] = async (request, signal) =>
    await this.#call(signal, (id) => this.#session.screenshot(id, request));

  click: Browser["click"] = async (request, files, signal) =>
    await this.#call(signal, (id) => this.#session.click(id, request, remoteFiles(files)));

  type: Browser["type"] = async (request, files, signal) =>
    await this.#call(signal, (id) => this.#session.type(id, request, remoteFiles(files)));

  fill: Browser["fill"] = async (fields, files, signal) =>
    await this.#call(signal, (id) => this.#session.fill(id, fields, remoteFiles(files)));

  answer: Browser["answer"] = async (request, files, signal) =>
    await this.#call(signal, (id) => this.#session.answer(id, request, remoteFiles(files)));

  wait: Browser["wait"] = async (request, files, signal) =>
    await this.#call(signal, (id) => this.#session.wait(id, request, remoteFiles(files)));

  evaluate: Browser["evaluate"] = async (request, files, signal) =>
    await this.#call(signal, (id) => this.#session.evaluate(id, request, remoteFiles(files)));

  storage: Browser["storage"] = async (signal) => await this.#call(signal, (id) => this.#session.storage(id));

  close: Browser["close"] = async (tab, signal) => await this.#call(signal, (id) => this.#session.close(id, tab));

  handOff: Browser["handOff"] = async (request, onLink, signal) =>
    await this.#call(signal, (id) => this.#session.handOff(id, request, onLink));

  async #call<T>(signal: AbortSignal, start: (callId: string) => Promise<Outcome<T>>): Promise<T> {
    const callId = crypto.randomUUID();
    const cancelled = Promise.withResolvers<void>();
    const onAbort = (): void => cancelled.resolve(this.#session.cancel(callId));
    if (signal.aborted) throw new ToolError("cancelled", "The call was cancelled by the client.");
    signal.addEventListener("abort", onAbort, { once: true });
    try {
      return valueOf(await start(callId));
    } finally {
      signal.removeEventListener("abort", onAbort);
      if (signal.aborted) await cancelled.promise;
    }
  }
}

function closing(browser: Browser): AsyncDisposable & { readonly browser: Browser } {
  return {
    browser,
    [Symbol.asyncDispose]: async () => await browser.close(undefined, AbortSignal.timeout(CLOSE_LIMIT_MS)),
  };
}

/**
 * Reads a page in a Chrome of its own, which has no cookies and ends with the call. Quick actions of the platform would
 * do with less, but know no network policy: they watch over the one page alone, not over its pop-ups and workers.
 */
async function readOnce(
  browser: Browser,
  { url, ref, ...request }: ReadRequest & { readonly url: string },
  files: CallerFiles,
  signal: AbortSignal,
): Promise<OpenedPage> {
  if (ref !== undefined) throw new ToolError("invalid_input", "Give a url or a ref of the open page, not both.");
  const { notes, status } = await browser.open({ url }, files, signal);
  const read = await browser.read(request, files, signal);
  return { ...read, notes: [...notes, ...read.notes], ...(status === undefined ? {} : { status }) };
}

function remoteFiles({ read, keep }: CallerFiles): RemoteFiles {
  return {
    keep,
    read: async (path, maxBytes) => {
      try {
        return { ok: true, value: await read(path, maxBytes) };
      } catch (failure) {
        if (!(failure instanceof ToolError)) throw failure;
        return { ok: false, code: failure.code, message: failure.message };
      }
    },
  };
}

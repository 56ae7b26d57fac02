import { ToolError } from "../shared/errors.ts";
import type { BrowserSessionObject } from "./browser-session.ts";
import { unrefused, withLimits } from "./devtools/crossing.ts";
import { explainInterruption } from "./interruption.ts";
import { sessionNameOf } from "./session-name.ts";
import {
  type Browser,
  type BrowserSessions,
  type CallerFiles,
  type Outcome,
  type RemoteFiles,
  valueOf,
} from "./session.ts";

/** The browsers of a person, each in a Durable Object of its own. */
export function createBrowserSessions(
  namespace: DurableObjectNamespace<BrowserSessionObject>,
  userId: string,
): BrowserSessions {
  const sessionOf = (name: string): Session => namespace.get(namespace.idFromName(sessionNameOf(userId, name)));
  return {
    // No handle has a colon: a page that is read once is in nobody's browser but that call's.
    named: (name) => new RemoteBrowser(sessionOf(name), () => sessionOf(`once:${crypto.randomUUID()}`)),
  };
}

type Session = DurableObjectStub<BrowserSessionObject>;

class RemoteBrowser implements Browser {
  readonly #session: Session;
  readonly #newSession: () => Session;

  constructor(session: Session, newSession: () => Session) {
    this.#session = session;
    this.#newSession = newSession;
  }

  open: Browser["open"] = async (request, files, signal) =>
    await this.#call(signal, (id) => this.#session.open(id, request, remoteFiles(files)));

  snapshot: Browser["snapshot"] = async (request, signal) =>
    await this.#call(signal, (id) => this.#session.snapshot(id, request));

  read: Browser["read"] = async ({ url, ...request }, files, signal) => {
    if (url === undefined) return await this.#call(signal, (id) => this.#session.read(id, request));
    if (request.ref !== undefined)
      throw new ToolError("invalid_input", "Give a url or a ref of the open page, not both.");
    const session = this.#newSession();
    return await this.#call(signal, (id) => session.readOnce(id, url, request, remoteFiles(files)), session);
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

  stop: Browser["stop"] = async () => await this.#session.stop();

  devTools: Browser["devTools"] = async (request, limits) => {
    try {
      return await unrefused(await this.#session.fetch(withLimits(request, limits)));
    } catch (failure) {
      throw explainInterruption(failure);
    }
  };

  handOff: Browser["handOff"] = async (request, onLink, signal) =>
    await this.#call(signal, (id) => this.#session.handOff(id, request, onLink));

  async #call<T>(
    signal: AbortSignal,
    start: (callId: string) => Promise<Outcome<T>>,
    session: Session = this.#session,
  ): Promise<T> {
    const callId = crypto.randomUUID();
    const cancelled = Promise.withResolvers<void>();
    const onAbort = (): void => cancelled.resolve(session.cancel(callId));
    if (signal.aborted) throw new ToolError("cancelled", "The call was cancelled by the client.");
    signal.addEventListener("abort", onAbort, { once: true });
    try {
      return valueOf(await start(callId));
    } catch (failure) {
      throw explainInterruption(failure);
    } finally {
      signal.removeEventListener("abort", onAbort);
      if (signal.aborted) await cancelled.promise;
    }
  }
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

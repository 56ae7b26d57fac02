import { DurableObject } from "cloudflare:workers";
import type { BrowserWorker } from "@cloudflare/puppeteer";
import { consoleLog, describeFailure } from "../core/log.ts";
import { ToolError } from "../shared/errors.ts";
import type { NetworkPolicy } from "../shared/network-policy.ts";
import { parseSettings } from "../shared/settings.ts";
import type { Account } from "../account/account.ts";
import { orAborted, within } from "./chrome/abort.ts";
import { ActionCall } from "./action/action-call.ts";
import { BrowserTime } from "./browser-time.ts";
import { KEEP_ALIVE_MS } from "./chrome/chrome.ts";
import { DevToolsDoor } from "./devtools/door.ts";
import { evaluate } from "./action/evaluation.ts";
import { fillField } from "./action/fields.ts";
import { type Handoff, type HandoffRequest, handOff } from "./chrome/handoff.ts";
import { type Current, Keeper } from "./chrome/keeper.ts";
import { openPage } from "./action/opening.ts";
import { click, typeKeys } from "./action/operation.ts";
import { type ReadingRequest, readPage } from "./reading/page-reading.ts";
import { takePdf } from "./reading/pdf.ts";
import { takeScreenshot } from "./reading/screenshot.ts";
import type {
  ActionResult,
  BrowserLook,
  ClickRequest,
  DialogAnswer,
  EvaluateRequest,
  Evaluated,
  OpenRequest,
  OpenedPage,
  Outcome,
  PageSnapshot,
  RemoteFiles,
  Screenshot,
  ScreenshotRequest,
  SnapshotRequest,
  TypeRequest,
  WaitRequest,
} from "./session.ts";
import type { FieldValue } from "./action/fields.ts";
import { snapshotOf } from "./snapshot/snapshot-request.ts";
import type { StorageState } from "./chrome/storage-state.ts";
import { exportStorage } from "./chrome/storage-transfer.ts";
import { Turns, busy } from "./turns.ts";
import { waitFor } from "./action/waiting.ts";
import { watched } from "./chrome/watched.ts";

export interface BrowserSessionBindings {
  /** Absent where there is no Chrome. */
  readonly BROWSER?: BrowserWorker;
  readonly ACCOUNT: DurableObjectNamespace<Account>;
}

/** Clients wait for 55 s. */
const CALL_LIMIT_MS = 50_000;
const READ_LIMIT_MS = 15_000;
const PICTURE_LIMIT_MS = 25_000;
const STORAGE_LIMIT_MS = 30_000;
const SHUT_OUT = "You may use no browser from a sandbox any more.";

/** One person's browser of one name: holds its tabs from call to call, and ends it after ten minutes unused. */
export abstract class BrowserSessionObject<
  Env extends BrowserSessionBindings = BrowserSessionBindings,
> extends DurableObject<Env> {
  readonly #policy: NetworkPolicy;
  readonly #keeper: Keeper;
  readonly #time: BrowserTime;
  readonly #turns = new Turns(CALL_LIMIT_MS);
  readonly #door: DevToolsDoor;
  #usedAtMs = 0;

  constructor(state: DurableObjectState, env: Env) {
    super(state, env);
    const settings = parseSettings({ ...env });
    this.#policy = { allowedHosts: settings.ALLOWED_HOSTS, suiteOrigin: settings.PUBLIC_URL };
    const isBilled = settings.SANDBOX_DRIVER === "container";
    this.#time = new BrowserTime(state.storage.kv, env.ACCOUNT, { name: state.id.name, isBilled });
    this.#keeper = new Keeper(state.storage, env.BROWSER, this.#policy, this.#time.spans);
    this.#door = new DevToolsDoor({
      keeper: this.#keeper,
      policy: this.#policy,
      start: async () =>
        await this.#call(crypto.randomUUID(), async (signal) => await this.#keeper.provideChrome(signal)),
      whyOver: async (limits) =>
        (await this.mayConnect(this.#time.person)) ? await this.#time.whyOver(limits) : SHUT_OUT,
    });
  }

  /** Whether that person may drive browsers from their sandboxes by now. Rejects where nobody can say. */
  protected abstract mayConnect(userId: string): Promise<boolean>;

  /** Programs that speak Chrome's own protocol. */
  override async fetch(request: Request): Promise<Response> {
    return await this.#door.fetch(request);
  }

  async open(callId: string, request: OpenRequest, files: RemoteFiles): Promise<Outcome<OpenedPage>> {
    return await this.#call(
      callId,
      async (signal) => await openPage(this.#keeper, this.#policy, request, files, signal),
    );
  }

  async snapshot(callId: string, request: SnapshotRequest): Promise<Outcome<PageSnapshot>> {
    return await this.#look(callId, READ_LIMIT_MS, async (current) => await snapshotOf(current, request));
  }

  async read(callId: string, request: ReadingRequest): Promise<Outcome<OpenedPage>> {
    return await this.#look(callId, READ_LIMIT_MS, async ({ chrome, live }) => {
      const reading = await readPage(live, request);
      return { ...reading, url: live.page.url(), notes: chrome.notes.take() };
    });
  }

  /**
   * Reads a page without anybody's cookies, and ends Chrome, also where the call is given up. Quick actions of the
   * platform would do with less, but know no network policy: they watch over the one page, not its pop-ups and workers.
   */
  async readOnce(
    callId: string,
    url: string,
    request: ReadingRequest,
    files: RemoteFiles,
  ): Promise<Outcome<OpenedPage>> {
    return await this.#call(callId, async (signal) => {
      try {
        const { notes, status } = await openPage(this.#keeper, this.#policy, { url }, files, signal);
        const { live } = await this.#keeper.resume(signal);
        const reading = await orAborted(readPage(live, request), signal);
        return { ...reading, url: live.page.url(), notes, ...(status === undefined ? {} : { status }) };
      } finally {
        await this.#keeper.close();
        // Nobody comes back to it.
        if (await this.#time.settle())
          await Promise.all([this.ctx.storage.deleteAlarm(), this.ctx.storage.deleteAll()]);
      }
    });
  }

  async screenshot(callId: string, request: ScreenshotRequest): Promise<Outcome<Screenshot>> {
    return await this.#look(callId, PICTURE_LIMIT_MS, async ({ chrome, live }) => {
      const picture = request.format === "pdf" ? await takePdf(live) : await takeScreenshot(live, request);
      return { ...picture, url: live.page.url(), notes: [...picture.notes, ...chrome.notes.take()] };
    });
  }

  async click(callId: string, request: ClickRequest, files: RemoteFiles): Promise<Outcome<ActionResult>> {
    return await this.#act(callId, files, async (action) => await click(action, request));
  }

  async type(callId: string, request: TypeRequest, files: RemoteFiles): Promise<Outcome<ActionResult>> {
    return await this.#act(callId, files, async (action) => await typeKeys(action, request));
  }

  async fill(callId: string, fields: readonly FieldValue[], files: RemoteFiles): Promise<Outcome<ActionResult>> {
    return await this.#act(callId, files, async (action) => {
      await action.perform(async (signal) => {
        for (const field of fields) await fillField(action.live, field, files, signal);
      });
    });
  }

  async answer(callId: string, { accept, text }: DialogAnswer, files: RemoteFiles): Promise<Outcome<ActionResult>> {
    return await this.#act(callId, files, async (action) => await action.answer(accept, text));
  }

  async wait(callId: string, request: WaitRequest, files: RemoteFiles): Promise<Outcome<ActionResult>> {
    return await this.#act(callId, files, async (action) => {
      await action.watch(async (current, signal) => void (await waitFor(current, request, signal)));
    });
  }

  async evaluate(callId: string, request: EvaluateRequest, files: RemoteFiles): Promise<Outcome<Evaluated>> {
    let value = "undefined";
    const outcome = await this.#act(callId, files, async (action) => {
      await action.perform(async () => {
        value = await evaluate(action.live, request);
      });
    });
    return outcome.ok ? { ok: true, value: { ...outcome.value, value } } : outcome;
  }

  async handOff(callId: string, request: HandoffRequest, onLink: (link: string) => void): Promise<Outcome<Handoff>> {
    return await this.#call(callId, async (signal) => {
      const current = await this.#keeper.resume(signal);
      const { kv } = this.ctx.storage;
      return await watched(
        current,
        signal,
        async (lostOrAborted) => await handOff(kv, current.live, request, onLink, lostOrAborted),
      );
    });
  }

  async storage(callId: string): Promise<Outcome<StorageState>> {
    return await this.#look(callId, STORAGE_LIMIT_MS, exportStorage);
  }

  async close(callId: string, tab: number | undefined): Promise<Outcome<void>> {
    return await this.#call(callId, async (signal) => {
      if (tab === undefined) {
        await this.#keeper.close();
        return void (await this.#time.settle());
      }
      const chrome = await this.#keeper.attach(signal);
      await orAborted(chrome.tabs.close(tab), signal);
      this.#keeper.store();
    });
  }

  /** How the browser is. Is no use of it, and starts nothing. */
  async look(): Promise<BrowserLook | undefined> {
    return await this.#keeper.look(Date.now());
  }

  /** Ends Chrome with every call that waits for it, whatever it is doing; the next call finds nothing open. */
  async stop(): Promise<void> {
    this.#turns.cancelAll(new ToolError("cancelled", "The browser was closed by its person, or by an admin."));
    await this.#keeper.close();
    await this.#time.settle();
  }

  /** Ends a call that nobody waits for any more. */
  cancel(callId: string): void {
    this.#turns.cancel(callId);
  }

  override async alarm(): Promise<void> {
    await this.#door.lookAfter();
    const usedAtMs = Math.max(this.#usedAtMs, this.#door.usedAtMs, await this.#keeper.usedAtMs());
    const unusedMs = Date.now() - usedAtMs;
    const isUnused = !this.#turns.isBusy && unusedMs >= KEEP_ALIVE_MS;
    if (isUnused) await this.#keeper.end();
    const isSettled = await this.#time.settle();
    if (isUnused && isSettled) return;
    await this.ctx.storage.setAlarm(
      Date.now() + (isUnused ? KEEP_ALIVE_MS : Math.max(1_000, KEEP_ALIVE_MS - unusedMs)),
    );
  }

  /** A call that only looks at the open page. */
  async #look<T>(
    callId: string,
    limitMs: number,
    work: (current: Current, signal: AbortSignal) => Promise<T>,
  ): Promise<Outcome<T>> {
    return await this.#call(callId, async (signal) => {
      const current = await this.#keeper.resume(signal);
      current.live.dialogs.refuseWhileAsking();
      return await watched(current, signal, async (lostOrAborted) => {
        const seen = await orAborted(within(work(current, lostOrAborted), limitMs), lostOrAborted);
        if (seen === undefined) throw busy();
        this.#keeper.store();
        return seen;
      });
    });
  }

  /** A call that does something to the open page, and answers with what came of it. */
  async #act(
    callId: string,
    files: RemoteFiles,
    work: (action: ActionCall) => Promise<void>,
  ): Promise<Outcome<ActionResult>> {
    return await this.#call(callId, async (signal) => {
      const current = await this.#keeper.resume(signal);
      const { chrome, live } = current;
      const result = await watched(current, signal, async (lostOrAborted) => {
        const action = await orAborted(ActionCall.begin(current, files, lostOrAborted), lostOrAborted);
        await orAborted(work(action), lostOrAborted);
        return await orAborted(action.result(), lostOrAborted);
      }).catch(async (failure: unknown) => {
        const other = chrome.tabs.current;
        if (signal.aborted || !live.hasClosed || other === undefined || other === live) throw failure;
        return await orAborted(ActionCall.elsewhere({ chrome, live: other }, files, signal), signal);
      });
      this.#keeper.store();
      return result;
    });
  }

  async #call<T>(callId: string, work: (signal: AbortSignal) => Promise<T>): Promise<Outcome<T>> {
    this.#usedAtMs = Date.now();
    try {
      return { ok: true, value: await this.#turns.take(callId, work) };
    } catch (failure) {
      if (!(failure instanceof ToolError)) throw failure;
      const { code, message, cause } = failure;
      if (code === "timeout") await this.#keeper.probe();
      if (cause !== undefined) consoleLog.info("browser failed", { code, cause: describeFailure(cause) });
      return { ok: false, code, message };
    } finally {
      this.#usedAtMs = Date.now();
    }
  }
}

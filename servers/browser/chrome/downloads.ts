import type { CDPEvents, CDPSession, Frame } from "@cloudflare/puppeteer";
import * as z from "zod";
import { consoleLog, describeFailure } from "../../core/log.ts";
import { orAborted, within } from "./abort.ts";
import { readAll, streamOf } from "./cdp-stream.ts";
import { type ResponseHeaders, fileName, isFile, lengthOf, nameIn, typeOf } from "./download-headers.ts";
import type { Notes } from "./notes.ts";
import { PAGE_KEY } from "./page-script.ts";
import { handleOf } from "./puppeteer-internals.ts";
import type { RemoteFiles } from "../session.ts";

/** What pages may have waiting at once. */
const MAX_WAITING = 10;
/** Of responses together, which are held in memory. */
const MAX_BYTES = 50 * 1024 * 1024;
/** What is slower lands in files with a later call. */
const COME_LIMIT_MS = 20_000;
/** For Chrome to say what it would call a file. */
const NAME_LIMIT_MS = 5_000;

type PausedRequest = CDPEvents["Fetch.requestPaused"];

/** A body that waits to be brought away. */
interface Waiting {
  readonly url: string;
  readonly mimeType: string;
  readonly sizeBytes: number;
  readonly open: () => ReadableStream<Uint8Array>;
  /** Of what is held in memory. */
  readonly heldBytes: number;
  readonly name: string;
}

/** Finds a frame by its id, in whatever tab it is; nothing where that tab shows no page yet. */
export type FrameFinder = (frameId: string) => Frame | undefined;

/**
 * What pages have Chrome download. Chrome's own disk is elsewhere: each body is taken out of its response, and waits
 * until a call brings it to the caller's files.
 */
export class Downloads {
  readonly #control: CDPSession;
  readonly #notes: Notes;
  readonly #findFrame: FrameFinder;
  readonly #waiting = new Set<Waiting>();
  #heldBytes = 0;
  /** Those that Chrome has not named yet. */
  readonly #unnamed = new Set<{ readonly url: string; readonly name: (name: string) => void }>();
  /** Bodies on their way out of their responses. */
  readonly #coming = new Set<Promise<void>>();
  /** Those that a call has waited for in vain. */
  readonly #late = new WeakSet<Promise<void>>();
  /** Requests of links that say `download`, by their ids. */
  readonly #asked = new Map<string, PromiseWithResolvers<void>>();

  private constructor(control: CDPSession, notes: Notes, findFrame: FrameFinder) {
    this.#control = control;
    this.#notes = notes;
    this.#findFrame = findFrame;
  }

  /** `control` is a session of the browser target. From here on Chrome itself keeps no file. */
  static async watch(control: CDPSession, notes: Notes, findFrame: FrameFinder): Promise<Downloads> {
    const downloads = new Downloads(control, notes, findFrame);
    control.on("Browser.downloadWillBegin", (event) => downloads.#onBegin(event));
    await control.send("Browser.setDownloadBehavior", { behavior: "deny", eventsEnabled: true });
    return downloads;
  }

  /** Hears of each request for a document. One that belongs to no navigation of its page is what `download` asks for. */
  readonly onRequest = ({ requestId, networkId, frameId }: PausedRequest): void => {
    if (networkId !== undefined || this.#findFrame(frameId) === undefined) return;
    const asked = Promise.withResolvers<void>();
    this.#asked.set(requestId, asked);
    // Nothing tells of a request that the page gives up.
    this.#follow(within(asked.promise, COME_LIMIT_MS).then(() => void this.#asked.delete(requestId)));
  };

  /** Takes the response to such a request where it is a file, and says whether it does. */
  readonly onResponse = ({
    requestId,
    request,
    responseStatusCode: status = 0,
    responseHeaders: headers = [],
  }: PausedRequest): boolean => {
    const asked = this.#asked.get(requestId);
    const isTaken = isFile(status, headers, asked !== undefined);
    if (isTaken) this.#follow(this.#take(requestId, request.url, status, headers));
    // A redirect is asked for under the same id.
    this.#asked.delete(requestId);
    asked?.resolve();
    return isTaken;
  };

  /** Whether there is one to wait for. */
  get isComing(): boolean {
    return this.#awaited.length > 0;
  }

  /** Whether a file has come, or is coming, that no call has brought away yet. */
  get hasAny(): boolean {
    return this.#waiting.size > 0 || this.#coming.size > 0;
  }

  /** Resolves when everything has come that no call has waited for in vain. */
  async come(): Promise<true> {
    while (this.isComing) await Promise.all(this.#awaited);
    return true;
  }

  /** Brings what has come to the caller's files. What is too large is left, with a note. */
  async deliver(files: RemoteFiles, signal: AbortSignal): Promise<void> {
    if ((await orAborted(within(this.come(), COME_LIMIT_MS), signal)) === undefined) {
      for (const one of this.#coming) this.#late.add(one);
      this.#notes.add("A download is still coming; a later call brings it to files.");
    }
    for (const one of [...this.#waiting]) {
      this.#waiting.delete(one);
      await this.#bring(one, files, signal).finally(() => (this.#heldBytes -= one.heldBytes));
    }
  }

  /** One that is lost on the way is no failure of the call that brings it. */
  async #bring(
    { name, mimeType, url, sizeBytes, open }: Waiting,
    files: RemoteFiles,
    signal: AbortSignal,
  ): Promise<void> {
    try {
      await orAborted(files.keep({ name, mimeType, url, sizeBytes, body: open() }), signal);
    } catch (failure) {
      signal.throwIfAborted();
      consoleLog.info("download lost", { failure: describeFailure(failure) });
      this.#notes.add(LOST);
    }
  }

  get #awaited(): Promise<void>[] {
    return [...this.#coming].filter((one) => !this.#late.has(one));
  }

  async #take(requestId: string, url: string, status: number, headers: ResponseHeaders): Promise<void> {
    const named = Promise.withResolvers<string>();
    const unnamed = { url, name: named.resolve };
    this.#unnamed.add(unnamed);
    let body: readonly Uint8Array[] | undefined;
    try {
      body = this.#hasRoomFor(headers) ? await this.#hold(requestId) : undefined;
      await this.#end(requestId, status, headers);
      // Chrome hands over what was broken off as if it were whole.
      if (body !== undefined && sizeOf(body) < (lengthOf(headers) ?? 0)) throw new Error("The body was broken off.");
    } catch (failure) {
      this.#heldBytes -= sizeOf(body);
      this.#unnamed.delete(unnamed);
      throw failure;
    }
    const name = await within(named.promise, NAME_LIMIT_MS);
    this.#unnamed.delete(unnamed);
    if (body === undefined) {
      return this.#notes.add(TOO_LARGE);
    }
    const chunks = body;
    const sizeBytes = sizeOf(chunks);
    this.#add({
      url,
      name: name ?? nameIn(url),
      mimeType: typeOf(headers),
      sizeBytes,
      heldBytes: sizeBytes,
      open: () => streamOf(chunks.values()),
    });
  }

  /**
   * With its answer the response ends, whether or not all of it has come. Chrome goes on as after any download, and says
   * what it would have called the file. Rejects where the request was given up, and the body broken off with it.
   */
  async #end(requestId: string, status: number, headers: ResponseHeaders): Promise<void> {
    await this.#control.send("Fetch.fulfillRequest", {
      requestId,
      responseCode: status,
      responseHeaders: headers.filter(({ name }) => !/^content-(length|encoding)$/i.test(name)),
      body: "",
    });
  }

  /** As far as its headers say. */
  #hasRoomFor(headers: ResponseHeaders): boolean {
    return this.#heldBytes + (lengthOf(headers) ?? 0) <= MAX_BYTES;
  }

  /** The whole body, in memory; nothing where there is no room for it. */
  async #hold(requestId: string): Promise<readonly Uint8Array[] | undefined> {
    const { stream: handle } = await this.#control.send("Fetch.takeResponseBodyAsStream", { requestId });
    const chunks: Uint8Array<ArrayBuffer>[] = [];
    for await (const chunk of readAll({ session: this.#control, handle })) {
      chunks.push(chunk);
      this.#heldBytes += chunk.byteLength;
      if (this.#heldBytes <= MAX_BYTES) continue;
      this.#heldBytes -= sizeOf(chunks);
      return undefined;
    }
    return chunks;
  }

  #onBegin({ url, suggestedFilename, frameId }: CDPEvents["Browser.downloadWillBegin"]): void {
    const known = [...this.#unnamed].find((one) => one.url === url);
    if (known !== undefined) return known.name(fileName(suggestedFilename));
    const frame = this.#findFrame(frameId);
    if (frame !== undefined && /^(blob|data):/.test(url)) {
      this.#follow(this.#takeFromPage(url, fileName(suggestedFilename), frame));
    }
    // Nothing is done to a page that a program has opened: of what it downloads a response alone can be taken.
    const hasCome = [...this.#waiting].some((one) => one.url === url);
    if (frame === undefined && !hasCome) this.#notes.add(OF_A_PROGRAM);
  }

  /** What the page has made itself never was a response. */
  async #takeFromPage(url: string, name: string, frame: Frame): Promise<void> {
    const { session } = handleOf(frame);
    const { result } = await session.send("Runtime.evaluate", {
      expression: `window[${PAGE_KEY}].blob(${JSON.stringify(url)})`,
      awaitPromise: true,
    });
    if (result.objectId === undefined) throw new Error("The page keeps no such blob.");
    const [{ uuid }, { result: about }] = await Promise.all([
      session.send("IO.resolveBlob", { objectId: result.objectId }),
      session.send("Runtime.callFunctionOn", {
        objectId: result.objectId,
        functionDeclaration: "function () { return [this.size, this.type]; }",
        returnByValue: true,
      }),
    ]);
    const [sizeBytes, type] = aboutSchema.parse(about.value);
    if (sizeBytes > MAX_BYTES) return this.#notes.add(TOO_LARGE);
    const mimeType = typeOf([{ name: "content-type", value: type }]);
    const source = { session, handle: `blob:${uuid}` };
    this.#add({
      url: url.slice(0, MAX_URL_CHARS),
      name,
      mimeType,
      sizeBytes,
      heldBytes: 0,
      open: () => streamOf(readAll(source)),
    });
  }

  #add(one: Waiting): void {
    if (this.#waiting.size < MAX_WAITING) {
      this.#waiting.add(one);
      return;
    }
    this.#notes.add(`A page may have ${MAX_WAITING} downloads waiting; another one was left.`);
    this.#heldBytes -= one.heldBytes;
  }

  #follow(work: Promise<void>): void {
    const coming = work.catch(() => this.#notes.add(LOST));
    this.#coming.add(coming);
    void coming.finally(() => this.#coming.delete(coming));
  }
}

const MAX_URL_CHARS = 200;
/** The page says it, and may lie. */
const aboutSchema = z.tuple([z.int().min(0), z.string()]);
const LOST = "A download was lost; try again.";
const OF_A_PROGRAM = "A download of a program's page was left; have the program read it from the page.";
const TOO_LARGE = `A download of more than ${MAX_BYTES / 1024 / 1024} MB was left; fetch it in the sandbox instead.`;

function sizeOf(chunks: readonly Uint8Array[] = []): number {
  return chunks.reduce((sum, { byteLength }) => sum + byteLength, 0);
}

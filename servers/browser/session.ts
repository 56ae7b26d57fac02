import { type ErrorCode, ToolError } from "../shared/errors.ts";
import type { DayLimits } from "./devtools/crossing.ts";
import type { FieldValue } from "./action/fields.ts";
import type { Handoff, HandoffRequest } from "./chrome/handoff.ts";
import type { ReadingRequest } from "./reading/page-reading.ts";
import type { PointerAction } from "./action/pointer.ts";
import type { StorageState } from "./chrome/storage-state.ts";

/** A caller's browsers, each with its own cookies and tabs that stay open between calls. */
export interface BrowserSessions {
  /** The caller's browser of that name. Costs nothing until a method is called. */
  named(name: string): Browser;
}

/**
 * One browser. Calls take turns. Each rejects with `unavailable` where Chrome or the page is gone, with `timeout`
 * where the page does not answer, with `cancelled` soon after `signal` aborts; the next `open` works again. All but
 * `open` reject with `not_found` where no page was opened, all but `open`, `answer` and `close` with `conflict` while
 * the page asks something.
 */
export interface Browser {
  /**
   * Loads a page, in a new Chrome where there is none; goes through the history; or turns to another tab. Resolves when
   * it has loaded, or after 25 s with what there is. Rejects with `forbidden` where the network policy refuses the URL
   * or a redirect.
   */
  open(request: OpenRequest, files: CallerFiles, signal: AbortSignal): Promise<OpenedPage>;
  snapshot(request: SnapshotRequest, signal: AbortSignal): Promise<PageSnapshot>;
  /** The open page, a part of it, or the page of a URL in a browser of its own, as text. */
  read(request: ReadRequest, files: CallerFiles, signal: AbortSignal): Promise<OpenedPage>;
  /** A picture of at most 1280×5000 pixels and 3.5 MB. */
  screenshot(request: ScreenshotRequest, signal: AbortSignal): Promise<Screenshot>;
  /**
   * Each of these waits for what it sets off. They reject with `not_found` for a ref that is not on the page any more,
   * with `conflict` for what is hidden, disabled or covered.
   */
  click(request: ClickRequest, files: CallerFiles, signal: AbortSignal): Promise<ActionResult>;
  type(request: TypeRequest, files: CallerFiles, signal: AbortSignal): Promise<ActionResult>;
  fill(fields: readonly FieldValue[], files: CallerFiles, signal: AbortSignal): Promise<ActionResult>;
  /** Answers what the page asks. Rejects with `not_found` where it asks nothing. */
  answer(request: DialogAnswer, files: CallerFiles, signal: AbortSignal): Promise<ActionResult>;
  /** Rejects with `timeout` where what is waited for does not come. */
  wait(request: WaitRequest, files: CallerFiles, signal: AbortSignal): Promise<ActionResult>;
  /** The value of a script, as JSON. Rejects with `invalid_input` where the script fails. */
  evaluate(request: EvaluateRequest, files: CallerFiles, signal: AbortSignal): Promise<Evaluated>;
  /**
   * Lets a person take the page over, and waits. `onLink` is given the link to it at once; whoever has it can use the
   * browser. Rejects with `unavailable` where there is no live view.
   */
  handOff(request: HandoffRequest, onLink: (link: string) => void, signal: AbortSignal): Promise<Handoff>;
  /** What the browser keeps for the sites that its tabs have been at; all of it is secret. */
  storage(signal: AbortSignal): Promise<StorageState>;
  /** Ends Chrome, or closes one tab. Where nothing is open nothing is done. */
  close(tab: number | undefined, signal: AbortSignal): Promise<void>;
  /**
   * Answers a program that speaks Chrome's own protocol: `/json/*` and the WebSockets below `/devtools/`, in a new Chrome
   * where there is none. Its sockets are closed when one of the limits is reached.
   */
  devTools(request: Request, limits: DayLimits): Promise<Response>;
  /** Ends Chrome at once, with every call that is under way. Where nothing is open nothing is done. */
  stop(): Promise<void>;
}

/** A browser from outside, for who only wants to know how it is. */
export interface BrowserLook {
  readonly usedAtMs: number;
  readonly tabs: readonly BrowserTab[];
}

export interface BrowserTab {
  readonly number: number;
  /** Chosen by the page: hostile text. Empty where its browser was set aside since it was last used. */
  readonly url: string;
  readonly isCurrent: boolean;
}

/** Exactly one of the first three. */
export interface OpenRequest {
  readonly url?: string;
  readonly go?: "back" | "forward" | "reload";
  /** A new tab where it is not one that is open. */
  readonly tab?: number | "new";
  /** Put into the browser before the URL is loaded, beside what it has. */
  readonly storage?: StorageState;
}

export interface SnapshotRequest {
  readonly maxChars: number;
  /** Only what is in that element. */
  readonly ref?: string;
  /** Only lines with that text or role. */
  readonly find?: string;
  /** Only what changed since the page was last looked at. */
  readonly changes?: boolean;
}

export interface PageSnapshot {
  readonly url: string;
  /** Written by the page, as `content` is: hostile text. One line. */
  readonly title: string;
  /** What happened since the last call, in our words. */
  readonly notes: readonly string[];
  readonly content: string;
  readonly isCut: boolean;
}

export interface OpenedPage extends PageSnapshot {
  /** HTTP status of the document; absent where it did not come over HTTP or only its fragment changed. */
  readonly status?: number;
}

export interface ReadRequest extends ReadingRequest {
  /** Instead of the open page; goes with no ref. */
  readonly url?: string;
}

export interface ActionResult extends OpenedPage {
  /** Whether `content` is another page from its top; else it is what changed, empty where nothing did. */
  readonly isNewPage: boolean;
  readonly hasMoved: boolean;
}

export interface ClickRequest {
  readonly action: PointerAction | "drag";
  readonly at: Place;
  /** Where a drag ends. */
  readonly to?: Place;
}

/** An element, or a place on the last screenshot, in its pixels. */
export type Place = { readonly ref: string } | { readonly x: number; readonly y: number };

export interface TypeRequest {
  /** The text of that element is replaced; without it the text goes to the cursor. */
  readonly ref?: string;
  readonly text?: string;
  /** Pressed after the text: `Enter`, `Control+A`. */
  readonly press?: string;
}

export interface DialogAnswer {
  readonly accept: boolean;
  /** What a prompt is answered with. */
  readonly text?: string;
}

export interface WaitRequest {
  readonly text?: string;
  /** A text that is to go away. */
  readonly gone?: string;
  /** What the URL is to contain. */
  readonly url?: string;
  /** An element that is to be ready for a click. */
  readonly ref?: string;
  /** Whether the page is to have no requests under way, but for those that it makes all the time. */
  readonly isIdle: boolean;
  readonly limitMs: number;
}

export interface EvaluateRequest {
  readonly script: string;
  readonly ref?: string;
}

export interface Evaluated extends ActionResult {
  /** JSON; hostile text. */
  readonly value: string;
}

export interface ScreenshotRequest {
  readonly format: "png" | "jpeg" | "pdf";
  readonly isFullPage: boolean;
  readonly ref?: string;
}

export interface Screenshot {
  readonly url: string;
  readonly base64: string;
  readonly mimeType: "image/png" | "image/jpeg" | "application/pdf";
  /** In pixels; absent of a PDF. */
  readonly width?: number;
  readonly height?: number;
  readonly notes: readonly string[];
}

export interface SourceFile {
  readonly name: string;
  readonly mimeType: string;
  readonly content: Uint8Array;
}

export interface Download {
  /** As the page suggests it: hostile text, one line. */
  readonly name: string;
  readonly mimeType: string;
  readonly url: string;
  readonly body: ReadableStream<Uint8Array>;
  readonly sizeBytes: number;
}

/** What a browser needs of the caller's files while a call runs. */
export interface CallerFiles {
  /** Rejects as the file store does, and with `too_large` above `maxBytes`. */
  readonly read: (path: string, maxBytes: number) => Promise<SourceFile>;
  /** Takes in what the page had Chrome download. */
  readonly keep: (download: Download) => Promise<void>;
}

/** How a call ended, on a way that takes an error's code away. */
export type Outcome<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly code: ErrorCode; readonly message: string };

/** `CallerFiles` as it crosses to the Durable Object. */
export interface RemoteFiles {
  readonly read: (path: string, maxBytes: number) => Promise<Outcome<SourceFile>>;
  readonly keep: (download: Download) => Promise<void>;
}

/** What came of a call across. Throws its failure. */
export function valueOf<T>(outcome: Outcome<T>): T {
  if (outcome.ok) return outcome.value;
  throw new ToolError(outcome.code, outcome.message);
}

import type { CDPEvents, CDPSession } from "@cloudflare/puppeteer";
import { type NetworkPolicy, checkUrl } from "../../shared/network-policy.ts";
import type { Notes } from "./notes.ts";

/** What never leaves Chrome; the last two are its PDF viewer. */
const INSIDE_CHROME =
  /^(data:|blob:|about:|chrome-extension:\/\/mhjfbmdgcfjbbpaeojofohoefgiehjai\/|chrome:\/\/resources\/)/;

/** Hears of what is asked for as a document, and may take what comes for it. */
export interface DocumentListener {
  readonly onRequest: (paused: CDPEvents["Fetch.requestPaused"]) => void;
  /** Says whether it has taken the response. */
  readonly onResponse: (paused: CDPEvents["Fetch.requestPaused"]) => boolean;
}

/**
 * Puts every request of a whole Chrome before the network policy: those of pages, frames, pop-ups and workers of all
 * kinds, and each step of a redirect. It is told nothing of WebSockets and WebRTC, and decides by names: what a name
 * resolves to is the egress proxy's business, or the platform's.
 */
export class NetworkGate {
  readonly #control: CDPSession;
  readonly #policy: NetworkPolicy;
  readonly #notes: Notes;
  documents: DocumentListener | undefined;
  readonly #barred = new Set<string>();
  readonly #blank = new Set<string>();
  #refusal: { readonly frameId: string; readonly reason: string } | undefined;

  private constructor(control: CDPSession, policy: NetworkPolicy, notes: Notes) {
    this.#control = control;
    this.#policy = policy;
    this.#notes = notes;
  }

  /** `control` is a session of the browser target; from here on nothing passes unchecked. */
  static async guard(control: CDPSession, policy: NetworkPolicy, notes: Notes): Promise<NetworkGate> {
    const gate = new NetworkGate(control, policy, notes);
    control.on("Fetch.requestPaused", (paused) => {
      const { requestId, request, resourceType, frameId, responseStatusCode, responseErrorReason } = paused;
      const isAnswered = responseStatusCode !== undefined || responseErrorReason !== undefined;
      if (isAnswered) {
        if (gate.documents?.onResponse(paused) !== true) gate.#pass(requestId);
        return;
      }
      const isAllowed = gate.#decide(requestId, request.url, resourceType === "Document" ? frameId : undefined);
      if (isAllowed && resourceType === "Document") gate.documents?.onRequest(paused);
    });
    await control.send("Fetch.enable", {
      patterns: [
        { urlPattern: "*", requestStage: "Request" },
        { urlPattern: "*", requestStage: "Response", resourceType: "Document" },
      ],
    });
    return gate;
  }

  /** Lets no document into that page. */
  bar(targetId: string): void {
    this.#barred.add(targetId);
  }

  admit(targetId: string): void {
    this.#barred.delete(targetId);
  }

  /** Answers for any site, in that page, with a document that has nothing on it: no request of it leaves Chrome. */
  blank(targetId: string): void {
    this.#blank.add(targetId);
  }

  unblank(targetId: string): void {
    this.#blank.delete(targetId);
  }

  /** Why the document that was last refused to that frame was; asked once. */
  takeRefusal(frameId: string): string | undefined {
    const refusal = this.#refusal;
    this.#refusal = undefined;
    return refusal?.frameId === frameId ? refusal.reason : undefined;
  }

  #decide(requestId: string, url: string, documentFrameId: string | undefined): boolean {
    if (documentFrameId !== undefined && this.#barred.has(documentFrameId)) {
      this.#fail(requestId);
      return false;
    }
    if (documentFrameId !== undefined && this.#blank.has(documentFrameId)) {
      this.#answerBlank(requestId);
      return false;
    }
    const verdict = INSIDE_CHROME.test(url) ? ({ allowed: true } as const) : checkUrl(url, this.#policy);
    if (verdict.allowed) {
      this.#pass(requestId);
      return true;
    }
    this.#fail(requestId);
    if (documentFrameId !== undefined) this.#refusal = { frameId: documentFrameId, reason: verdict.reason };
    // Every page asks for one, and none is the worse for it.
    if (!URL.canParse(url) || new URL(url).pathname !== "/favicon.ico") {
      // The page chose the address: none of its words belongs among ours.
      this.#notes.add("The network policy refused a request of the page.");
    }
    return false;
  }

  #pass(requestId: string): void {
    // The request may have been given up meanwhile.
    this.#control.send("Fetch.continueRequest", { requestId }).catch(() => undefined);
  }

  #answerBlank(requestId: string): void {
    const responseHeaders = [{ name: "Content-Type", value: "text/html" }];
    const body = btoa(`<link rel="icon" href="data:,">`);
    this.#control
      .send("Fetch.fulfillRequest", { requestId, responseCode: 200, responseHeaders, body })
      .catch(() => undefined);
  }

  #fail(requestId: string): void {
    this.#control.send("Fetch.failRequest", { requestId, errorReason: "BlockedByClient" }).catch(() => undefined);
  }
}

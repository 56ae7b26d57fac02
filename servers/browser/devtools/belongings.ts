import * as z from "zod";
import { ToolError } from "../../shared/errors.ts";
import type { Chrome } from "../chrome/chrome.ts";
import type { Params } from "./command-filter.ts";

const MAX_CONTEXTS = 20;

const targetSchema = z.object({ targetId: z.string() });
const infoSchema = z.object({ targetInfo: targetSchema });
const infosSchema = z.object({ targetInfos: z.array(z.looseObject({ targetId: z.string() })) });
const contextSchema = z.object({ browserContextId: z.string() });
const handleSchema = z.object({ handle: z.string() });
const streamSchema = z.object({ stream: z.string() });
const uuidSchema = z.object({ uuid: z.string() });

/** A command that Chrome has not answered yet. */
export interface Waiting {
  /** Comes first when the result is there; what it returns is the result that the client sees. */
  readonly onResult?: (result: unknown) => unknown;
  /** Is called once, when the answer is there or none will come. */
  readonly onEnd?: () => void;
}

/** What one client has in Chrome, and what of its commands is about what it has not. */
export class Belongings {
  readonly #chrome: Chrome;
  readonly #contexts = new Set<string>();
  #awaitedContexts = 0;
  readonly #opened = new Set<string>();
  /** Each with the session that reads it: handles are numbers, and may be those of our own downloads. */
  readonly #streams = new Set<string>();

  constructor(chrome: Chrome) {
    this.#chrome = chrome;
  }

  /** Pages that the client has opened, which may be closed by now. */
  get opened(): readonly string[] {
    return [...this.#opened];
  }

  /** What goes with a command; or why it is refused, in one sentence. */
  prepare(method: string, params: Params, sessionId: string): Waiting | string {
    switch (method) {
      case "Target.createTarget":
        return this.#expectTab();
      case "Target.createBrowserContext":
        return this.#expectContext();
      case "Target.disposeBrowserContext": {
        const id = contextSchema.safeParse(params).data?.browserContextId ?? "";
        return this.#contexts.delete(id) ? {} : "Failed to find context with that id.";
      }
      case "Target.activateTarget":
      case "Target.attachToTarget":
      case "Target.autoAttachRelated":
      case "Target.closeTarget":
      case "Target.getTargetInfo":
        return this.isHidden(targetSchema.safeParse(params).data?.targetId) ? "No target with given id found." : {};
      case "Target.getTargets":
        return { onResult: (result) => this.#withoutHidden(result) };
      case "IO.close":
      case "IO.read": {
        const handle = handleSchema.safeParse(params).data?.handle ?? "";
        return this.#streams.has(`${sessionId}/${handle}`) ? {} : "Invalid stream handle.";
      }
      case "IO.resolveBlob":
        return { onResult: (result) => this.#keepStream(sessionId, `blob:${uuidSchema.parse(result).uuid}`, result) };
      case "Page.printToPDF":
      case "Fetch.takeResponseBodyAsStream":
        return {
          onResult: (result) => this.#keepStream(sessionId, streamSchema.safeParse(result).data?.stream, result),
        };
      default:
        return {};
    }
  }

  /** Whether the client hears of an event: of nothing that is about a page of ours beside all tabs. */
  mayHear(method: string, params: unknown, sessionId: string): boolean {
    if (method === "Tracing.tracingComplete") {
      this.#keepStream(sessionId, streamSchema.safeParse(params).data?.stream, undefined);
    }
    if (!method.startsWith("Target.")) return true;
    const about = infoSchema.safeParse(params).data?.targetInfo ?? targetSchema.safeParse(params).data;
    return !this.isHidden(about?.targetId);
  }

  isHidden(targetId: string | undefined): boolean {
    return targetId !== undefined && this.#chrome.tabs.isAside(targetId);
  }

  #expectContext(): Waiting | string {
    if (this.#contexts.size + this.#awaitedContexts >= MAX_CONTEXTS) {
      return `A client may have ${MAX_CONTEXTS} contexts; close one.`;
    }
    this.#awaitedContexts += 1;
    return {
      onEnd: () => void (this.#awaitedContexts -= 1),
      onResult: async (result) => await this.#keepContext(result),
    };
  }

  #expectTab(): Waiting | string {
    try {
      const onEnd = this.#chrome.tabs.expectGuest();
      const onResult = (result: unknown): unknown => {
        this.#opened.add(targetSchema.parse(result).targetId);
        return result;
      };
      return { onEnd, onResult };
    } catch (failure) {
      if (failure instanceof ToolError) return failure.message;
      throw failure;
    }
  }

  /** What Chrome is told of downloads holds for the one context that it is told of. */
  async #keepContext(result: unknown): Promise<unknown> {
    const { browserContextId } = contextSchema.parse(result);
    this.#contexts.add(browserContextId);
    const denied = { behavior: "deny", browserContextId, eventsEnabled: true } as const;
    await this.#chrome.control.send("Browser.setDownloadBehavior", denied);
    return result;
  }

  #keepStream(sessionId: string, handle: string | undefined, result: unknown): unknown {
    if (handle !== undefined) this.#streams.add(`${sessionId}/${handle}`);
    return result;
  }

  #withoutHidden(result: unknown): unknown {
    const { targetInfos } = infosSchema.parse(result);
    return { targetInfos: targetInfos.filter(({ targetId }) => !this.isHidden(targetId)) };
  }
}

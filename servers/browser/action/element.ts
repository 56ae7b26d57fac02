import type { CDPSession, Frame } from "@cloudflare/puppeteer";
import * as z from "zod";
import { ToolError } from "../../shared/errors.ts";
import { DESCRIBE_FIELD, FIND_BOX, FIND_COVER, FIND_POINT, LEAVE_FRAME } from "./element-scripts.ts";
import type { LivePage } from "../chrome/live-page.ts";
import { documentIdOf, handleOf, ownWorld } from "../chrome/puppeteer-internals.ts";
import { formatRef, parseRef } from "../snapshot/ref.ts";

/** How long an element may take to become ready: to stop moving, to be enabled, to be uncovered. */
const READY_LIMIT_MS = 2_000;
const READY_CHECK_MS = 50;

export interface Point {
  readonly x: number;
  readonly y: number;
}

const pointSchema = z.object({
  state: z.enum(["ready", "hidden", "disabled", "moving", "covered", "gone"]),
  x: z.number().default(0),
  y: z.number().default(0),
});
type Found = z.output<typeof pointSchema> & { readonly cover?: string };

const boxSchema = pointSchema.extend({ width: z.number().default(0), height: z.number().default(0) });

const fieldSchema = z.object({
  kind: z.enum(["text", "check", "choice", "value", "file", "none", "gone"]),
  isDisabled: z.boolean().default(false),
  isOn: z.boolean().default(false),
  isRadio: z.boolean().default(false),
  isFull: z.boolean().default(false),
});
export type Field = z.output<typeof fieldSchema>;

/** An element of the page, by its ref: taken hold of in a world that the page's scripts do not share. */
export class PageElement {
  readonly ref: string;
  readonly frame: Frame;
  readonly session: CDPSession;
  readonly objectId: string;
  readonly #live: LivePage;

  private constructor(live: LivePage, ref: string, frame: Frame, objectId: string) {
    this.#live = live;
    this.ref = ref;
    this.frame = frame;
    this.session = handleOf(frame).session;
    this.objectId = objectId;
  }

  /** Rejects with `not_found` where the element is not on the page any more. */
  static async find(live: LivePage, text: string): Promise<PageElement> {
    const { ref, frame, backendNodeId } = await resolveRef(live, text);
    const objectId = await take(frame, backendNodeId);
    if (objectId === undefined) throw stale(ref);
    return new PageElement(live, ref, frame, objectId);
  }

  /** Calls a function of `this`; what it returns has to pass the schema. */
  async call<T>(script: string, args: readonly unknown[], schema: z.ZodType<T>): Promise<T> {
    return schema.parse(await callOn(this.session, this.objectId, script, args));
  }

  /** The element as the page's own scripts have it. */
  async inPageWorld(): Promise<string> {
    const { node } = await this.session.send("DOM.describeNode", { objectId: this.objectId });
    const { object } = await this.session.send("DOM.resolveNode", { backendNodeId: node.backendNodeId });
    if (object.objectId === undefined) throw stale(this.ref);
    return object.objectId;
  }

  /** What can be filled in here. Rejects with `not_found` where it is gone, with `conflict` where it is disabled. */
  async field(): Promise<Field> {
    const field = await this.call(DESCRIBE_FIELD, [], fieldSchema);
    if (field.kind === "gone") throw stale(this.ref);
    if (field.isDisabled)
      throw new ToolError(
        "conflict",
        `${this.ref} is disabled or read-only; see what it waits for with browser_snapshot.`,
      );
    return field;
  }

  /**
   * Where to press it, in the window's coordinates; it is scrolled into view. Waits a moment for what moves, is
   * disabled or covered, then rejects with `conflict` and says what is in the way.
   */
  async point(signal: AbortSignal, mayBeDisabled = false): Promise<Point> {
    const endsAtMs = Date.now() + READY_LIMIT_MS;
    for (;;) {
      const found = await this.#look(mayBeDisabled);
      if (found.state === "ready") return { x: found.x, y: found.y };
      if (found.state === "gone") throw stale(this.ref);
      signal.throwIfAborted();
      if (Date.now() > endsAtMs) throw notReady(this.ref, found);
      await scheduler.wait(READY_CHECK_MS);
    }
  }

  /** Where it is on the whole page, for a picture of it; it is scrolled into view. Rejects with `conflict` where it is hidden. */
  async area(): Promise<{
    readonly x: number;
    readonly y: number;
    readonly width: number;
    readonly height: number;
    readonly isOfPage: true;
  }> {
    const box = await this.call(FIND_BOX, [], boxSchema);
    if (box.state === "gone") throw stale(this.ref);
    const corner =
      box.state === "ready" ? await this.#leaveFrames(this.frame, { state: "ready", x: box.x, y: box.y }) : box;
    if (box.state !== "ready") throw notReady(this.ref, box);
    const { cssVisualViewport } = await this.#live.session.send("Page.getLayoutMetrics");
    return {
      x: corner.x + cssVisualViewport.pageX,
      y: corner.y + cssVisualViewport.pageY,
      width: Math.ceil(box.width),
      height: Math.ceil(box.height),
      isOfPage: true,
    };
  }

  async #look(mayBeDisabled: boolean): Promise<Found> {
    const found = await this.call(FIND_POINT, [mayBeDisabled], pointSchema);
    if (found.state === "covered") return { ...found, ...(await this.#cover(this.frame, this.objectId, found)) };
    if (found.state !== "ready") return found;
    return await this.#leaveFrames(this.frame, found);
  }

  /** From frame to frame up to the page, as long as nothing covers the point. */
  async #leaveFrames(frame: Frame, found: Found): Promise<Found> {
    const parent = frame.parentFrame();
    if (parent === null) return found;
    const { session } = handleOf(parent);
    const { backendNodeId } = await session.send("DOM.getFrameOwner", { frameId: handleOf(frame).id });
    const owner = await take(parent, backendNodeId);
    if (owner === undefined) return { state: "gone", x: 0, y: 0 };
    const outer = pointSchema.parse(await callOn(session, owner, LEAVE_FRAME, [found.x, found.y]));
    if (outer.state === "covered") return { ...outer, ...(await this.#cover(parent, owner, outer)) };
    return await this.#leaveFrames(parent, outer);
  }

  /** The ref of what lies over it. */
  async #cover(frame: Frame, objectId: string, { x, y }: Point): Promise<{ readonly cover?: string }> {
    const { session, id } = handleOf(frame);
    const { result } = await session.send("Runtime.callFunctionOn", {
      objectId,
      functionDeclaration: FIND_COVER,
      arguments: [{ value: x }, { value: y }],
    });
    if (result.objectId === undefined) return {};
    const { node } = await session.send("DOM.describeNode", { objectId: result.objectId });
    return { cover: this.#live.refs.refOf(id, await documentIdOf(frame), node.backendNodeId) };
  }
}

/** The frame that a ref is in, without asking whether the element is there. */
export function frameOf(live: LivePage, ref: string): Frame | undefined {
  const { frameNumber, number } = parseRef(ref);
  const target = live.refs.find(frameNumber, number);
  return target === undefined ? undefined : live.frame(target.frameId);
}

/** Where the element of a ref is to be found. Rejects with `not_found` where its document, or its frame, is gone. */
export async function resolveRef(
  live: Pick<LivePage, "refs" | "frame">,
  text: string,
): Promise<{ readonly ref: string; readonly frame: Frame; readonly backendNodeId: number }> {
  const parsed = parseRef(text);
  const ref = formatRef(parsed);
  const target = live.refs.find(parsed.frameNumber, parsed.number);
  const frame = target === undefined ? undefined : live.frame(target.frameId);
  if (target === undefined || frame === undefined || (await documentIdOf(frame)) !== target.documentId)
    throw stale(ref);
  return { ref, frame, backendNodeId: target.backendNodeId };
}

export function stale(ref: string): ToolError {
  return new ToolError("not_found", `${ref} is not on the page any more; call browser_snapshot for fresh refs.`);
}

function notReady(ref: string, { state, cover }: Found): ToolError {
  const over = cover === undefined ? "something" : cover;
  const reasons = {
    hidden: `${ref} is hidden; see with browser_snapshot what shows it.`,
    disabled: `${ref} is disabled; see with browser_snapshot what it waits for.`,
    moving: `${ref} does not stop moving; click a place by x and y, from a browser_screenshot.`,
    covered: `${ref} is covered by ${over}; deal with that first (browser_snapshot {"ref": "${over}"} shows it), or click by x and y.`,
  };
  return new ToolError(
    "conflict",
    state === "ready" || state === "gone" ? `${ref} is not ready; try again.` : reasons[state],
  );
}

/** The node as an object of our world; nothing where there is no such node. */
async function take(frame: Frame, backendNodeId: number): Promise<string | undefined> {
  const { id, session } = handleOf(frame);
  const executionContextId = await ownWorld(session, id);
  const resolved = await session.send("DOM.resolveNode", { backendNodeId, executionContextId }).catch(() => undefined);
  return resolved?.object.objectId;
}

async function callOn(
  session: CDPSession,
  objectId: string,
  script: string,
  args: readonly unknown[],
): Promise<unknown> {
  const { result, exceptionDetails } = await session.send("Runtime.callFunctionOn", {
    objectId,
    functionDeclaration: script,
    arguments: args.map((value) => ({ value })),
    returnByValue: true,
    awaitPromise: true,
  });
  if (exceptionDetails !== undefined)
    throw new Error(`A script of ours failed: ${exceptionDetails.exception?.description ?? exceptionDetails.text}`);
  return result.value;
}

import type { CDPSession, Frame, Page } from "@cloudflare/puppeteer";
import * as z from "zod";
import { ToolError } from "../../shared/errors.ts";
import {
  type AccessibilityNode,
  type FrameTree,
  childrenOf,
  nameOf,
  propertyOf,
  roleOf,
} from "./accessibility-node.ts";
import { readPointables } from "./pointables.ts";
import { documentIdOf, handleOf, hasContext } from "../chrome/puppeteer-internals.ts";
import type { RefBook } from "./ref-book.ts";

/**
 * Above either, a frame is read from the top as far as needed. CDP's messages end at 32 MiB, which a table of 5,000
 * rows comes up to; a larger one breaks the connection.
 */
const MAX_NODES_AT_ONCE = 30_000;
const MAX_TEXT_AT_ONCE = 1_000_000;
/** Nothing is read of a frame with more: Chrome may answer for one node with all the rows of its table. */
const MAX_TEXT = 4_000_000;
const MAX_ELEMENTS = 60_000;
const MAX_FRAMES = 40;
const sizeSchema = z.tuple([z.number(), z.number()]).catch([0, 0]);
const BATCH = 64;
const SMALL: ReadonlySet<string> = new Set([
  "row",
  "paragraph",
  "heading",
  "listitem",
  "link",
  "button",
  "cell",
  "gridcell",
]);
/** Of a control: its ref, its role and, often, a URL. */
const CONTROL_CHARS = 25;

/** How a large frame is read; a huge one holds more than Chrome can be asked for at once, whatever is asked for. */
export type ReadLarge = (session: CDPSession, frameId: string, isHuge: boolean) => Promise<ReadNodes>;
export type ReadNodes = Pick<FrameTree, "root" | "nodes" | "isWhole">;

/**
 * Reads the page with its frames, those of other processes too; shadow trees are part of it, closed ones as well.
 * Of a large frame only the top is read, enough to fill `maxChars` of text.
 */
export async function readAccessibility(page: Page, book: RefBook, maxChars: number): Promise<FrameTree> {
  return await readFrames(page.mainFrame(), book, topReader(maxChars));
}

/**
 * Reads the frame that an element is in, and the frames in that: what `renderPart` needs. Of a large frame it reads the
 * top of what is below the element, by Chrome's id of its node.
 */
export async function readPart(
  frame: Frame,
  book: RefBook,
  backendNodeId: number,
  maxChars: number,
): Promise<FrameTree> {
  const { id } = handleOf(frame);
  const readTop = topReader(maxChars);
  const readBelow = topReader(maxChars, backendNodeId);
  return await readFrames(
    frame,
    book,
    async (session, frameId, isHuge) => await (frameId === id ? readBelow : readTop)(session, frameId, isHuge),
  );
}

/** Reads a frame and those in it that are shown, and takes note of their nodes. */
export async function readFrames(top: Frame, book: RefBook, readLarge: ReadLarge): Promise<FrameTree> {
  let framesLeft = MAX_FRAMES;
  const pointables = new Map<CDPSession, Promise<ReadonlySet<number>>>();
  const pointablesIn = (session: CDPSession): Promise<ReadonlySet<number>> => {
    const read = pointables.get(session) ?? readPointables(session);
    pointables.set(session, read);
    return read;
  };
  const readFrame = async (frame: Frame): Promise<FrameTree> => {
    const { id, session } = handleOf(frame);
    book.numberOf(id);
    const [documentId, size] = await Promise.all([documentIdOf(frame), sizeOf(frame, session)]);
    const children = frame.childFrames().slice(0, framesLeft);
    framesLeft -= children.length;
    const [{ root, nodes, isWhole }, owners] = await Promise.all([
      size === "small" ? readAll(session, id, pointablesIn(session)) : readLarge(session, id, size === "huge"),
      Promise.all(children.map(async (child) => await ownerOf(session, child))),
    ]);
    const shown = new Set([...nodes.values()].map(({ backendDOMNodeId }) => backendDOMNodeId));
    const entries = await Promise.all(
      children.map(async (child, index): Promise<[number, FrameTree] | undefined> => {
        const owner = owners[index];
        if (owner === undefined || !shown.has(owner)) return undefined;
        // A frame that goes away or hangs while it is read is left out; the page is not lost with it.
        const tree = hasContext(child) ? await readFrame(child).catch(() => undefined) : undefined;
        return tree === undefined ? undefined : [owner, tree];
      }),
    );
    const frames = new Map(entries.filter((entry) => entry !== undefined));
    const refs = book.note(id, documentId, idsOf(nodes));
    return { refs, url: frame.url(), root, nodes, frames, isWhole };
  };
  return await readFrame(top);
}

async function sizeOf(frame: Frame, session: CDPSession): Promise<"small" | "large" | "huge"> {
  const [{ nodes }, counted] = await Promise.all([
    session.send("Memory.getDOMCounters"),
    // The page may tell lies here, and harms only itself.
    frame
      .evaluate(`[document.documentElement.textContent.length, document.getElementsByTagName("*").length]`)
      .catch(() => undefined),
  ]);
  const [chars, elements] = sizeSchema.parse(counted);
  if (chars > MAX_TEXT || elements > MAX_ELEMENTS) return "huge";
  return nodes > MAX_NODES_AT_ONCE || chars > MAX_TEXT_AT_ONCE ? "large" : "small";
}

async function readAll(
  session: CDPSession,
  frameId: string,
  reading: Promise<ReadonlySet<number>>,
): Promise<ReadNodes> {
  const [read, pointables] = await Promise.all([session.send("Accessibility.getFullAXTree", { frameId }), reading]);
  const nodes = read.nodes.map((node) =>
    pointables.has(node.backendDOMNodeId ?? 0) ? ({ ...node, isPointable: true } as const) : node,
  );
  return { root: nodes.find(({ parentId }) => parentId === undefined), nodes: byId(nodes), isWhole: true };
}

/** Reads from the top of the page, or of what is below a node; rejects with `too_large` where that cannot be done. */
function topReader(maxChars: number, startId?: number): ReadLarge {
  return async (session, frameId, isHuge) => {
    if (!isHuge) return await readTop(session, frameId, maxChars, startId);
    throw new ToolError(
      "too_large",
      "The page is too large to be read; take a browser_screenshot, or open another page.",
    );
  };
}

/** Unfolds the tree in document order, many nodes at a time, until there is text enough. */
async function readTop(session: CDPSession, frameId: string, maxChars: number, startId?: number): Promise<ReadNodes> {
  await session.send("Accessibility.enable");
  try {
    const { node: root } = await session.send("Accessibility.getRootAXNode", { frameId });
    const start = startId === undefined ? root : await nodeOf(session, startId);
    let folded: readonly AccessibilityNode[] = start === undefined ? [] : [start];
    const nodes = byId([root, ...folded]);
    let chars = 0;
    while (folded.length > 0 && chars < maxChars) {
      const batch = folded.slice(0, BATCH);
      const unfolded = await Promise.all(batch.map(async (node) => await unfold(session, frameId, node)));
      for (const found of unfolded.flat()) {
        if (!nodes.has(found.nodeId)) chars += charsOf(found);
        nodes.set(found.nodeId, found);
      }
      folded = [...batch.flatMap((node) => foldedIn(node, nodes)), ...folded.slice(BATCH)];
    }
    return { root, nodes, isWhole: folded.length === 0 };
  } finally {
    await session.send("Accessibility.disable");
  }
}

/** Nothing where there is no such node, or scripts alone keep it: such a one belongs to nothing. */
async function nodeOf(session: CDPSession, backendNodeId: number): Promise<AccessibilityNode | undefined> {
  const found = await session
    .send("Accessibility.getPartialAXTree", { backendNodeId, fetchRelatives: false })
    .catch(() => undefined);
  const node = found?.nodes[0];
  return node?.ignored === true && node.parentId === undefined ? undefined : node;
}

/** All that is in a node which is usually small, and the children of any other. */
async function unfold(
  session: CDPSession,
  frameId: string,
  node: AccessibilityNode,
): Promise<readonly AccessibilityNode[]> {
  if (SMALL.has(roleOf(node)) && node.backendDOMNodeId !== undefined) {
    return (await session.send("Accessibility.queryAXTree", { backendNodeId: node.backendDOMNodeId })).nodes;
  }
  return (await session.send("Accessibility.getChildAXNodes", { id: node.nodeId, frameId })).nodes;
}

/** What is below a node and has children that were not read. Lines within a text say nothing new. */
function foldedIn(node: AccessibilityNode, nodes: FrameTree["nodes"]): AccessibilityNode[] {
  return childrenOf(node, nodes).flatMap((child) => {
    if ((child.childIds ?? []).length === 0 || roleOf(child) === "StaticText") return [];
    return childrenOf(child, nodes).length === 0 ? [child] : foldedIn(child, nodes);
  });
}

/** About as much as the node adds to a snapshot. */
function charsOf(node: AccessibilityNode): number {
  if (roleOf(node) === "StaticText") return nameOf(node).length;
  return propertyOf(node, "focusable") === true ? CONTROL_CHARS : 0;
}

async function ownerOf(parent: CDPSession, child: Frame): Promise<number | undefined> {
  const owner = await parent.send("DOM.getFrameOwner", { frameId: handleOf(child).id }).catch(() => undefined);
  return owner?.backendNodeId;
}

function* idsOf(nodes: FrameTree["nodes"]): Generator<number, undefined> {
  for (const { backendDOMNodeId } of nodes.values()) if (backendDOMNodeId !== undefined) yield backendDOMNodeId;
}

function byId(nodes: readonly AccessibilityNode[]): Map<string, AccessibilityNode> {
  return new Map(nodes.map((node) => [node.nodeId, node]));
}

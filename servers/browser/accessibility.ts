import type { CDPSession, Frame, Page } from "@cloudflare/puppeteer";
import { handleOf } from "./puppeteer-internals.ts";

/** One node of Chrome's accessibility tree, as CDP's `Accessibility.AXNode` gives it. */
export interface AccessibilityNode {
  readonly nodeId: string;
  readonly ignored: boolean;
  readonly role?: { readonly value?: unknown };
  readonly name?: { readonly value?: unknown };
  readonly value?: { readonly value?: unknown };
  readonly properties?: readonly { readonly name: string; readonly value: { readonly value?: unknown } }[];
  readonly parentId?: string;
  readonly childIds?: readonly string[];
  readonly backendDOMNodeId?: number;
}

/** What one frame shows. Nodes that `childIds` names and `nodes` lacks were not read. */
export interface FrameTree {
  /** 0 for the page itself; others keep their number as long as they live. */
  readonly frameNumber: number;
  readonly url: string;
  readonly root: AccessibilityNode | undefined;
  readonly nodes: ReadonlyMap<string, AccessibilityNode>;
  /** Frames in it, by the DOM node of their `<iframe>`. */
  readonly frames: ReadonlyMap<number, FrameTree>;
  readonly isWhole: boolean;
}

/** Above this many DOM nodes a frame is read from the top as far as needed: 240,000 of them make a 33 MB answer. */
const MAX_NODES_AT_ONCE = 30_000;
const MAX_FRAMES = 40;
const BATCH = 64;

/**
 * Reads the page with its frames, those of other processes too; shadow trees are part of it, closed ones as well.
 * Of a large frame only the top is read, enough to fill `maxChars` of text.
 */
export async function readAccessibility(
  page: Page,
  numberOf: (frameId: string) => number,
  maxChars: number,
): Promise<FrameTree> {
  let framesLeft = MAX_FRAMES;
  const readFrame = async (frame: Frame, frameNumber: number): Promise<FrameTree> => {
    const { id, session } = handleOf(frame);
    const { nodes: domNodes } = await session.send("Memory.getDOMCounters");
    const children = frame.childFrames().slice(0, framesLeft);
    framesLeft -= children.length;
    const [{ root, nodes, isWhole }, owners] = await Promise.all([
      domNodes > MAX_NODES_AT_ONCE ? readTop(session, id, maxChars) : readAll(session, id),
      Promise.all(children.map(async (child) => await ownerOf(session, child))),
    ]);
    const shown = new Set([...nodes.values()].map(({ backendDOMNodeId }) => backendDOMNodeId));
    const entries = await Promise.all(
      children.map(async (child, index): Promise<[number, FrameTree] | undefined> => {
        const owner = owners[index];
        if (owner === undefined || !shown.has(owner)) return undefined;
        // A frame that goes away or hangs while it is read is left out; the page is not lost with it.
        const tree = await readFrame(child, numberOf(handleOf(child).id)).catch(() => undefined);
        return tree === undefined ? undefined : [owner, tree];
      }),
    );
    const frames = new Map(entries.filter((entry) => entry !== undefined));
    return { frameNumber, url: frame.url(), root, nodes, frames, isWhole };
  };
  return await readFrame(page.mainFrame(), 0);
}

type ReadNodes = Pick<FrameTree, "root" | "nodes" | "isWhole">;

async function readAll(session: CDPSession, frameId: string): Promise<ReadNodes> {
  const { nodes } = await session.send("Accessibility.getFullAXTree", { frameId });
  return { root: nodes.find(({ parentId }) => parentId === undefined), nodes: byId(nodes), isWhole: true };
}

/** Unfolds the tree from its top in document order, many nodes at a time, until there is text enough. */
async function readTop(session: CDPSession, frameId: string, maxChars: number): Promise<ReadNodes> {
  await session.send("Accessibility.enable");
  try {
    const { node: root } = await session.send("Accessibility.getRootAXNode", { frameId });
    const nodes = new Map<string, AccessibilityNode>([[root.nodeId, root]]);
    let folded: readonly AccessibilityNode[] = [root];
    let chars = 0;
    while (folded.length > 0 && chars < maxChars) {
      const batch = folded.slice(0, BATCH);
      const unfolded = await Promise.all(
        batch.map(async (node) => (await session.send("Accessibility.getChildAXNodes", { id: node.nodeId, frameId })).nodes),
      );
      for (const child of unfolded.flat()) {
        if (!nodes.has(child.nodeId)) chars += child.role?.value === "StaticText" ? String(child.name?.value).length : 0;
        nodes.set(child.nodeId, child);
      }
      const next = batch.flatMap((node) => childrenOf(node, nodes)).filter(canUnfold);
      folded = [...next, ...folded.slice(BATCH)];
    }
    return { root, nodes, isWhole: folded.length === 0 };
  } finally {
    await session.send("Accessibility.disable");
  }
}

/** Lines within a text say nothing new. */
function canUnfold(node: AccessibilityNode): boolean {
  return (node.childIds ?? []).length > 0 && node.role?.value !== "StaticText";
}

/** The children of a node that were read. */
export function childrenOf(node: AccessibilityNode, nodes: FrameTree["nodes"]): AccessibilityNode[] {
  return (node.childIds ?? []).map((id) => nodes.get(id)).filter((child) => child !== undefined);
}

async function ownerOf(parent: CDPSession, child: Frame): Promise<number | undefined> {
  const owner = await parent.send("DOM.getFrameOwner", { frameId: handleOf(child).id }).catch(() => undefined);
  return owner?.backendNodeId;
}

function byId(nodes: readonly AccessibilityNode[]): Map<string, AccessibilityNode> {
  return new Map(nodes.map((node) => [node.nodeId, node]));
}

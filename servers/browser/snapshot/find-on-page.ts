import type { CDPSession, Page } from "@cloudflare/puppeteer";
import type { AccessibilityNode } from "./accessibility-node.ts";
import { type ReadNodes, readFrames } from "./accessibility.ts";
import { renderPage } from "./snapshot.ts";
import { type Candidate, OBJECT_GROUP, findCandidates } from "./find-candidates.ts";
import { hitsIn } from "./find-hits.ts";
import { type Query, parseQuery } from "./find-query.ts";
import type { RefBook } from "./ref-book.ts";

/** Of what `readFrames` reads at once, in the frames of a page together. */
const MAX_CHARS = 5_000_000;

export interface Found {
  /** At most twenty lines of the page, with refs, each below the heading or region that it is in. */
  readonly text: string;
  readonly notes: readonly string[];
}

/**
 * Finds a text, a role, or both (`button "Pay"`) in the lines that a snapshot of the whole page would have. A page too
 * large for one is searched where it is; closed shadow trees are left out there.
 */
export async function findOnPage(page: Page, book: RefBook, find: string): Promise<Found> {
  const query = parseQuery(find);
  const search = async (by: "phrase" | "words"): Promise<Found | undefined> => {
    const tree = await readFrames(
      page.mainFrame(),
      book,
      async (session, frameId) => await readCandidates(session, frameId, query, by),
    );
    const { text, isCut } = renderPage(tree, MAX_CHARS);
    const hits = hitsIn(text, query, by);
    if (hits.count === 0) return undefined;
    const notes = [
      ...(by === "words" ? ["No line has just that; these have all its words."] : []),
      ...(isCut ? ["The page is large; it may have more such lines."] : []),
    ];
    return { text: hits.text, notes };
  };
  return (
    (await search("phrase")) ??
    (await search("words")) ?? { text: "", notes: ["Nothing on the page has that; try fewer words."] }
  );
}

/** Of a large frame, only what may have a hit: each on lines of its own. */
async function readCandidates(
  session: CDPSession,
  frameId: string,
  query: Query,
  by: "phrase" | "words",
): Promise<ReadNodes> {
  await session.send("Accessibility.enable");
  try {
    const candidates = await findCandidates(session, frameId, query, by);
    const read = await Promise.all(candidates.map(async (candidate) => await readCandidate(session, candidate)));
    const nodes = new Map<string, AccessibilityNode>();
    const lines = read.map((found, index): AccessibilityNode => {
      const fresh = found.filter(({ nodeId }) => !nodes.has(nodeId));
      for (const node of fresh) nodes.set(node.nodeId, node);
      const ids = new Set(fresh.map(({ nodeId }) => nodeId));
      const tops = fresh.filter(({ parentId = "" }) => !ids.has(parentId));
      return madeUp(`line ${index}`, "generic", tops);
    });
    for (const line of lines) nodes.set(line.nodeId, line);
    return { root: madeUp("page", "RootWebArea", lines), nodes, isWhole: false };
  } finally {
    await session.send("Runtime.releaseObjectGroup", { objectGroup: OBJECT_GROUP });
    await session.send("Accessibility.disable");
  }
}

async function readCandidate(
  session: CDPSession,
  { objectId, isSmall }: Candidate,
): Promise<readonly AccessibilityNode[]> {
  const answer = isSmall
    ? await session.send("Accessibility.queryAXTree", { objectId })
    : await session.send("Accessibility.getPartialAXTree", { objectId, fetchRelatives: false });
  return answer.nodes;
}

function madeUp(nodeId: string, role: string, children: readonly AccessibilityNode[]): AccessibilityNode {
  return { nodeId, ignored: false, role: { value: role }, childIds: children.map((child) => child.nodeId) };
}

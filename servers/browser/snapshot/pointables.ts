import type { CDPSession } from "@cloudflare/puppeteer";

type Snapshot = Awaited<ReturnType<typeof capture>>;
type Document = Snapshot["documents"][number];

/**
 * What the pointer can do something with although no role says so: elements that show a hand, that listen to clicks
 * themselves, or that can be dragged. By DOM node id, of all frames in the session's process.
 */
export async function readPointables(session: CDPSession): Promise<ReadonlySet<number>> {
  const { documents, strings } = await capture(session);
  return new Set(documents.flatMap((document) => pointablesOf(document, strings)));
}

async function capture(session: CDPSession) {
  return await session.send("DOMSnapshot.captureSnapshot", { computedStyles: ["cursor"] });
}

function pointablesOf({ nodes, layout }: Document, strings: readonly string[]): number[] {
  const parentOf = (index: number): number => nodes.parentIndex?.[index] ?? -1;
  const hands = new Set(layout.nodeIndex.filter((_, at) => strings[layout.styles[at]?.[0] ?? -1] === "pointer"));
  const listening = nodes.isClickable?.index ?? [];
  const around = new Set<number>();
  for (const index of [...listening, ...hands]) {
    for (let outer = parentOf(index); outer >= 0 && !around.has(outer); outer = parentOf(outer)) around.add(outer);
  }
  const found = [
    // The hand is inherited: the outermost element is meant.
    ...[...hands].filter((index) => !hands.has(parentOf(index))),
    // What listens for what is inside, as the root of an app does, is not meant itself.
    ...listening.filter((index) => !around.has(index)),
    ...(nodes.attributes ?? []).flatMap((attributes, index) => (isDraggable(attributes, strings) ? [index] : [])),
  ];
  return found.map((index) => nodes.backendNodeId?.[index] ?? 0);
}

/** Names and values take turns. */
function isDraggable(attributes: readonly number[], strings: readonly string[]): boolean {
  return attributes.some(
    (name, at) => at % 2 === 0 && strings[name] === "draggable" && strings[attributes[at + 1] ?? -1] === "true",
  );
}

import type { CDPSession, Frame, Page } from "@cloudflare/puppeteer";
import * as z from "zod";
import { ToolError } from "../../shared/errors.ts";
import { handleOf } from "../chrome/puppeteer-internals.ts";

/** An element, a text or a document as it is shown: shadow trees are in their places, with what is slotted into them. */
export interface DomNode {
  /** Of an element in lower case; `#text`, `#document`. */
  readonly name: string;
  readonly text: string;
  readonly attributes: ReadonlyMap<string, string>;
  /** Of a frame's element, the document in it. */
  readonly children: DomNode[];
  readonly backendNodeId: number;
  readonly document: DomDocument;
  /** Whether it, or anything in it, is on the page to be seen. */
  isShown: boolean;
  /** Whether it, or anything in it, is on lines of its own. */
  isBlock: boolean;
}

interface DomDocument {
  readonly url: string;
  /** What relative URLs in it are relative to. */
  readonly baseUrl: string;
  readonly title: string;
}

type Snapshot = Awaited<ReturnType<typeof capture>>;
type SnapshotDocument = Snapshot["documents"][number];

/** What is sent has to stay below CDP's 32 MiB. */
const MAX_HTML_CHARS = 10_000_000;
const MAX_ELEMENTS = 150_000;
const MAX_FRAMES = 20;
/** Of elements in each other; HTML itself stops at 512. */
const MAX_DEPTH = 400;
const DOCTYPE = 10;
const sizeSchema = z.tuple([z.number(), z.number()]).catch([0, 0]);

/** Reads the page with its frames, those of other sites too. Rejects with `too_large` where that is not possible. */
export async function readDom(page: Page): Promise<DomNode> {
  const main = page.mainFrame();
  const { top, nodes } = await readProcess(main);
  const known = new Map([[handleOf(main).session, nodes]]);
  for (const frame of page.frames().slice(1, MAX_FRAMES)) {
    const parent = frame.parentFrame();
    const { id, session } = handleOf(frame);
    const around = parent === null ? undefined : known.get(handleOf(parent).session);
    if (parent === null || around === undefined || known.has(session)) continue;
    // A frame that goes away or hangs while it is read is left out; the page is not lost with it.
    const owner = await handleOf(parent)
      .session.send("DOM.getFrameOwner", { frameId: id })
      .catch(() => undefined);
    const inside = await readProcess(frame).catch(() => undefined);
    if (inside === undefined) continue;
    known.set(session, inside.nodes);
    around.get(owner?.backendNodeId ?? 0)?.children.push(inside.top);
  }
  return top;
}

/** Reads a node of a frame, with the frames in it that are of its own site; nothing where it is not there. */
export async function readDomPart(frame: Frame, backendNodeId: number): Promise<DomNode | undefined> {
  return (await readProcess(frame)).nodes.get(backendNodeId);
}

interface ProcessDom {
  readonly top: DomNode;
  readonly nodes: ReadonlyMap<number, DomNode>;
}

/** Reads a frame, and all below it that Chrome keeps in the same process. */
async function readProcess(frame: Frame): Promise<ProcessDom> {
  const { session } = handleOf(frame);
  // The page may tell lies here, and harms only itself.
  const counted = await frame
    .evaluate(`[document.documentElement.outerHTML.length, document.getElementsByTagName("*").length]`)
    .catch(() => undefined);
  const [chars, elements] = sizeSchema.parse(counted);
  if (chars > MAX_HTML_CHARS || elements > MAX_ELEMENTS) {
    throw new ToolError("too_large", "The page is too large to be read; find what you need with browser_snapshot.");
  }
  const snapshot = await capture(session);
  const documents = snapshot.documents.map((document) => treeOf(document, snapshot.strings));
  snapshot.documents.forEach(({ nodes: { contentDocumentIndex } }, at) => {
    contentDocumentIndex?.index.forEach((nodeIndex, entry) => {
      const inside = documents[contentDocumentIndex.value[entry] ?? -1]?.[0];
      if (inside !== undefined) documents[at]?.[nodeIndex]?.children.push(inside);
    });
  });
  const top = documents[0]?.[0];
  if (top === undefined) throw new Error("Chrome knows of no document.");
  return { top, nodes: new Map(documents.flat().map((node) => [node.backendNodeId, node])) };
}

async function capture(session: CDPSession) {
  return await session.send("DOMSnapshot.captureSnapshot", { computedStyles: ["display", "visibility"] });
}

/** The nodes of a document in its order, each with its children. */
function treeOf(
  { nodes, layout, documentURL, baseURL, title }: SnapshotDocument,
  strings: readonly string[],
): DomNode[] {
  const textAt = (index: number | undefined): string => strings[index ?? -1] ?? "";
  const document = { url: textAt(documentURL), baseUrl: textAt(baseURL), title: textAt(title) };
  const styles = new Map(layout.nodeIndex.map((node, at) => [node, layout.styles[at]?.map(textAt)]));
  const values = new Map(
    [nodes.inputValue, nodes.textValue].flatMap(
      (typed) => typed?.index.map((node, at): [number, string] => [node, textAt(typed.value[at])]) ?? [],
    ),
  );
  const checked = new Set(nodes.inputChecked?.index);
  const selected = new Set(nodes.optionSelected?.index);
  const all = (nodes.nodeName ?? []).map((name, index): DomNode => {
    const attributes = new Map<string, string>();
    const pairs = nodes.attributes?.[index] ?? [];
    for (let at = 0; at < pairs.length; at += 2) attributes.set(textAt(pairs[at]), textAt(pairs[at + 1]));
    // What people typed and ticked is not in the document.
    const type = attributes.get("type")?.toLowerCase();
    const value = values.get(index) ?? "";
    if (value !== "") attributes.set("value", type === "password" ? "•••" : value);
    else if (values.has(index)) attributes.delete("value");
    if (type === "checkbox" || type === "radio") attributes.delete("checked");
    if (checked.has(index)) attributes.set("checked", "");
    if (selected.has(index)) attributes.set("selected", "");
    const [display = "", visibility = ""] = styles.get(index) ?? [];
    return {
      name: nodes.nodeType?.[index] === DOCTYPE ? "#doctype" : textAt(name).toLowerCase(),
      text: textAt(nodes.nodeValue?.[index]),
      attributes,
      children: [],
      backendNodeId: nodes.backendNodeId?.[index] ?? 0,
      document,
      isShown: styles.has(index) && visibility === "visible",
      isBlock: display !== "" && !/^(inline|contents|ruby)/.test(display) && textAt(name) !== "#text",
    };
  });
  link(all, nodes.parentIndex ?? []);
  return all;
}

/** Hangs every node below its parent, which comes before it; what is too deep inside is left out. */
function link(all: readonly DomNode[], parents: readonly number[]): void {
  const depths: number[] = [];
  all.forEach((node, index) => {
    const parent = parents[index] ?? -1;
    depths[index] = (depths[parent] ?? 0) + 1;
    // Pseudo-elements are style.
    if (!node.name.startsWith("::") && depths[index] < MAX_DEPTH) all[parent]?.children.push(node);
  });
  for (let index = all.length - 1; index > 0; index -= 1) {
    const [node, parent] = [all[index], all[parents[index] ?? -1]];
    if (node === undefined || parent === undefined) continue;
    parent.isShown ||= node.isShown;
    parent.isBlock ||= node.isBlock;
  }
}

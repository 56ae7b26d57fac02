import {
  type AccessibilityNode,
  type FrameTree,
  childrenOf,
  descendantsOf,
  isActive,
  nameOf,
  propertyOf,
  roleOf,
  valueOf,
} from "./accessibility-node.ts";
import { formatRef } from "./ref.ts";
import { isCell, kindOf, shownRole } from "./roles.ts";
import { shortUrl } from "./short-url.ts";
import { type LineBreaks, SnapshotWriter, clip, tidy } from "./snapshot-writer.ts";

const FLAGS = ["checked", "selected", "pressed", "expanded", "disabled", "required", "readonly", "focused", "busy"];
const MAX_NAME_CHARS = 300;
const MAX_OPTIONS = 30;
const MAX_DEPTH = 400;

export interface RenderedPage {
  readonly text: string;
  readonly isCut: boolean;
}

/**
 * The page as lines of text. What can be acted on carries `[e5]`, or `[f1e5]` in a frame: the number of its DOM
 * node, which lives as long as the element does. Page text that looks like a ref is defused.
 */
export function renderPage(tree: FrameTree, maxChars: number, breaks: LineBreaks = "sentences"): RenderedPage {
  const writer = new SnapshotWriter(maxChars, breaks);
  new FrameRenderer(tree, writer).render();
  const text = writer.end();
  return { text, isCut: writer.isFull || !isWhole(tree) };
}

/** What is below a node of the frame, by Chrome's id, itself included; nothing where it is not there. */
export function renderPart(tree: FrameTree, backendNodeId: number, maxChars: number): RenderedPage | undefined {
  const part = [...tree.nodes.values()].find((node) => node.backendDOMNodeId === backendNodeId);
  if (part === undefined) return undefined;
  const writer = new SnapshotWriter(maxChars);
  new FrameRenderer(tree, writer).renderPart(part);
  const text = writer.end();
  return { text, isCut: writer.isFull || !isWhole(tree) };
}

function isWhole(tree: FrameTree): boolean {
  return tree.isWhole && [...tree.frames.values()].every(isWhole);
}

class FrameRenderer {
  readonly #tree: FrameTree;
  readonly #writer: SnapshotWriter;
  /** Of everything that is written with its name. */
  readonly #names: ReadonlySet<string>;
  #depth = 0;

  constructor(tree: FrameTree, writer: SnapshotWriter) {
    this.#tree = tree;
    this.#writer = writer;
    const named = [...tree.nodes.values()].filter(
      (node) => isControl(node) || ["region", "leaf"].includes(kindOf(node)),
    );
    this.#names = new Set(named.map((node) => tidy(nameOf(node))));
  }

  render(): void {
    if (this.#tree.root !== undefined) this.#children(this.#tree.root);
  }

  renderPart(part: AccessibilityNode): void {
    this.#node(part);
  }

  #children(node: AccessibilityNode): void {
    if (this.#depth >= MAX_DEPTH) return;
    this.#depth += 1;
    for (const child of childrenOf(node, this.#tree.nodes)) if (!this.#writer.isFull) this.#node(child);
    this.#depth -= 1;
  }

  #node(node: AccessibilityNode): void {
    const writer = this.#writer;
    const kind = kindOf(node);
    switch (kind) {
      case "skipped":
        return;
      case "text":
        return writer.text(nameOf(node));
      case "break":
        return writer.line();
      case "inline":
        return this.#children(node);
      case "label":
        return this.#isSaidAnyway(node) ? undefined : this.#children(node);
      case "block":
        return this.#block(node);
      case "heading":
        return this.#line(node, `${"#".repeat(Number(propertyOf(node, "level") ?? 2))} `);
      case "item":
        return this.#line(node, "- ");
      case "row":
        return this.#row(node);
      case "leaf":
        return this.#leaf(node);
      case "frame":
        return this.#frame(node);
      case "region":
        return this.#inside(this.#region(node), () => this.#children(node));
      case "control":
        return this.#control(node);
      case "field":
        return writer.word(
          [`${this.#ref(node)} ${shownRole(node)}${named(node)}${valued(node)}`, ...flagsOf(node)].join(" "),
        );
    }
  }

  /** What Chrome itself says, as in a bubble over a field, is no element and has no ref. */
  #region(node: AccessibilityNode): string {
    const title = `${shownRole(node)}${named(node)}`;
    return node.backendDOMNodeId === undefined ? title : `${this.#ref(node)} ${title}`;
  }

  #leaf(node: AccessibilityNode): void {
    if (nameOf(node) === "" && !isActive(node)) return;
    this.#refIfActive(node);
    this.#writer.word(`${shownRole(node)}${named(node)}${valued(node)}`);
  }

  #refIfActive(node: AccessibilityNode): void {
    if (isActive(node)) this.#writer.lead(this.#ref(node));
  }

  #block(node: AccessibilityNode): void {
    this.#writer.line();
    this.#refIfActive(node);
    this.#children(node);
    this.#writer.endLead();
    this.#writer.line();
  }

  #line(node: AccessibilityNode, prefix: string): void {
    const writer = this.#writer;
    writer.line();
    writer.prefix(prefix);
    writer.indent();
    this.#refIfActive(node);
    this.#children(node);
    writer.endLead();
    writer.line();
    writer.outdent();
  }

  #row(node: AccessibilityNode): void {
    const writer = this.#writer;
    writer.line();
    writer.joinLines(() => {
      this.#refIfActive(node);
      this.#cellsOf(node).forEach((cell, index) => {
        if (index > 0) writer.word("|");
        if (!isCell(cell)) return this.#node(cell);
        this.#refIfActive(cell);
        this.#children(cell);
      });
    });
    writer.endLead();
    writer.line();
  }

  #cellsOf(row: AccessibilityNode): AccessibilityNode[] {
    return childrenOf(row, this.#tree.nodes).flatMap((child) => (child.ignored ? this.#cellsOf(child) : [child]));
  }

  #frame(node: AccessibilityNode): void {
    const tree = this.#tree.frames.get(node.backendDOMNodeId ?? -1);
    const url = tree === undefined ? "" : ` ${shortUrl(tree.url, this.#tree.url)}`;
    this.#inside(`${this.#ref(node)} frame${named(node)}${url}`, () => {
      if (tree !== undefined) new FrameRenderer(tree, this.#writer).render();
    });
  }

  #inside(title: string, write: () => void): void {
    const writer = this.#writer;
    writer.line();
    writer.word(title);
    writer.line();
    writer.indent();
    write();
    writer.line();
    writer.outdent();
  }

  #control(node: AccessibilityNode): void {
    const inside = [...descendantsOf(node, this.#tree.nodes)];
    const isSelect = childrenOf(node, this.#tree.nodes).some((child) => roleOf(child) === "MenuListPopup");
    const flags = flagsOf(node).filter((flag) => !(isSelect && flag === "collapsed"));
    const words = [`${this.#ref(node)} ${shownRole(node)}${named(node)}${valued(node)}`, ...flags];
    const url = propertyOf(node, "url");
    if (roleOf(node) === "link" && typeof url === "string" && /^(https?|mailto|tel):/.test(url))
      words.push(shortUrl(url, this.#tree.url));
    if (isSelect) words.push(optionsOf(inside));
    this.#writer.word(words.join(" "));
    // The name says what is inside, unless there is something to act on.
    if (!isSelect && (nameOf(node) === "" || inside.some(isControl))) this.#children(node);
  }

  #ref({ backendDOMNodeId }: AccessibilityNode): string {
    const { frameNumber, offset } = this.#tree.refs;
    return `[${formatRef({ frameNumber, number: (backendDOMNodeId ?? 0) + offset })}]`;
  }

  #isSaidAnyway(label: AccessibilityNode): boolean {
    const inside = [...descendantsOf(label, this.#tree.nodes)];
    if (inside.some(isControl)) return false;
    const texts = inside.filter((node) => kindOf(node) === "text").map(nameOf);
    return this.#names.has(tidy(texts.join("")));
  }
}

function isControl(node: AccessibilityNode): boolean {
  return ["control", "field", "frame"].includes(kindOf(node));
}

/** What a closed `<select>` offers. */
function optionsOf(inside: readonly AccessibilityNode[]): string {
  const options = inside.filter((node) => roleOf(node) === "option").map((option) => named(option).trim());
  const more = options.length > MAX_OPTIONS ? ` and ${options.length - MAX_OPTIONS} more` : "";
  return `of ${options.slice(0, MAX_OPTIONS).join(", ")}${more}`;
}

function named(node: AccessibilityNode): string {
  const name = quoted(nameOf(node));
  return name === "" ? "" : ` ${name}`;
}

function valued(node: AccessibilityNode): string {
  const value = quoted(valueOf(node));
  return value === "" ? "" : ` = ${value}`;
}

function quoted(text: string): string {
  const name = tidy(text);
  if (name === "") return "";
  const short = clip(name, MAX_NAME_CHARS);
  return `"${short.replaceAll('"', "'")}"`;
}

function flagsOf(node: AccessibilityNode): string[] {
  return FLAGS.flatMap((flag) => {
    const value = propertyOf(node, flag);
    if (value === true || value === "true") return [flag];
    if (value === "mixed") return [`${flag}=mixed`];
    return flag === "expanded" && value === false ? ["collapsed"] : [];
  });
}

import { type AccessibilityNode, type FrameTree, childrenOf } from "./accessibility.ts";
import { SnapshotWriter, tidy } from "./snapshot-writer.ts";

/** Written with their ref: what can be acted on. */
const CONTROLS: ReadonlySet<string> = new Set([
  "button", "checkbox", "combobox", "ComboBoxMenuButton", "DisclosureTriangle", "link", "listbox", "menuitem",
  "menuitemcheckbox", "menuitemradio", "option", "radio", "searchbox", "slider", "spinbutton", "switch", "tab",
  "textbox", "treeitem", "Date", "DateTime", "InputTime", "ColorWell", "Canvas", "PopUpButton", "ToggleButton",
]);
/** Their text is in their value; what is inside repeats it. */
const FIELDS: ReadonlySet<string> = new Set(["textbox", "searchbox", "spinbutton", "slider", "Date", "DateTime", "InputTime", "ColorWell"]);
/** Written on a line of their own with their ref, and what they hold one step further in. */
const REGIONS: ReadonlySet<string> = new Set([
  "alert", "alertdialog", "banner", "complementary", "contentinfo", "dialog", "form", "grid", "main", "menu", "menubar",
  "navigation", "region", "search", "status", "table", "tablist", "tabpanel", "toolbar", "tree", "treegrid", "radiogroup",
]);
/** Regions only where they have a name. */
const NAMED_REGIONS: ReadonlySet<string> = new Set(["article", "group", "figure", "feed", "log", "form", "region"]);
/** No line of their own: they are part of the text around them. */
const INLINE: ReadonlySet<string> = new Set([
  "none", "LabelText", "strong", "emphasis", "code", "mark", "time", "abbr", "superscript", "subscript", "insertion",
  "deletion", "Ruby", "RubyAnnotation", "Abbr", "caption", "term", "suggestion",
]);
const SKIPPED: ReadonlySet<string> = new Set(["InlineTextBox", "ListMarker", "MenuListPopup", "scrollbar", "splitter"]);
const CELLS: ReadonlySet<string> = new Set(["cell", "gridcell", "columnheader", "rowheader", "LayoutTableCell"]);
const ROWS: ReadonlySet<string> = new Set(["row", "LayoutTableRow"]);
/** A name and nothing inside that matters. */
const LEAVES: ReadonlySet<string> = new Set(["image", "img", "progressbar", "meter", "Video", "Audio", "PluginObject", "math"]);
const SHORT_NAMES: Readonly<Record<string, string>> = {
  DisclosureTriangle: "summary", ComboBoxMenuButton: "combobox", PopUpButton: "button", ToggleButton: "button",
  Date: "date", DateTime: "datetime", InputTime: "time", ColorWell: "color", Canvas: "canvas", Iframe: "frame",
  Video: "video", Audio: "audio", PluginObject: "plugin", contentinfo: "footer", complementary: "aside",
};
const FLAGS = ["checked", "selected", "pressed", "expanded", "disabled", "required", "readonly", "focused", "busy"];
const MAX_NAME_CHARS = 300;
const MAX_URL_CHARS = 200;
const MAX_OPTIONS = 30;

export interface RenderedPage {
  readonly text: string;
  readonly isCut: boolean;
}

/**
 * The page as lines of text. What can be acted on carries `[e5]`, or `[f1e5]` in a frame: the backend id of its DOM
 * node, which lives as long as the element does. Page text that looks like a ref is defused.
 */
export function renderPage(tree: FrameTree, maxChars: number): RenderedPage {
  const writer = new SnapshotWriter(maxChars);
  new FrameRenderer(tree, writer).renderRoot();
  const text = writer.end();
  return { text, isCut: writer.isFull || !isWhole(tree) };
}

function isWhole(tree: FrameTree): boolean {
  return tree.isWhole && [...tree.frames.values()].every(isWhole);
}

class FrameRenderer {
  readonly #tree: FrameTree;
  readonly #writer: SnapshotWriter;
  readonly #controlNames: ReadonlySet<string>;

  constructor(tree: FrameTree, writer: SnapshotWriter) {
    this.#tree = tree;
    this.#writer = writer;
    const controls = [...tree.nodes.values()].filter((node) => CONTROLS.has(roleOf(node)));
    this.#controlNames = new Set(controls.map((node) => tidy(textOf(node.name))));
  }

  renderRoot(): void {
    if (this.#tree.root !== undefined) this.#renderChildren(this.#tree.root);
  }

  #renderChildren(node: AccessibilityNode): void {
    for (const child of childrenOf(node, this.#tree.nodes)) this.#render(child);
  }

  #render(node: AccessibilityNode): void {
    const writer = this.#writer;
    if (writer.isFull) return;
    const role = roleOf(node);
    const name = tidy(textOf(node.name));
    if (SKIPPED.has(role)) return;
    if (node.ignored) return this.#renderChildren(node);
    if (role === "StaticText") return writer.text(textOf(node.name));
    if (role === "LineBreak") return writer.line();
    if (role === "Iframe" || role === "IframePresentational") return this.#renderFrame(node, name);
    if (CONTROLS.has(role)) return this.#renderControl(node, role, name);
    if (LEAVES.has(role)) return name === "" ? undefined : writer.word(`${SHORT_NAMES[role] ?? role}${quoted(name)}${valueOf(node)}`);
    if (role === "heading") return this.#renderLine(node, `${"#".repeat(Number(property(node, "level") ?? 2))} `);
    if (role === "listitem") return this.#renderLine(node, "- ");
    if (ROWS.has(role)) return this.#renderRow(node);
    if (NAMED_REGIONS.has(role) ? name !== "" : REGIONS.has(role)) return this.#renderRegion(node, role, name);
    if (role === "LabelText" && this.#isSaidByControl(node)) return;
    if (INLINE.has(role)) return this.#renderChildren(node);
    if (property(node, "editable") !== undefined && property(node, "focusable") === true) {
      return writer.word(`[${this.#ref(node)}] textbox${quoted(name)}${valueOf(node)}`);
    }
    if (role === "separator") return writer.line();
    writer.line();
    if (property(node, "focusable") === true) writer.word(`[${this.#ref(node)}]`);
    this.#renderChildren(node);
    writer.line();
  }

  #renderControl(node: AccessibilityNode, role: string, name: string): void {
    const isField = FIELDS.has(role) || property(node, "editable") !== undefined;
    const shown = isField || name !== "" || !this.#hasContent(node);
    const title = shown ? quoted(name) : "";
    const parts = [`[${this.#ref(node)}] ${SHORT_NAMES[role] ?? role}${title}${valueOf(node)}`, ...flagsOf(node), ...this.#link(node, role), ...this.#options(node)];
    this.#writer.word(parts.join(" "));
    // A name says what is inside, unless there is something in it to act on.
    if (!isField && (name === "" || this.#hasControls(node))) this.#renderChildren(node);
  }

  #renderLine(node: AccessibilityNode, prefix: string): void {
    const writer = this.#writer;
    writer.line();
    writer.prefix(prefix);
    writer.indent();
    this.#renderChildren(node);
    writer.line();
    writer.outdent();
  }

  #renderRow(node: AccessibilityNode): void {
    const writer = this.#writer;
    writer.line();
    writer.joinLines(() => {
      let isFirst = true;
      for (const cell of this.#cellsOf(node)) {
        if (!isFirst) writer.word("|");
        isFirst = false;
        this.#renderChildren(cell);
      }
    });
    writer.line();
  }

  #cellsOf(row: AccessibilityNode): AccessibilityNode[] {
    return childrenOf(row, this.#tree.nodes).flatMap((child) => {
      if (CELLS.has(roleOf(child))) return [child];
      return child.ignored ? this.#cellsOf(child) : [{ ...child, childIds: [child.nodeId] }];
    });
  }

  #renderRegion(node: AccessibilityNode, role: string, name: string): void {
    const writer = this.#writer;
    writer.line();
    writer.word(`[${this.#ref(node)}] ${SHORT_NAMES[role] ?? role}${quoted(name)}`);
    writer.line();
    writer.indent();
    this.#renderChildren(node);
    writer.line();
    writer.outdent();
  }

  #renderFrame(node: AccessibilityNode, name: string): void {
    const tree = this.#tree.frames.get(node.backendDOMNodeId ?? -1);
    const writer = this.#writer;
    writer.line();
    writer.word(`[${this.#ref(node)}] frame${quoted(name)}${tree === undefined ? "" : ` ${this.#shortUrl(tree.url)}`}`);
    writer.line();
    if (tree === undefined) return;
    writer.indent();
    new FrameRenderer(tree, writer).renderRoot();
    writer.line();
    writer.outdent();
  }

  #ref({ backendDOMNodeId }: AccessibilityNode): string {
    const { frameNumber } = this.#tree;
    return `${frameNumber === 0 ? "" : `f${frameNumber}`}e${backendDOMNodeId ?? 0}`;
  }

  #link(node: AccessibilityNode, role: string): string[] {
    const url = property(node, "url");
    return role === "link" && typeof url === "string" && /^(https?|mailto|tel):/.test(url) ? [this.#shortUrl(url)] : [];
  }

  /** Without the origin where it is the page's own. */
  #shortUrl(url: string): string {
    const { origin } = URL.canParse(this.#tree.url) ? new URL(this.#tree.url) : { origin: "" };
    const [base = ""] = this.#tree.url.split("#");
    const short = url.startsWith(`${base}#`) ? url.slice(base.length) : url.startsWith(`${origin}/`) ? url.slice(origin.length) : url;
    return tidy(short.length > MAX_URL_CHARS ? `${short.slice(0, MAX_URL_CHARS)}…` : short);
  }

  /** What a closed `<select>` offers. */
  #options(node: AccessibilityNode): string[] {
    const popup = childrenOf(node, this.#tree.nodes).find((child) => roleOf(child) === "MenuListPopup");
    if (popup === undefined) return [];
    const options = this.#within(popup).filter((child) => roleOf(child) === "option");
    const names = options.slice(0, MAX_OPTIONS).map((option) => quoted(tidy(textOf(option.name))).trim());
    return [`of ${names.join(", ")}${options.length > MAX_OPTIONS ? ` and ${options.length - MAX_OPTIONS} more` : ""}`];
  }

  #hasControls(node: AccessibilityNode): boolean {
    return childrenOf(node, this.#tree.nodes).some(
      (child) => CONTROLS.has(roleOf(child)) || roleOf(child) === "Iframe" || (roleOf(child) !== "MenuListPopup" && this.#hasControls(child)),
    );
  }

  #hasContent(node: AccessibilityNode): boolean {
    return this.#within(node).some((child) => textOf(child.name) !== "");
  }

  /** Whether a label only repeats the name of its control. */
  #isSaidByControl(label: AccessibilityNode): boolean {
    const inside = this.#within(label);
    if (inside.some((node) => CONTROLS.has(roleOf(node)))) return false;
    const texts = inside.filter((node) => roleOf(node) === "StaticText").map((node) => textOf(node.name));
    return this.#controlNames.has(tidy(texts.join("")));
  }

  #within(node: AccessibilityNode): AccessibilityNode[] {
    return childrenOf(node, this.#tree.nodes).flatMap((child) => [child, ...this.#within(child)]);
  }
}

function roleOf(node: AccessibilityNode): string {
  return textOf(node.role);
}

function textOf(field: { readonly value?: unknown } | undefined): string {
  const value = field?.value;
  return typeof value === "string" ? value : typeof value === "number" ? String(value) : "";
}

function property(node: AccessibilityNode, name: string): unknown {
  return node.properties?.find((entry) => entry.name === name)?.value.value;
}

function quoted(name: string): string {
  if (name === "") return "";
  const short = name.length > MAX_NAME_CHARS ? `${name.slice(0, MAX_NAME_CHARS).toWellFormed()}…` : name;
  return ` "${short.replaceAll('"', "'")}"`;
}

function valueOf(node: AccessibilityNode): string {
  const value = tidy(textOf(node.value));
  return value === "" ? "" : ` =${quoted(value)}`;
}

function flagsOf(node: AccessibilityNode): string[] {
  return FLAGS.flatMap((flag) => {
    const value = property(node, flag);
    if (value === true || value === "true") return [flag];
    if (value === "mixed") return [`${flag}=mixed`];
    return flag === "expanded" && value === false ? ["collapsed"] : [];
  });
}

import type { DomNode } from "./dom.ts";
import { absoluteUrl, labelOf } from "./links.ts";
import { shortUrl } from "../snapshot/short-url.ts";
import type { RenderedPage } from "../snapshot/snapshot.ts";
import { tidy, withoutControls } from "../snapshot/snapshot-writer.ts";

const LEFT_OUT: ReadonlySet<string> = new Set(
  "head script style noscript template svg canvas video audio object embed map datalist".split(" "),
);
const MARKS: Readonly<Record<string, string>> = {
  strong: "**",
  b: "**",
  em: "*",
  i: "*",
  del: "~~",
  s: "~~",
  code: "`",
};
/** Whatever is in them, and however they are laid out. */
const INLINE: ReadonlySet<string> = new Set("a button label input select textarea img br".split(" "));
/** Inputs that say nothing. */
const SILENT_INPUTS: ReadonlySet<string> = new Set(["hidden", "file", "image", "color", "range"]);

/**
 * What a page shows as Markdown to read: headings, links, lists, tables, code. Nothing is escaped, since nobody turns
 * it into HTML again. Cut at `maxChars`.
 */
export function writeMarkdown(top: DomNode, maxChars: number): RenderedPage {
  const writer = new MarkdownWriter(top.document.url, maxChars);
  const text = writer.blocks([top]).join("\n\n");
  return { text: text.slice(0, maxChars).toWellFormed(), isCut: writer.isFull || text.length > maxChars };
}

class MarkdownWriter {
  readonly #pageUrl: string;
  #charsLeft: number;

  constructor(pageUrl: string, maxChars: number) {
    this.#pageUrl = pageUrl;
    this.#charsLeft = maxChars;
  }

  get isFull(): boolean {
    return this.#charsLeft <= 0;
  }

  /** Each without an empty line before and after it. */
  blocks(nodes: readonly DomNode[]): string[] {
    const blocks: string[] = [];
    let inline = "";
    const endParagraph = (): void => {
      const paragraph = tidyParagraph(inline);
      if (paragraph !== "") blocks.push(paragraph);
      inline = "";
    };
    for (const node of nodes) {
      if (this.isFull) break;
      if (!isRead(node)) {
        if (node.isBlock) endParagraph();
        continue;
      }
      if (isInline(node)) {
        inline += this.#inline(node);
        continue;
      }
      endParagraph();
      blocks.push(...this.#block(node).filter((block) => block !== ""));
    }
    endParagraph();
    return blocks;
  }

  #block(node: DomNode): string[] {
    const { name, children } = node;
    if (/^h[1-6]$/.test(name)) return [this.#heading(node)];
    if (name === "ul" || name === "ol" || name === "menu") return [this.#list(node)];
    if (name === "pre") return [this.#code(node)];
    if (name === "blockquote") return [indent(this.blocks(children).join("\n\n"), "> ", "> ")];
    if (name === "hr") return ["---"];
    if (name === "table") return this.#table(node);
    return this.blocks(children);
  }

  #heading({ name, children }: DomNode): string {
    const text = tidyParagraph(this.#inlines(children)).replaceAll("\n", " ");
    return text === "" ? "" : `${"#".repeat(Number(name.slice(1)))} ${text}`;
  }

  #list({ name, children, attributes }: DomNode): string {
    const first = Number(attributes.get("start") ?? 1);
    let number = Number.isInteger(first) ? first : 1;
    const items = children.filter(isRead).flatMap((child) => {
      if (this.isFull) return [];
      const text = this.blocks(child.name === "li" ? child.children : [child]).join("\n");
      if (text === "") return [];
      const bullet = name === "ol" ? `${number}. ` : "- ";
      number += 1;
      return [indent(text, bullet, " ".repeat(bullet.length))];
    });
    return items.join("\n");
  }

  #code(node: DomNode): string {
    const text = withoutControls(codeOf(node)).replace(/^\n|\s+$/g, "");
    this.#charsLeft -= text.length;
    if (text === "") return "";
    const classes = [node, ...node.children].map(({ attributes }) => attributes.get("class") ?? "").join(" ");
    const language = /(?:^|\s)lang(?:uage)?-([\w+#-]+)/.exec(classes)?.[1] ?? "";
    const fence = text.includes("```") ? "~~~~" : "```";
    return `${fence}${language}\n${text}\n${fence}`;
  }

  /** One in which others are, or of a single column, is there for the layout. */
  #table(node: DomNode): string[] {
    const rows = rowsOf(node);
    const width = Math.max(0, ...rows.map((cells) => cells.length));
    if (width < 2 || node.children.some((child) => contains(child, "table"))) {
      return rows.flatMap((cells) => cells.flatMap((cell) => this.blocks(cell.children)));
    }
    const lines: string[] = [];
    for (const cells of rows) {
      if (this.isFull) break;
      const texts = cells.map((cell) => tidy(this.#inlines(cell.children)).replaceAll("|", "\\|"));
      lines.push(`| ${[...texts, ...Array.from({ length: width - cells.length }, () => "")].join(" | ")} |`);
      if (lines.length === 1) lines.push(`|${" - |".repeat(width)}`);
    }
    const caption = node.children.find(({ name }) => name === "caption");
    return [...(caption === undefined ? [] : this.blocks(caption.children)), lines.join("\n")];
  }

  #inlines(nodes: readonly DomNode[]): string {
    return nodes
      .filter(isRead)
      .map((node) => (isInline(node) ? this.#inline(node) : ` ${this.#inline(node)} `))
      .join("");
  }

  /** Text on one line; line breaks in it are meant. */
  #inline(node: DomNode): string {
    const { name, children, attributes } = node;
    if (this.isFull) return "";
    if (name === "#text") {
      const text = withoutControls(node.text).replace(/\s+/g, " ");
      this.#charsLeft -= text.length;
      return text;
    }
    if (name === "br") return "\n";
    if (name === "a") return this.#link(node);
    if (name === "img") return this.#image(node);
    if (name === "textarea") return ` ${tidy(attributes.get("value") ?? "")} `;
    if (name === "input") return inputText(attributes);
    if (name === "select") {
      const chosen = children.flatMap((child) => (child.name === "option" ? [child] : child.children));
      return ` ${chosen
        .filter((option) => option.attributes.has("selected"))
        .map(labelOf)
        .join(", ")} `;
    }
    return marked(this.#inlines(children), MARKS[name] ?? "");
  }

  #link(node: DomNode): string {
    const text = this.#inlines(node.children).replaceAll("\n", " ");
    const url = absoluteUrl(node.attributes.get("href"), node);
    if (url === undefined) return text;
    const label = tidyParagraph(text) || labelOf(node);
    const short = shortUrl(url, this.#pageUrl);
    this.#charsLeft -= short.length;
    return label === "" ? "" : marked(text === "" ? label : text, "[", `](${short})`);
  }

  /** One without a name says nothing. */
  #image(node: DomNode): string {
    const alt = tidy(node.attributes.get("alt") ?? "");
    if (alt === "") return "";
    const url = absoluteUrl(node.attributes.get("src"), node);
    this.#charsLeft -= alt.length;
    return `![${alt}](${url === undefined ? "" : shortUrl(url, this.#pageUrl)})`;
  }
}

/** Whether anything of it is to be read: seen, and text. */
function isRead(node: DomNode): boolean {
  return node.isShown && !LEFT_OUT.has(node.name);
}

function isInline({ name, isBlock }: DomNode): boolean {
  if (name === "iframe" || name === "frame") return false;
  return !isBlock || INLINE.has(name) || Object.hasOwn(MARKS, name);
}

/** Marks around a text, and not around the white space at its ends. */
function marked(text: string, before: string, after = before): string {
  const inner = text.trim();
  if (before === "" || inner === "") return text;
  const [start = "", end = ""] = [/^\s*/.exec(text)?.[0], /\s*$/.exec(text)?.[0]];
  return `${start}${before}${inner}${after}${end}`;
}

function inputText(attributes: ReadonlyMap<string, string>): string {
  const type = attributes.get("type")?.toLowerCase() ?? "text";
  if (SILENT_INPUTS.has(type)) return "";
  if (type === "checkbox" || type === "radio") return attributes.has("checked") ? "[x] " : "[ ] ";
  return ` ${tidy(attributes.get("value") ?? "")} `;
}

function tidyParagraph(text: string): string {
  return text
    .split("\n")
    .map((line) => line.replace(/ {2,}/g, " ").trim())
    .join("\n")
    .trim();
}

function codeOf(node: DomNode): string {
  if (node.name === "#text") return node.text;
  return node.name === "br" ? "\n" : node.children.map(codeOf).join("");
}

/** The cells of a table's rows that can be seen. */
function rowsOf(node: DomNode): DomNode[][] {
  return node.children.filter(isRead).flatMap((child) => {
    if (child.name === "tr")
      return [child.children.filter(({ name }) => name === "td" || name === "th").filter(isRead)];
    return child.name === "table" || child.name === "caption" ? [] : rowsOf(child);
  });
}

function contains(node: DomNode, name: string): boolean {
  return node.name === name || node.children.some((child) => contains(child, name));
}

function indent(text: string, first: string, others: string): string {
  return text
    .split("\n")
    .map((line, index) => `${index === 0 ? first : others}${line}`.trimEnd())
    .join("\n");
}

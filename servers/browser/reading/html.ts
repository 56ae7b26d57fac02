import type { DomNode } from "./dom.ts";
import type { RenderedPage } from "../snapshot/snapshot.ts";
import { clip, withoutControls } from "../snapshot/snapshot-writer.ts";

const LEFT_OUT: ReadonlySet<string> = new Set([
  "script",
  "style",
  "noscript",
  "link",
  "meta",
  "base",
  "#comment",
  "head",
]);
const VOID: ReadonlySet<string> = new Set("area br col embed hr img input source track wbr".split(" "));
const MAX_VALUE_CHARS = 200;

/**
 * An element's HTML as scripts have made it, without scripts, styles and drawings, cut at `maxChars`; shadow trees and
 * frames are written where they are shown.
 */
export function writeHtml(top: DomNode, maxChars: number): RenderedPage {
  const parts: string[] = [];
  let chars = 0;
  const add = (part: string): void => {
    parts.push(part);
    chars += part.length;
  };
  const visit = (node: DomNode): void => {
    if (chars > maxChars || LEFT_OUT.has(node.name)) return;
    if (node.name === "#text") return add(escape(withoutControls(node.text)).replace(/\s*\n\s*/g, "\n"));
    const isElement = /^[a-z]/.test(node.name);
    if (isElement) add(`<${node.name}${attributesOf(node)}>`);
    if (node.name !== "svg") for (const child of node.children) visit(child);
    if (isElement && !VOID.has(node.name)) add(`</${node.name}>`);
  };
  visit(top);
  const text = parts.join("").trim();
  return { text: text.slice(0, maxChars).toWellFormed(), isCut: chars > maxChars };
}

function attributesOf({ attributes }: DomNode): string {
  return [...attributes]
    .filter(([name]) => name !== "style" && !name.startsWith("on"))
    .map(([name, value]) => {
      const short = clip(value, MAX_VALUE_CHARS);
      return value === "" ? ` ${name}` : ` ${name}="${escape(withoutControls(short)).replaceAll('"', "&quot;")}"`;
    })
    .join("");
}

function escape(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}

import type { DomNode } from "./dom.ts";
import { clip, tidy } from "../snapshot/snapshot-writer.ts";

const MAX_TEXT_CHARS = 100;

/** A URL as the page means it; absent where it leads nowhere that can be opened, or carries its content itself. */
export function absoluteUrl(href: string | undefined, { document }: DomNode): string | undefined {
  if (href === undefined || !URL.canParse(href, document.baseUrl)) return undefined;
  const url = new URL(href, document.baseUrl);
  return ["http:", "https:", "mailto:", "tel:"].includes(url.protocol) ? url.href : undefined;
}

/** What a link, or anything else, is called by what it shows. */
export function labelOf(node: DomNode): string {
  const own = ["aria-label", "alt", "title"].map((name) => node.attributes.get(name) ?? "").find((text) => text !== "");
  return tidy(textOf(node)) || tidy(own ?? "") || (node.children.map(labelOf).find((text) => text !== "") ?? "");
}

function textOf(node: DomNode): string {
  return node.name === "#text" ? node.text : node.children.map(textOf).join(node.isBlock ? " " : "");
}

/** All links of the page, a line each with text and URL, each URL once, in the order of the page. */
export function linkLines(top: DomNode): string[] {
  const links = new Map<string, string>();
  const visit = (node: DomNode): void => {
    if (node.name === "a" || node.name === "area") {
      const url = absoluteUrl(node.attributes.get("href"), node);
      // The first text that it goes by; one that is a picture without a name may have a better one further down.
      if (url !== undefined && (links.get(url) ?? "") === "") links.set(url, labelOf(node));
    }
    for (const child of node.children) visit(child);
  };
  visit(top);
  return [...links].map(([url, label]) => {
    const text = clip(label, MAX_TEXT_CHARS);
    return text === "" ? url : `${text} ${url}`;
  });
}

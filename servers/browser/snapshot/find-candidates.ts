import type { CDPSession } from "@cloudflare/puppeteer";
import { ToolError } from "../../shared/errors.ts";
import { ownWorld } from "../chrome/puppeteer-internals.ts";
import type { Query } from "./find-query.ts";

/** A node of a large page whose line may hold what is looked for, or that says where such a line is. */
export interface Candidate {
  readonly objectId: string;
  /** Whether all that is in it may be read. */
  readonly isSmall: boolean;
}

/** Objects of the page that are let go together. */
export const OBJECT_GROUP = "pincer-find";
const MAX_CANDIDATES = 40;
/** Chrome takes some 30 µs an element to have the first of them described. */
const MAX_ELEMENTS = 250_000;

/**
 * Goes through the document in its order and open shadow trees, in a world of its own that the page's scripts cannot
 * touch. Returns `[node, isSmall, node, isSmall, …]`. A row is one line whatever is in it; else text that runs on
 * within a block is.
 */
const SEARCH = `((terms, roleSelector, namedBy, max, maxElements) => {
  const SKIPPED = new Set(["script", "style", "noscript", "template"]);
  const ROW = "tr,[role=row]";
  const BLOCK = "address,article,aside,blockquote,body,button,dd,details,dialog,div,dl,dt,fieldset,figcaption,figure," +
    "footer,form,h1,h2,h3,h4,h5,h6,header,label,li,main,nav,ol,option,p,pre,section,select,summary,table,td,th,ul";
  const HEADING = "h1,h2,h3,h4,h5,h6,[role=heading]";
  const SMALL = 300;
  const found = new Map();
  let heading;
  let [run, box] = [[], undefined];
  const tidy = (text) => text.toLowerCase().replaceAll('"', "").replace(/\\s+/g, " ");
  const has = (text, all = terms) => all.every((term) => text.includes(term));
  const isShown = (element) => element?.checkVisibility({ visibilityProperty: true }) !== false;
  const isSmall = (node) => node.nodeType === 3 || node.getElementsByTagName("*").length <= SMALL;
  const add = (nodes) => {
    if (heading !== undefined && isShown(heading)) found.set(heading, isSmall(heading));
    for (const node of nodes) found.set(node, isSmall(node));
  };
  const endRun = () => {
    if (run.length > 0 && has(tidy(run.map(({ data }) => data).join(box.matches(ROW) ? " " : ""))) && isShown(box)) {
      add(isSmall(box) ? [box] : run);
    }
    [run, box] = [[], undefined];
  };
  const labelOf = (element) =>
    ["aria-label", "placeholder", "alt", "title"].map((name) => element.getAttribute(name) ?? "").join(" ") +
    (element.type === "password" || typeof element.value !== "string" ? "" : " " + element.value);
  const onElement = (element) => {
    if (element.matches(HEADING)) {
      endRun();
      heading = element;
    }
    const label = tidy(labelOf(element));
    const isRole = roleSelector !== null && element.matches(roleSelector);
    if (!has(label) && !(isRole && has(tidy(element.textContent) + " " + label, namedBy))) return;
    const line = element.closest(ROW) ?? element;
    if (isShown(element)) add([isSmall(line) ? line : element]);
  };
  const walk = (root) => {
    const accept = ({ localName }) => (SKIPPED.has(localName) ? NodeFilter.FILTER_REJECT : NodeFilter.FILTER_ACCEPT);
    const walker = document.createTreeWalker(root, NodeFilter.SHOW_ELEMENT | NodeFilter.SHOW_TEXT, accept);
    for (let node = walker.nextNode(); node !== null && found.size < max; node = walker.nextNode()) {
      if (node.nodeType === 3) {
        const parent = node.parentElement ?? root.host;
        const at = parent.closest(ROW) ?? parent.closest(BLOCK) ?? parent;
        if (at !== box) endRun();
        box = at;
        run.push(node);
        continue;
      }
      onElement(node);
      if (node.shadowRoot !== null) {
        endRun();
        walk(node.shadowRoot);
      }
    }
    endRun();
  };
  if (document.getElementsByTagName("*").length > maxElements) return null;
  walk(document);
  for (const frame of document.querySelectorAll("iframe,frame")) found.set(frame, false);
  return [...found].flat();
})`;

/** Finds candidates in a frame, in the order of the document; frames in it come last. */
export async function findCandidates(
  session: CDPSession,
  frameId: string,
  query: Query,
  by: "phrase" | "words",
): Promise<Candidate[]> {
  const executionContextId = await ownWorld(session, frameId);
  const termsOf = (text: string): string[] => (by === "phrase" ? [text] : text.split(" "));
  const input = [termsOf(query.phrase), query.roleSelector ?? null, termsOf(query.rest), MAX_CANDIDATES, MAX_ELEMENTS]
    .map((value) => JSON.stringify(value))
    .join(",");
  const { result, exceptionDetails } = await session.send("Runtime.evaluate", {
    contextId: executionContextId,
    expression: `${SEARCH}(${input})`,
    objectGroup: OBJECT_GROUP,
  });
  if (exceptionDetails !== undefined) throw new Error(`The search failed: ${exceptionDetails.exception?.description}`);
  if (result.objectId === undefined) {
    throw new ToolError(
      "too_large",
      "The page is too large to be searched; take a browser_screenshot, or open another page.",
    );
  }
  const { result: properties } = await session.send("Runtime.getProperties", {
    objectId: result.objectId,
    ownProperties: true,
  });
  const entries = properties.filter(({ name }) => /^\d+$/.test(name)).map(({ value }) => value);
  return entries.flatMap((entry, index) => {
    if (entry?.objectId === undefined) return [];
    return [{ objectId: entry.objectId, isSmall: entries[index + 1]?.value === true }];
  });
}

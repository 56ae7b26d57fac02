import { parseJson } from "./parse-json.ts";

/** What YAML's core schema makes of a front matter, as JSON. */
export type Fields = Readonly<Record<string, unknown>>;

/** The front matter of a Markdown file, and what comes after it. */
export interface FrontMatter {
  readonly fields: Fields;
  readonly body: string;
}

/** Why a front matter is not taken, in a sentence for whoever wrote it. */
export class FrontMatterProblem extends Error {}

const MAX_CHARS = 16_000;
const MAX_DEPTH = 4;
/** Of what is written as JSON, which other agents' skills nest further. */
const MAX_JSON_DEPTH = 16;
const TOO_DEEP = "Its front matter is nested too deep.";

/**
 * Reads the part of YAML 1.2 that front matters are written in: mappings and lists by indentation, strings with and
 * without quotes, block strings, and JSON. What it takes means to any YAML parser what it means here; anything else,
 * anchors, tags and the like among it, is a `FrontMatterProblem`.
 */
export function readFrontMatter(text: string): FrontMatter {
  const [first, ...lines] = text
    .replace(/^\ufeff/, "")
    .replaceAll("\r\n", "\n")
    .split("\n");
  const end = lines.findIndex((line) => /^--- *$/.test(line));
  if (first === undefined || !/^--- *$/.test(first) || end === -1) {
    throw new FrontMatterProblem("It does not begin with a front matter between two lines of ---.");
  }
  const head = lines.slice(0, end);
  if (head.join("\n").length > MAX_CHARS) throw new FrontMatterProblem("Its front matter is too long.");
  if (head.some((line) => /\p{Cc}/u.test(line))) {
    throw new FrontMatterProblem("Its front matter has tabs or other control characters in it.");
  }
  const fields = new Block(head).readAll();
  return {
    fields,
    body: lines
      .slice(end + 1)
      .join("\n")
      .trim(),
  };
}

/** Lines that are read from the first to the last. */
class Block {
  readonly #lines: readonly string[];
  #at = 0;

  constructor(lines: readonly string[]) {
    this.#lines = lines;
  }

  readAll(): Fields {
    const fields = this.#mapping(0, 1);
    const rest = this.#peek();
    if (rest !== undefined) throw this.#unreadable(rest);
    return fields;
  }

  /** The next line that says something; nothing behind the last. */
  #peek(): string | undefined {
    while (/^ *(#.*)?$/.test(this.#lines[this.#at] ?? "end")) this.#at += 1;
    return this.#lines[this.#at];
  }

  #mapping(indent: number, depth: number): Fields {
    if (depth > MAX_DEPTH) throw new FrontMatterProblem(TOO_DEEP);
    const fields = new Map<string, unknown>();
    for (let line = this.#peek(); line !== undefined && indentOf(line) === indent; line = this.#peek()) {
      const [, key, value] = /^ *([a-z_][\w./-]*):(?: +(.*))?$/i.exec(line) ?? [];
      if (key === undefined || /^null$/i.test(key)) throw this.#unreadable(line);
      if (fields.has(key)) throw new FrontMatterProblem(`Its front matter has ${key} twice.`);
      this.#at += 1;
      fields.set(key, this.#value(key, value ?? "", indent, depth));
    }
    return Object.fromEntries(fields);
  }

  #value(key: string, given: string, indent: number, depth: number): unknown {
    const start = trimmed(given);
    if (start === "" || start.startsWith("#")) return this.#nested(indent, depth);
    const [, style, chomp] = /^([|>])(-?)(?: +#.*)?$/.exec(start) ?? [];
    if (style !== undefined) return this.#blockText(style === ">", chomp === "-", indent);
    if (/^["'[{]/.test(start)) return this.#quoted(key, start, indent);
    return plainValue(key, this.#folded(start, indent));
  }

  /** What stands below a key: a mapping further in, or a list, which YAML allows at the key's own place. */
  #nested(indent: number, depth: number): unknown {
    const line = this.#peek();
    if (line === undefined) return null;
    const inner = indentOf(line);
    if (/^ *- /.test(line) && inner >= indent) return this.#list(inner);
    return inner > indent ? this.#mapping(inner, depth + 1) : null;
  }

  #list(indent: number): unknown[] {
    const items: unknown[] = [];
    for (let line = this.#peek(); line !== undefined && indentOf(line) === indent; line = this.#peek()) {
      const [, item] = /^ *- +(.+)$/.exec(line) ?? [];
      if (item === undefined) break;
      if (/^(#|- |[\w./-]+:( |$))/.test(item)) throw this.#unreadable(line);
      this.#at += 1;
      items.push(/^["'[{]/.test(item) ? this.#quoted("A list", trimmed(item), indent) : plainValue("A list", item));
    }
    return items;
  }

  #quoted(key: string, text: string, indent: number): unknown {
    const next = this.#peek();
    if (next !== undefined && indentOf(next) > indent) throw this.#unreadable(next);
    const single = /^'((?:[^']|'')*)'(?: +#.*)?$/.exec(text)?.[1];
    if (single !== undefined) return single.replaceAll("''", "'");
    const names = /^\[([^[\]{}"':#]*)\](?: +#.*)?$/.exec(text)?.[1];
    if (names !== undefined && trimmed(names) === "") return [];
    if (names !== undefined && !/^ *,|, *(,|$)/.test(names)) {
      return names.split(",").map((item) => plainValue(key, item));
    }
    const value = parseJson(text);
    if (value === undefined) {
      throw new FrontMatterProblem(`The value of ${key} in its front matter cannot be read: quote it as JSON does.`);
    }
    if (!isWithin(value, MAX_JSON_DEPTH)) throw new FrontMatterProblem(TOO_DEEP);
    return value;
  }

  /** A string that goes on, further in, over the next lines. */
  #folded(start: string, indent: number): string {
    const parts = [withoutComment(start)];
    for (;;) {
      const line = this.#lines[this.#at];
      if (line === undefined || trimmed(line) === "" || indentOf(line) <= indent) break;
      parts.push(withoutComment(line));
      this.#at += 1;
    }
    const next = this.#peek();
    if (next !== undefined && indentOf(next) > indent) throw this.#unreadable(next);
    return parts.join(" ");
  }

  #blockText(isFolded: boolean, isStripped: boolean, indent: number): string {
    const lines: string[] = [];
    for (let line = this.#lines[this.#at]; line !== undefined; line = this.#lines[this.#at]) {
      if (trimmed(line) !== "" && indentOf(line) <= indent) break;
      lines.push(line);
      this.#at += 1;
    }
    const [first = ""] = lines;
    const inner = indentOf(first);
    const texts = lines.map((line) => line.slice(inner));
    const isUneven = lines.some((line) => trimmed(line) !== "" && indentOf(line) < inner);
    // Lines further in are folded by rules of their own (YAML 1.2, 8.1.3).
    if (isUneven || (isFolded && texts.some((text) => text.startsWith(" ")))) throw this.#unreadable(first);
    if (trimmed(first) === "")
      throw new FrontMatterProblem("Its front matter has a text that begins with an empty line.");
    while (texts.at(-1) === "") texts.pop();
    const kept = texts.join("\n");
    const text = isFolded ? kept.replaceAll(/\n+/g, (breaks) => (breaks === "\n" ? " " : breaks.slice(1))) : kept;
    return isStripped ? text : `${text}\n`;
  }

  #unreadable(line: string): FrontMatterProblem {
    return new FrontMatterProblem(`Its front matter cannot be read at: ${trimmed(line).slice(0, 60)}`);
  }
}

/** Whether it is nested no deeper: whoever writes out what is would run out of stack. */
function isWithin(value: unknown, depth: number): boolean {
  if (typeof value !== "object" || value === null) return true;
  return depth > 0 && Object.values(value).every((part) => isWithin(part, depth - 1));
}

function indentOf(line: string): number {
  return line.search(/[^ ]|$/);
}

function withoutComment(text: string): string {
  return trimmed(text.replace(/ #.*$/, ""));
}

/** Without the spaces that YAML knows; one that does not break is a letter to it. */
function trimmed(text: string): string {
  let end = text.length;
  while (text[end - 1] === " ") end -= 1;
  return text.slice(Math.min(indentOf(text), end), end);
}

/** YAML 1.2, 10.3.2: what a string without quotes stands for. */
function plainValue(key: string, given: string): unknown {
  const text = withoutComment(trimmed(given));
  if (/^[&*!|>%@`?,\]}'"]|^[-?:]( |$)|:( |$)/.test(text)) {
    throw new FrontMatterProblem(
      `Put the value of ${key} in its front matter in quotes: it has a sign of YAML's in it.`,
    );
  }
  if (/^(null|Null|NULL|~|)$/.test(text)) return null;
  if (/^(true|True|TRUE)$/.test(text)) return true;
  if (/^(false|False|FALSE)$/.test(text)) return false;
  if (/^([-+]?(\.\d+|\d+(\.\d*)?)(e[-+]?\d+)?|0o[0-7]+|0x[\da-f]+)$/i.test(text)) return Number(text);
  if (/^([-+]?\.inf|\.nan)$/i.test(text)) throw new FrontMatterProblem(`The value of ${key} is no number of JSON's.`);
  return text;
}

/**
 * Makes `import` work in code that the inspector evaluates, where V8 offers neither form: `import(…)` becomes a call
 * of `$import`, and an import declaration becomes a `const` with an `await`. Strings, comments, templates and
 * regular expressions are left alone.
 */

const IDENTIFIER = /[\w$\u0080-\uffff]/;
/** A slash after one of these begins a regular expression, else it divides. */
const BEFORE_REGEX =
  /(^|[(,=:[!&|?{};+\-*%<>~^]|\b(return|typeof|case|in|of|do|else|void|delete|throw|new|await|yield))\s*$/;
const BEFORE_CHARS = 40;
const MAX_DECLARATION_CHARS = 10_000;
const DECLARATION = /^import\s*(?:([\w$\s{},*]+?)\s*from\s*)?(["'])([^"'\n]+)\2\s*(?:with\s*\{[^}]*\}\s*)?;?/;

/** @param {string} code */
export function withImports(code) {
  if (!/\bimport\b/.test(code)) return code;
  let out = "";
  /** The end of what was read, without comments: what a slash or a declaration comes after. */
  let before = "\n";
  /** How many braces are open in each template expression that we are in. @type {number[]} */
  const templates = [];
  for (let at = 0; at < code.length;) {
    const next = changed(code, at, before) ?? whole(code, at, before, templates);
    out += next.text ?? code.slice(at, next.end);
    if (!next.isComment) before = (before + code.slice(at, next.end)).slice(-BEFORE_CHARS);
    at = next.end;
  }
  return out;
}

/** An import, in the words that take its place. */
function changed(/** @type {string} */ code, /** @type {number} */ at, /** @type {string} */ before) {
  if (!code.startsWith("import", at) || IDENTIFIER.test(code[at - 1] ?? " ") || /\.\s*$/.test(before)) return undefined;
  const rest = code.slice(at, at + MAX_DECLARATION_CHARS);
  const declaration = /(^|[;\n}])[ \t]*$/.test(before) ? DECLARATION.exec(rest) : null;
  if (declaration !== null) {
    return { end: at + declaration[0].length, text: declared(declaration[1], declaration[3] ?? ""), isComment: false };
  }
  return /^import\s*(\/\*|\()/.test(rest)
    ? { end: at + "import".length, text: "$import", isComment: false }
    : undefined;
}

/** Where what begins at `at` ends: a comment, string, template text or regular expression, else one character. */
function whole(
  /** @type {string} */ code,
  /** @type {number} */ at,
  /** @type {string} */ before,
  /** @type {number[]} */ templates,
) {
  const piece = (/** @type {number} */ end, isComment = false) => ({ end, text: undefined, isComment });
  const pair = code.slice(at, at + 2);
  if (pair === "//") return piece(end(code, "\n", at), true);
  if (pair === "/*") return piece(Math.min(code.length, end(code, "*/", at + 2) + 2), true);
  const char = code[at];
  if (char === '"' || char === "'") return piece(literal(code, at + 1, char));
  if (char === "`") return piece(templateEnd(code, at + 1, templates));
  if (char === "/" && BEFORE_REGEX.test(before)) return piece(regexEnd(code, at + 1));
  const open = templates.length - 1;
  if (open >= 0 && char === "{") templates[open] += 1;
  if (open >= 0 && char === "}") {
    if (templates[open] === 0) {
      templates.pop();
      return piece(templateEnd(code, at + 1, templates));
    }
    templates[open] -= 1;
  }
  return piece(at + 1);
}

function end(/** @type {string} */ code, /** @type {string} */ what, /** @type {number} */ from) {
  const found = code.indexOf(what, from);
  return found === -1 ? code.length : found;
}

function literal(/** @type {string} */ code, /** @type {number} */ at, /** @type {string} */ quote) {
  for (; at < code.length && code[at] !== quote && code[at] !== "\n"; at++) if (code[at] === "\\") at += 1;
  return at + 1;
}

function regexEnd(/** @type {string} */ code, /** @type {number} */ at) {
  for (let isClass = false; at < code.length && code[at] !== "\n"; at++) {
    if (code[at] === "\\") at += 1;
    else if (code[at] === "[") isClass = true;
    else if (code[at] === "]") isClass = false;
    else if (code[at] === "/" && !isClass) break;
  }
  return at + 1;
}

/** To the template's end, or into its next expression. */
function templateEnd(/** @type {string} */ code, /** @type {number} */ at, /** @type {number[]} */ templates) {
  for (; at < code.length && code[at] !== "`"; at++) {
    if (code[at] === "\\") at += 1;
    else if (code[at] === "$" && code[at + 1] === "{") {
      templates.push(0);
      return at + 2;
    }
  }
  return at + 1;
}

function declared(/** @type {string | undefined} */ names, /** @type {string} */ from) {
  const load = `await $import(${JSON.stringify(from)});`;
  if (names === undefined) return load;
  const space = /\*\s*as\s+([\w$]+)/.exec(names)?.[1];
  const braces = /\{([^}]*)\}/.exec(names)?.[1];
  const main = /^\s*([\w$]+)/.exec(names)?.[1];
  const parts = (braces ?? "")
    .split(",")
    .map((name) => name.trim().replace(/\s+as\s+/, ": "))
    .filter((name) => name !== "");
  if (main !== undefined) parts.unshift(`default: ${main}`);
  const destructured = `const { ${parts.join(", ")} } = `;
  if (space === undefined) return destructured + load;
  return parts.length === 0
    ? `const ${space} = ${load}`
    : `const ${space} = ${load} const { ${parts.join(", ")} } = ${space};`;
}

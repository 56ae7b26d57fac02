/**
 * Makes `import` work in code that the inspector evaluates, where V8 offers neither form: `import(…)` becomes a call
 * of `$import`, and an import declaration becomes a `const` with an `await`. Strings, comments, templates and
 * regular expressions are left alone.
 */

const IDENTIFIER = /[\w$\u0080-\uffff]/;
/** A slash after one of these begins a regular expression, else it divides. */
const BEFORE_REGEX = /(^|[(,=:[!&|?{};+\-*%<>~^]|\b(return|typeof|case|in|of|do|else|void|delete|throw|new|await|yield))\s*$/;
const DECLARATION = /^import\s*(?:([\w$\s{},*]+?)\s*from\s*)?(["'])([^"'\n]+)\2\s*(?:with\s*\{[^}]*\}\s*)?;?/;

/** @param {string} code */
export function withImports(code) {
  if (!/\bimport\b/.test(code)) return code;
  let out = "";
  /** How many braces are open in each template expression that we are in. @type {number[]} */
  const templates = [];
  for (let at = 0; at < code.length; ) {
    const skipped = skip(code, at, out, templates);
    if (skipped > at) {
      out += code.slice(at, skipped);
      at = skipped;
      continue;
    }
    if (code.startsWith("import", at) && !IDENTIFIER.test(code[at - 1] ?? " ") && !/\.\s*$/.test(out)) {
      const rest = code.slice(at);
      const declaration = DECLARATION.exec(rest);
      if (declaration !== null && /(^|[;\n}])[ \t]*$/.test(out)) {
        out += declared(declaration[1], declaration[3] ?? "");
        at += declaration[0].length;
        continue;
      }
      if (/^import\s*\(/.test(rest)) {
        out += "$import";
        at += "import".length;
        continue;
      }
    }
    const char = code[at] ?? "";
    if (char === "{" && templates.length > 0) templates[templates.length - 1] += 1;
    if (char === "}" && templates.length > 0) {
      if (templates.at(-1) === 0) {
        templates.pop();
        const end = templateEnd(code, at + 1, templates);
        out += code.slice(at, end);
        at = end;
        continue;
      }
      templates[templates.length - 1] -= 1;
    }
    out += char;
    at += 1;
  }
  return out;
}

/** Where the string, comment, template text or regular expression that begins at `at` ends; `at` where none does. */
function skip(/** @type {string} */ code, /** @type {number} */ at, /** @type {string} */ before, /** @type {number[]} */ templates) {
  const pair = code.slice(at, at + 2);
  if (pair === "//") return end(code, "\n", at);
  if (pair === "/*") return Math.min(code.length, end(code, "*/", at + 2) + 2);
  const char = code[at];
  if (char === '"' || char === "'") return literal(code, at + 1, char);
  if (char === "`") return templateEnd(code, at + 1, templates);
  if (char === "/" && BEFORE_REGEX.test(before)) return regexEnd(code, at + 1);
  return at;
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
  const parts = (braces ?? "").split(",").map((name) => name.trim().replace(/\s+as\s+/, ": ")).filter((name) => name !== "");
  if (main !== undefined) parts.unshift(`default: ${main}`);
  const destructured = `const { ${parts.join(", ")} } = `;
  if (space === undefined) return destructured + load;
  return parts.length === 0 ? `const ${space} = ${load}` : `const ${space} = ${load} const { ${parts.join(", ")} } = ${space};`;
}

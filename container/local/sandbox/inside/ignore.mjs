/**
 * Rules as in `.gitignore`: comments, blank lines, `\` before a character that is meant as such, `!` to take one back,
 * `/` at the end for folders only, at the beginning or in the middle for a path from the top, `*`, `?`, `[a-z]` within
 * a name, `**` for any number of folders. The last rule that fits counts. As in git, what lies in a folder that is left
 * out is left out with it. Not as in git: rule files in other folders are not read, and `[[:alpha:]]` is no class.
 */

const MAX_RULES = 1_000;

/** @param {string} text @returns {(path: string, isFolder: boolean) => boolean} */
export function ignoreRules(text) {
  const rules = text
    .split("\n")
    .slice(0, MAX_RULES)
    .flatMap((line) => parseRule(line) ?? []);
  return (path, isFolder) => {
    const last = rules.findLast(({ pattern, isForFolders }) => (isFolder || !isForFolders) && pattern.test(path));
    return last !== undefined && !last.isTakenBack;
  };
}

/** @param {string} line */
function parseRule(line) {
  // Blanks at the end count only where a backslash is before them.
  let glob = line.replace(/\r$/, "").replace(/(?<!\\)[ \t]+$/, "");
  if (glob === "" || glob.startsWith("#")) return undefined;
  const isTakenBack = glob.startsWith("!");
  if (isTakenBack) glob = glob.slice(1);
  const isForFolders = glob.endsWith("/");
  if (isForFolders) glob = glob.slice(0, -1);
  const isFromTop = glob.includes("/");
  if (glob.startsWith("/")) glob = glob.slice(1);
  if (glob === "") return undefined;
  try {
    return {
      pattern: new RegExp(`^${isFromTop ? "" : "(?:.*/)?"}${translate(glob)}$`, "s"),
      isTakenBack,
      isForFolders,
    };
  } catch {
    // No range that a regular expression knows, such as [z-a]: as in git it fits nothing.
    return undefined;
  }
}

/** @param {string} glob */
function translate(glob) {
  let pattern = "";
  for (let rest = glob; rest !== "";) {
    const [part, regExp] = token(rest, pattern === "");
    pattern += regExp;
    rest = rest.slice(part.length);
  }
  return pattern;
}

/** What a glob begins with, and the same as a regular expression. @param {string} rest @param {boolean} isFirst */
function token(rest, isFirst) {
  const [folders] = /^(?:\*\*\/)+/.exec(rest) ?? [];
  if (isFirst && folders !== undefined) return [folders, "(?:.*/)?"];
  const [between] = /^\/(?:\*\*\/)+/.exec(rest) ?? [];
  if (between !== undefined) return [between, "/(?:.*/)?"];
  if (rest === "/**") return [rest, "/.+"];
  const [stars] = /^\*+/.exec(rest) ?? [];
  if (stars !== undefined) return [stars, "[^/]*"];
  if (rest.startsWith("?")) return ["?", "[^/]"];
  const [set, not, range = ""] = /^\[([!^]?)(\]?(?:\\.|[^\]\\])*)\]/s.exec(rest) ?? [];
  if (set !== undefined)
    return [
      set,
      `(?!/)[${not === "" ? "" : "^"}${range.replaceAll(/\\(.)|[[\]^]/gs, (found, escaped) => quote(escaped ?? found))}]`,
    ];
  const [escaped, character] = /^\\(.)/s.exec(rest) ?? [];
  if (escaped !== undefined) return [escaped, quote(character)];
  return [rest.slice(0, 1), quote(rest.slice(0, 1))];
}

/** @param {string} character */
function quote(character) {
  return character.replace(/[\\^$.*+?()[\]{}|/-]/, "\\$&");
}

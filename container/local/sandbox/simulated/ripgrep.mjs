import { Bash, defineCommand, latin1FromBytes } from "just-bash";

/** Options of ripgrep that just-bash does not know and does not need here, with how many words come after each. */
const DROPPED = new Map([
  ["--no-require-git", 0],
  ["--no-heading", 0],
  ["--max-columns-preview", 0],
  ["--max-columns", 1],
  ["--color", 1],
]);

/**
 * just-bash's `rg` under the options that sandbox_search uses. What it cannot do is an error, as it is ripgrep's, and
 * not the answer that nothing was found.
 * @param {import("just-bash").IFileSystem} fs
 */
export function ripgrep(fs) {
  return defineCommand("rg", async (args, { cwd, stdin, signal }) => {
    const bash = new Bash({ fs, commands: ["rg"], cwd });
    const options = { args: translate(args), cwd, stdin: latin1FromBytes(stdin), stdinKind: "bytes", signal };
    const { stdout, stderr, exitCode } = await bash.exec("rg", options);
    return { stdout, stderr, exitCode: exitCode === 1 && stderr !== "" ? 2 : exitCode };
  });
}

/** @param {readonly string[]} args */
function translate(args) {
  /** @type {string[]} */
  const translated = [];
  /** Globs by the name of the type that was made of them. @type {Map<string, string>} */
  const types = new Map();
  for (let at = 0; at < args.length; at++) {
    const [arg = "", next = ""] = args.slice(at, at + 2);
    const [name = "", value] = arg.split("=", 2);
    const words = DROPPED.get(name);
    if (arg === "--") {
      // A path that begins with a dash must not be taken for an option.
      translated.push(...args.slice(at + 1).map((path) => (path.startsWith("-") ? `./${path}` : path)));
      break;
    } else if (words !== undefined) {
      if (value === undefined) at += words;
    } else if (arg === "--type-add") {
      const colon = next.indexOf(":");
      types.set(next.slice(0, colon), next.slice(colon + 1));
      at += 1;
    } else if (arg === "--type" && types.has(next)) {
      translated.push("--glob", types.get(next) ?? "");
      at += 1;
    } else {
      translated.push(arg);
      // What comes after it is its value, whatever it looks like.
      if (arg === "-e" || arg === "--regexp" || arg === "--glob" || arg === "-g") {
        translated.push(next);
        at += 1;
      }
    }
  }
  return translated;
}

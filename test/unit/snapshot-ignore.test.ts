import { execFileSync } from "node:child_process";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { expect, test } from "vitest";
import { ignoreRules } from "../../container/local/sandbox/inside/ignore.mjs";

/** Every file, by its path; folders are what is before the slashes. */
const FILES = [
  ...["a.log", "b.txt", "keep.log", "sub/a.log", "sub/keep.log", "sub/deep/a.log", "build/x", "sub/build/x", "build2"],
  ...["x/build/y", "docs/a/b/tmp/f", "docs/tmp/f", "docs/tmp2", "#hash", "!bang", "a b", "star*", "q?", "[set]", "s1"],
  ...["s2", "sa", "back\\slash", "ünï", "dot.d/file", "trail "],
];

const RULES = [
  ...["*.log", "*.log\n!keep.log", "/a.log", "build", "build/", "/build/", "sub/build", "sub/*", "sub/**", "**/build"],
  ...[
    "docs/**/tmp",
    "docs/**/tmp/",
    "**/tmp/**",
    "#hash",
    "\\#hash",
    "\\!bang",
    "a\\ b",
    "a b  ",
    "trail\\ ",
    "star\\*",
  ],
  ...["q\\?", "s?", "s[12]", "s[!1]", "s[^1-9]", "s[z-a]", "\\[set\\]", "back\\\\slash", "ü*", "*", "*\n!*/\n!*.txt"],
  ...["/*\n!/sub", "sub/\n!sub/a.log", "dot.d", "dot?d", "d*t.d", "**", "/**", "a**g", "", "   ", "!", "/", "x/**/y"],
];

test.each(RULES)("%j leaves out what git leaves out", async (rules) => {
  const folder = await mkdtemp(join(tmpdir(), "pincer-ignore-"));
  try {
    for (const file of FILES) {
      await mkdir(dirname(join(folder, file)), { recursive: true });
      await writeFile(join(folder, file), "");
    }
    await writeFile(join(folder, ".gitignore"), `${rules}\n`);
    execFileSync("git", ["init", "-q"], { cwd: folder });
    const listed = execFileSync("git", ["ls-files", "-z", "--others", "--exclude-standard"], { cwd: folder });
    const kept = listed
      .toString()
      .split("\0")
      .filter((name) => name !== "" && name !== ".gitignore");
    expect(FILES.filter((file) => !isLeftOut(rules, file)).toSorted()).toEqual(kept.toSorted());
  } finally {
    await rm(folder, { recursive: true });
  }
});

/** As a walk meets it: folders first, and what is in one that is left out is never met. Names are bytes there. */
function isLeftOut(rules: string, file: string): boolean {
  const bytes = (text: string): string => String.fromCharCode(...new TextEncoder().encode(text));
  const isIgnored = ignoreRules(bytes(rules));
  const names = bytes(file).split("/");
  return names.some((_, index) => isIgnored(names.slice(0, index + 1).join("/"), index < names.length - 1));
}

test("more rules than anybody writes are not all tried", () => {
  const isIgnored = ignoreRules(`${"x\n".repeat(1_000)}y\n`);
  expect(isIgnored("x", false)).toBe(true);
  expect(isIgnored("y", false)).toBe(false);
});

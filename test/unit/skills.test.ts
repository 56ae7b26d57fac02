import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { expect, test } from "vitest";
import { readPacked, readSkills, unversionedChange } from "../../container/pack-skills.ts";
import { CATALOG } from "../../servers/catalog.ts";
import { parseSkill, skillFileOf, skillUri } from "../../servers/shared/skill.ts";

const MAX_LINES = 60;
/** A call as prose, a line for a shell and a block have it. */
const CALLS = [/`(\w+) (\{[^`]*\})`/g, /tool\.mjs (\w+) '([^']+)'/g, /^ {4}(\w+) (\{\n[^]*?\n {4}\})/gm];

test("what the Worker offers is what the folders hold; after a change run npm run skills", async () => {
  expect(await readPacked()).toEqual(await readSkills());
});

test("a skill that has changed has to have another version", async () => {
  const skills = await readSkills();
  expect(unversionedChange(skills, skills)).toBeUndefined();
  const [name = "", texts = {}] = Object.entries(skills)[0] ?? [];
  const changed = { ...texts, "SKILL.md": `${texts["SKILL.md"]}\nMore.\n` };
  expect(unversionedChange(skills, { ...skills, [name]: changed })).toMatch(`${name} has changed: give it a version`);
  const script = { ...texts, "scripts/new.mjs": "" };
  expect(unversionedChange(skills, { ...skills, [name]: script })).toMatch(`${name} has changed: give it a version`);
  const raised = { "SKILL.md": changed["SKILL.md"].replace(/version: ".*"/, 'version: "99.0.0"') };
  expect(unversionedChange(skills, { ...skills, [name]: raised })).toBeUndefined();
  expect(unversionedChange({}, skills)).toBeUndefined();
});

test.each([
  ["---\nname: a\ndescription: b\n---\n", /metadata needs a version/],
  ["---\nname: a\ndescription: b\nmetadata:\n  version: 1.0\n---\n", /metadata needs a version/],
  ["no front matter", /front matter/],
])("a folder with %j is not packed", async (text, problem) => {
  const folder = await mkdtemp(join(tmpdir(), "skills-"));
  await mkdir(join(folder, "a"));
  await writeFile(join(folder, "a/SKILL.md"), text);
  await expect(readSkills(folder)).rejects.toThrow(problem);
  await rm(folder, { recursive: true });
});

test("each skill is short, has a reserved name, and is about servers and tools that there are", async () => {
  const tools = CATALOG.flatMap((server) => server.tools.map((tool) => tool.name));
  const servers = CATALOG.map(({ name }) => name);
  for (const [name, texts] of Object.entries(await readSkills())) {
    const text = texts["SKILL.md"] ?? "";
    const parsed = parseSkill(name, text);
    expect(parsed, name).toMatchObject({ ok: true, skill: { name, fields: { metadata: {} } } });
    expect(name).toMatch(/^pincer-/);
    expect(text.split("\n").length, name).toBeLessThanOrEqual(MAX_LINES);
    const about = /^ {2}servers: (.+)$/m.exec(text)?.[1]?.split(" ") ?? [];
    expect(about.length, name).toBeGreaterThan(0);
    expect(servers, name).toEqual(expect.arrayContaining(about));
    const named = text.match(/\b(sandbox|interpreter|files|browser|delegate)_[a-z_]+\b/g) ?? [];
    expect(tools, name).toEqual(expect.arrayContaining(named.filter((word) => word !== "sandbox_mode")));
  }
});

test("each call that a skill shows is one that its tool takes", async () => {
  const calls: string[] = [];
  for (const text of Object.values(await readSkills()).map((texts) => texts["SKILL.md"] ?? "")) {
    for (const [, name = "", input = ""] of CALLS.flatMap((form) => [...text.matchAll(form)])) {
      if (input.includes("…")) continue;
      const tool = CATALOG.flatMap(({ tools }) => tools).find((tool) => tool.name === name);
      expect(tool?.input.safeParse(JSON.parse(input)), `${name} ${input}`).toMatchObject({ success: true });
      calls.push(name);
    }
  }
  expect(new Set(calls)).toEqual(
    new Set([
      "browser_open",
      "browser_screenshot",
      "files_share",
      "files_list",
      "sandbox_exec",
      "sandbox_expose",
      "delegate_run",
      "delegate_list",
    ]),
  );
});

test("a description may be as YAML writes it, and has to be one that a person sees", () => {
  const parse = (head: string) => parseSkill("my-skill", `---\nname: my-skill\n${head}\n---\n\nDo it.\n`);
  expect(parse("description: Does it")).toEqual({
    ok: true,
    skill: {
      name: "my-skill",
      description: "Does it",
      fields: { name: "my-skill", description: "Does it" },
      body: "Do it.",
    },
  });
  for (const head of ["description: >-\n  Does\n  it", 'description: "Does it"', "description: 'Does it' # so"]) {
    expect(parse(head)).toMatchObject({ ok: true, skill: { description: "Does it" } });
  }
  for (const [head, problem] of [
    ["", /needs a description/],
    ["description:", /needs a description/],
    ["description: 7", /needs a description/],
    [`description: ${"x".repeat(1_025)}`, /needs a description/],
    ["description: a\u200bb", /needs a description/],
    ["description: a\u0007b", /control characters/],
    ["description: a: b", /description .* in quotes/],
    ["description: &a b", /description .* in quotes/],
    ["description: !!js/function x", /description .* in quotes/],
    ["description: one\ndescription: two", /description twice/],
    ["description: a\nmetadata:\n  b:\n    c:\n      d:\n        e: 1", /too deep/],
    [`description: a\nmetadata: {"b":${"[".repeat(7_000)}${"]".repeat(7_000)}}`, /too deep/],
    ["description: a\n  b:\n c: 1", /quotes|cannot be read/],
    [`description: a\nx: ${"y".repeat(17_000)}`, /too long/],
  ] as const) {
    expect(parse(head), head.slice(0, 80)).toMatchObject({ ok: false, problem: expect.stringMatching(problem) });
  }
  const install = '{"openclaw":{"install":[{"kind":"brew","bins":["gh"]}]}}';
  expect(parse(`description: a\nmetadata: ${install}`)).toMatchObject({ ok: true });
});

test.each(["My-skill", "my_skill", "-my", "my--skill", "x".repeat(65), "", "../up", "skill/part"])(
  "%j is no name of a skill",
  (name) => {
    expect(parseSkill(name, `---\nname: "${name}"\ndescription: a\n---\n`)).toMatchObject({ ok: false });
  },
);

test("whatever a file holds, it is a skill or is told why not", () => {
  const pieces = [
    ": ",
    "- ",
    "#",
    "'",
    '"',
    "[",
    "]",
    "{",
    "}",
    "|",
    ">",
    "\n",
    "  ",
    "a",
    "1",
    "&",
    "*",
    "~",
    "\t",
    "name: a\n",
  ];
  const text = fc
    .array(fc.oneof(fc.constantFrom(...pieces), fc.string({ unit: "binary" })))
    .map((parts) => parts.join(""));
  fc.assert(
    fc.property(text, (head) => {
      const parsed = parseSkill("a", `---\n${head}\n---\n`);
      expect(parsed.ok ? parsed.skill.name : parsed.problem).not.toBe("");
    }),
  );
  for (const long of [" ", "\n", "'", "''", ", ", "- ", "[", "a: ", " #", "\n  ", "|\n ", "-"].map((piece) =>
    piece.repeat(7_000),
  )) {
    expect(parseSkill("a", `---\ndescription: ${long}x\n---\n`).ok).toBe(false);
    expect(parseSkill("a", `---\ndescription: |\n  x${long}x\n---\n`).ok).toBe(false);
  }
});

test("a skill whose name is not its folder's is refused", () => {
  expect(parseSkill("one", "---\nname: two\ndescription: a\n---\n")).toMatchObject({
    ok: false,
    problem: expect.stringContaining("folder's"),
  });
});

test("front matter means what YAML says it means, to the last type", () => {
  const head = [
    "name: a",
    "description: |",
    "  One",
    "    two",
    "",
    "  three",
    "license: MIT # free",
    "metadata:",
    "  version: 1.0",
    '  author: "A\\u00e9"',
    "  since: 2026-01-01",
    "  draft: false",
    "allowed-tools:",
    "- Read",
    "- 'Bash(git *)'",
    "tags: [x, y z]",
    'openclaw: {"requires": {"bins": ["git"]}}',
    "nothing: ~",
    "__proto__: 1",
  ];
  const parsed = parseSkill("a", ["---", ...head, "---", "Body"].join("\r\n"));
  expect(parsed).toMatchObject({ ok: true });
  const fields = parsed.ok ? Object.entries(parsed.skill.fields) : [];
  expect(fields).toEqual([
    ["name", "a"],
    ["description", "One\n  two\n\nthree\n"],
    ["license", "MIT"],
    ["metadata", { version: 1, author: "Aé", since: "2026-01-01", draft: false }],
    ["allowed-tools", ["Read", "Bash(git *)"]],
    ["tags", ["x", "y z"]],
    ["openclaw", { requires: { bins: ["git"] } }],
    ["nothing", null],
    ["__proto__", 1],
  ]);
});

test("a skill's URI leads back to its file, and a URI of anything else to none", () => {
  expect(skillUri("a-b", "scripts/ä b.mjs")).toBe("skill://a-b/scripts/%C3%A4%20b.mjs");
  expect(skillFileOf("skill://a-b/scripts/%C3%A4%20b.mjs")).toEqual({ name: "a-b", path: "scripts/ä b.mjs" });
  for (const uri of [
    "skill://a-b",
    "skill://a-b/",
    "skill:///x",
    "skill://A/x",
    "skill://a/%",
    "files:///a/b",
    "skill://a..b/x",
  ]) {
    expect(skillFileOf(uri), uri).toBeUndefined();
  }
});

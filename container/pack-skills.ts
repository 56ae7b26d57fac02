import { readFile, readdir, writeFile } from "node:fs/promises";
import { join, relative } from "node:path";
import * as z from "zod";
import { SKILL_FILE, parseSkill } from "../servers/shared/skill.ts";

const FOLDER = join(import.meta.dirname, "skills");
const PACKED = join(import.meta.dirname, "skills.json");

/** The texts of all files of each skill, by their paths in its folder. */
const packedSchema = z.record(z.string(), z.record(z.string(), z.string()));
type PackedSkills = z.output<typeof packedSchema>;

/** What is in the folders now. Throws where one holds no skill, or none with a version. */
export async function readSkills(folder: string = FOLDER): Promise<PackedSkills> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
  const skills: Record<string, Record<string, string>> = {};
  for (const file of files.toSorted()) {
    const [name = "", ...path] = relative(folder, file).split("/");
    (skills[name] ??= {})[path.join("/")] = await readFile(file, "utf8");
  }
  for (const [name, texts] of Object.entries(skills)) versionOf(name, texts);
  return skills;
}

/** Why `skills` may not take the place of what was packed: people know what they have by its version. */
export function unversionedChange(packed: PackedSkills, skills: PackedSkills): string | undefined {
  for (const [name, texts] of Object.entries(skills)) {
    const before = packed[name];
    if (before === undefined || JSON.stringify(before) === JSON.stringify(texts)) continue;
    const version = versionOf(name, texts);
    if (version === versionOf(name, before)) return `${name} has changed: give it a version other than ${version}.`;
  }
  return undefined;
}

export async function readPacked(): Promise<PackedSkills> {
  return packedSchema.parse(JSON.parse(await readFile(PACKED, "utf8")));
}

function versionOf(name: string, texts: Readonly<Record<string, string>>): string {
  const parsed = parseSkill(name, texts[SKILL_FILE] ?? "");
  if (!parsed.ok) throw new Error(`${name}: ${parsed.problem}`);
  const { metadata } = parsed.skill.fields;
  const version = typeof metadata === "object" && metadata !== null && "version" in metadata ? metadata.version : "";
  if (typeof version !== "string" || !/^\d+\.\d+\.\d+$/.test(version)) {
    throw new Error(`${name}: its metadata needs a version such as "1.0.0", in quotes.`);
  }
  return version;
}

/** `npm run skills`: packs the skills into the one file that the Worker, whatever bundles it, takes its texts from. */
if (import.meta.main) {
  const skills = await readSkills();
  const problem = unversionedChange(await readPacked(), skills);
  if (problem === undefined) await writeFile(PACKED, `${JSON.stringify(skills, undefined, 2)}\n`);
  else {
    console.error(problem);
    process.exitCode = 1;
  }
}

import { type Fields, FrontMatterProblem, readFrontMatter } from "./front-matter.ts";
import { INVISIBLE } from "./paths.ts";

/** What a folder of a skill has to hold (https://agentskills.io/specification). */
export const SKILL_FILE = "SKILL.md";

const MAX_NAME_CHARS = 64;
const MAX_DESCRIPTION_CHARS = 1_024;

export interface Skill {
  readonly name: string;
  readonly description: string;
  /** All of the front matter, as JSON. */
  readonly fields: Fields;
  /** The instructions, without the front matter. */
  readonly body: string;
}

/** A skill, or why it is none, in a sentence for whoever wrote it. */
export type ParsedSkill =
  | { readonly ok: true; readonly skill: Skill }
  | { readonly ok: false; readonly problem: string };

/** Reads the SKILL.md of the folder `folderName`. */
export function parseSkill(folderName: string, text: string): ParsedSkill {
  try {
    const { fields, body } = readFrontMatter(text);
    const { name, description } = fields;
    if (typeof name !== "string" || name !== folderName || !isSkillName(name)) return refuse(NAME_RULE);
    if (typeof description !== "string" || !isDescription(description)) return refuse(DESCRIPTION_RULE);
    return { ok: true, skill: { name, description: description.trim(), fields, body } };
  } catch (failure) {
    if (failure instanceof FrontMatterProblem) return refuse(failure.message);
    throw failure;
  }
}

const NAME_RULE = `Its name has to be the folder's: at most ${MAX_NAME_CHARS} of a-z, 0-9 and single hyphens between them.`;
const DESCRIPTION_RULE = `It needs a description of at most ${MAX_DESCRIPTION_CHARS} characters, all of them to be seen.`;

export function isSkillName(name: string): boolean {
  return name.length <= MAX_NAME_CHARS && /^[a-z0-9]+(-[a-z0-9]+)*$/.test(name);
}

function isDescription(text: string): boolean {
  return text.trim() !== "" && text.length <= MAX_DESCRIPTION_CHARS && text.isWellFormed() && !INVISIBLE.test(text);
}

function refuse(problem: string): ParsedSkill {
  return { ok: false, problem };
}

/** A skill's file as an MCP resource names it (SEP-2640): `skill://pincer-files/SKILL.md`. */
export function skillUri(name: string, path: string): string {
  return `skill://${name}/${path.split("/").map(encodeURIComponent).join("/")}`;
}

/** The skill and the file in such a URI; `undefined` where it is none. */
export function skillFileOf(uri: string): { readonly name: string; readonly path: string } | undefined {
  const [, name = "", path = ""] = /^skill:\/\/([a-z0-9-]+)\/(.+)$/.exec(uri) ?? [];
  try {
    return isSkillName(name) ? { name, path: decodeURIComponent(path) } : undefined;
  } catch {
    return undefined;
  }
}

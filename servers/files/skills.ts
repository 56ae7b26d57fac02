import { ToolError } from "../shared/errors.ts";
import { fileUri } from "../shared/file-uri.ts";
import { type ParsedSkill, SKILL_FILE, type Skill, isSkillName, parseSkill } from "../shared/skill.ts";
import { decodeUtf8 } from "../shared/text.ts";
import { type ResourceContent, completePath, readFileResource } from "./resources.ts";
import type { FileStore } from "./store.ts";

/** Where people keep skills of their own: `skills/<name>/SKILL.md`. */
const FOLDER = "skills/";

const MAX_SKILLS = 50;
const MAX_SKILL_BYTES = 64 * 1024;

/** A folder of skills that is left out of the lists, and why. */
export interface LeftOut {
  readonly path: string;
  readonly problem: string;
}

export interface OwnSkills {
  readonly skills: readonly Skill[];
  readonly leftOut: readonly LeftOut[];
}

/** A skill's file with what a client checks it by. */
export interface SkillFile {
  readonly path: string;
  readonly sizeBytes: number;
  /** SHA-256 in hex. */
  readonly sha256: string;
}

export interface FilesLimit {
  readonly maxFiles: number;
  readonly maxBytes: number;
}

/** The person's own skills, by name. One that cannot be read is told of and holds up none of the others. */
export async function listOwnSkills(files: FileStore, isReserved: (name: string) => boolean): Promise<OwnSkills> {
  const page = await files.list({ folder: FOLDER, recursive: false, limit: 1_000 });
  const names = page.folders.map((folder) => folder.slice(FOLDER.length, -1));
  const read = names
    .slice(0, MAX_SKILLS)
    .map(async (name) => ({ name, parsed: await readOwn(files, name, isReserved) }));
  const all = await Promise.all(read);
  const leftOut = all.flatMap(({ name, parsed }) =>
    parsed.ok ? [] : [{ path: FOLDER + name, problem: parsed.problem }],
  );
  const isMore = names.length > MAX_SKILLS || page.cursor !== undefined;
  const rest = isMore ? [{ path: FOLDER, problem: `Only the first ${MAX_SKILLS} folders are looked into.` }] : [];
  return { skills: all.flatMap(({ parsed }) => (parsed.ok ? [parsed.skill] : [])), leftOut: [...leftOut, ...rest] };
}

/** The person's skill of that name, or `undefined` where there is no such file. Rejects where the file is no skill. */
export async function findOwnSkill(files: FileStore, name: string): Promise<Skill | undefined> {
  const text = await readText(files, name);
  if (text === undefined) return undefined;
  const parsed = parseSkill(name, text);
  if (parsed.ok) return parsed.skill;
  throw new ToolError("invalid_input", `${FOLDER}${name}/${SKILL_FILE} is no skill. ${parsed.problem}`);
}

export async function readOwnSkillFile(
  files: FileStore,
  name: string,
  path: string,
): Promise<ResourceContent | undefined> {
  return await readFileResource(files, fileUri(`${FOLDER}${name}/${path}`));
}

/** Every file of the person's skill `name`, or `undefined` where they are more than `limit` allows. */
export async function describeOwnFiles(
  files: FileStore,
  name: string,
  { maxFiles, maxBytes }: FilesLimit,
): Promise<readonly SkillFile[] | undefined> {
  const folder = `${FOLDER}${name}/`;
  const page = await files.list({ folder, recursive: true, limit: maxFiles });
  const sizeBytes = page.files.reduce((sum, file) => sum + file.sizeBytes, 0);
  if (page.cursor !== undefined || sizeBytes > maxBytes) return undefined;
  return await Promise.all(
    page.files.map(async ({ path }) => {
      const file = await files.read(path);
      const digest = new crypto.DigestStream("SHA-256");
      await file.body.pipeTo(digest);
      const sha256 = new Uint8Array(await digest.digest).toHex();
      return { path: path.slice(folder.length), sizeBytes: file.sizeBytes, sha256 };
    }),
  );
}

export async function completeOwnFile(files: FileStore, name: string, begun: string): Promise<readonly string[]> {
  const folder = `${FOLDER}${name}/`;
  const { values } = await completePath(files, folder + begun);
  return values.map((path) => path.slice(folder.length));
}

async function readOwn(files: FileStore, name: string, isReserved: (name: string) => boolean): Promise<ParsedSkill> {
  if (isReserved(name))
    return { ok: false, problem: "That name is Pincer's own; give the folder and the skill another." };
  if (!isSkillName(name)) return { ok: false, problem: "A skill's folder has a name of a-z, 0-9 and single hyphens." };
  try {
    const text = await readText(files, name);
    return text === undefined ? { ok: false, problem: `It has no ${SKILL_FILE}.` } : parseSkill(name, text);
  } catch (failure) {
    if (failure instanceof ToolError) return { ok: false, problem: failure.message };
    throw failure;
  }
}

async function readText(files: FileStore, name: string): Promise<string | undefined> {
  const path = `${FOLDER}${name}/${SKILL_FILE}`;
  const file = await files.read(path).catch((failure: unknown) => {
    if (failure instanceof ToolError && failure.code === "not_found") return undefined;
    throw failure;
  });
  if (file === undefined) return undefined;
  if (file.sizeBytes > MAX_SKILL_BYTES) {
    await file.body.cancel();
    throw new ToolError("too_large", `${path} has more than ${MAX_SKILL_BYTES / 1024} KB.`);
  }
  const text = decodeUtf8(await new Response(file.body).bytes());
  if (text === undefined) throw new ToolError("invalid_input", `${path} is no text in UTF-8.`);
  return text;
}

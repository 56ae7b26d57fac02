import packed from "../../container/skills.json" with { type: "json" };
import {
  type OwnSkills,
  type SkillFile,
  completeOwnFile,
  describeOwnFiles,
  findOwnSkill,
  listOwnSkills,
  readOwnSkillFile,
} from "../files/skills.ts";
import { mimeTypeOf } from "../files/bucket.ts";
import type { ResourceContent } from "../files/resources.ts";
import type { FileStore } from "../files/store.ts";
import { SKILL_FILE, type Skill, isSkillName, parseSkill, skillFileOf } from "../shared/skill.ts";
import type { ServerDefinition } from "./tool.ts";

/** A skill that comes with the suite. */
interface BuiltIn {
  readonly skill: Skill;
  /** Its tools are of these servers: where none of them is, it would teach what is not there. */
  readonly servers: readonly string[];
  readonly texts: ReadonlyMap<string, string>;
}

const BUILT_IN: readonly BuiltIn[] = Object.entries(packed).map(([name, texts]) => readBuiltIn(name, texts));

/** Where the suite's skills are in a sandbox, and people's own. */
const FOLDER_INSIDE = "/opt/skills/";
const OWN_FOLDER_INSIDE = "/workspace/files/skills/";

const MAX_FILES = { maxFiles: 512, maxBytes: 16 * 1024 * 1024 };
/** So many in a list of all: there each file of each skill is read. */
const MAX_LISTED_FILES = { maxFiles: 20, maxBytes: 256 * 1024 };

const encoder = new TextEncoder();

/** A skill with all of its files, as hosts verify it. */
export interface SkillEntry {
  readonly skill: Skill;
  readonly files: readonly SkillFile[];
}

/** The skills that one request's caller is offered: those of the suite, and their own where their files may be read. */
export interface Shelf {
  /** Whether people's own are among them. */
  readonly hasOwn: boolean;
  list(): Promise<OwnSkills>;
  isBuiltIn(name: string): boolean;
  /** Rejects where the person has such a folder, and it holds no skill. */
  find(name: string): Promise<Skill | undefined>;
  /** The file behind a `skill://` URI. */
  read(uri: string): Promise<ResourceContent | undefined>;
  /** Those that are small enough to be read for a list. */
  listEntries(): Promise<readonly SkillEntry[]>;
  /** Nothing where there is no such skill, or more of it than a host has to take. */
  findEntry(name: string): Promise<SkillEntry | undefined>;
  completeName(begun: string): Promise<readonly string[]>;
  completePath(name: string, begun: string): Promise<readonly string[]>;
}

/** `ownFiles` are there where the caller may read them. */
export function createShelf(servers: readonly ServerDefinition[], ownFiles: FileStore | undefined): Shelf {
  const builtIn = BUILT_IN.filter((skill) =>
    skill.servers.some((name) => servers.some((server) => server.name === name)),
  );
  const builtInNamed = (name: string): BuiltIn | undefined => builtIn.find(({ skill }) => skill.name === name);
  const ownNamed = (name: string): FileStore | undefined =>
    isSkillName(name) && !isReserved(name) ? ownFiles : undefined;

  const list = async (): Promise<OwnSkills> => {
    const own = ownFiles === undefined ? { skills: [], leftOut: [] } : await listOwnSkills(ownFiles, isReserved);
    return { ...own, skills: [...builtIn.map(({ skill }) => skill), ...own.skills] };
  };
  const find = async (name: string): Promise<Skill | undefined> => {
    const files = ownNamed(name);
    return builtInNamed(name)?.skill ?? (files === undefined ? undefined : await findOwnSkill(files, name));
  };
  const describe = async (skill: Skill, limit: typeof MAX_FILES): Promise<SkillEntry | undefined> => {
    const known = builtInNamed(skill.name);
    const own = ownNamed(skill.name);
    const files =
      known !== undefined ? await describeTexts(known) : own && (await describeOwnFiles(own, skill.name, limit));
    return files === undefined ? undefined : { skill, files };
  };

  return {
    hasOwn: ownFiles !== undefined,
    list,
    isBuiltIn: (name) => builtInNamed(name) !== undefined,
    find,

    read: async (uri) => {
      const { name, path } = skillFileOf(uri) ?? { name: "", path: "" };
      const text = builtInNamed(name)?.texts.get(path);
      if (text !== undefined) return { uri, mimeType: mimeTypeOf(path), text };
      const files = ownNamed(name);
      const content = files === undefined ? undefined : await readOwnSkillFile(files, name, path);
      return content === undefined ? undefined : { ...content, uri };
    },

    listEntries: async () => {
      const { skills } = await list();
      const entries = await Promise.all(skills.map(async (skill) => await describe(skill, MAX_LISTED_FILES)));
      return entries.filter((entry) => entry !== undefined);
    },

    findEntry: async (name) => {
      const skill = await find(name);
      return skill === undefined ? undefined : await describe(skill, MAX_FILES);
    },

    completeName: async (begun) =>
      (await list()).skills.map(({ name }) => name).filter((name) => name.startsWith(begun)),

    completePath: async (name, begun) => {
      const known = builtInNamed(name);
      if (known !== undefined) return [...known.texts.keys()].filter((path) => path.startsWith(begun));
      const files = ownNamed(name);
      return files === undefined ? [] : await completeOwnFile(files, name, begun);
    },
  };
}

/** The suite's names stay the suite's, those to come as well, and so does that of the prompt `memory`. */
function isReserved(name: string): boolean {
  return name.startsWith("pincer-") || name === "memory";
}

/** What a prompt says: the instructions, and where the files are that they speak of. */
export function instruct({ name, body }: Skill): string {
  const folder = isReserved(name) ? FOLDER_INSIDE : OWN_FOLDER_INSIDE;
  return `The files of the skill ${name} are at skill://${name}/, and in a sandbox at ${folder}${name}/.\n\n${body}`;
}

function readBuiltIn(name: string, texts: Readonly<Record<string, string>>): BuiltIn {
  const parsed = parseSkill(name, texts[SKILL_FILE] ?? "");
  if (!parsed.ok) throw new Error(`${name}: ${parsed.problem}`);
  const { metadata } = parsed.skill.fields;
  const isMapping = typeof metadata === "object" && metadata !== null && "servers" in metadata;
  const servers = isMapping ? String(metadata.servers).split(" ") : [];
  return { skill: parsed.skill, servers, texts: new Map(Object.entries(texts)) };
}

async function describeTexts({ texts }: BuiltIn): Promise<readonly SkillFile[]> {
  return await Promise.all(
    Array.from(texts, async ([path, text]) => {
      const bytes = encoder.encode(text);
      const sha256 = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes)).toHex();
      return { path, sizeBytes: bytes.length, sha256 };
    }),
  );
}

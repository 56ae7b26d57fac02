import { ResourceNotFoundError, type Server } from "@modelcontextprotocol/server";
import { FILES_URI_TEMPLATE, type ResourceContent, listFileResources, readFileResource } from "../files/resources.ts";
import type { LeftOut } from "../files/skills.ts";
import { SKILL_FILE, type Skill, skillFileOf, skillUri } from "../shared/skill.ts";
import type { CallPipeline } from "./call.ts";
import { OPEN_GATE } from "./gate.ts";
import { callMethod } from "./method-call.ts";
import type { Shelf } from "./skills.ts";

const USAGE = {
  uri: "account://usage",
  name: "usage",
  title: "Your usage",
  description: "What you have used today (UTC) and what it cost, your limits and what is left of them",
  mimeType: "application/json",
};

export const SKILL_URI_TEMPLATE = "skill://{name}/{+path}";

const FILE_TEMPLATE = { uriTemplate: FILES_URI_TEMPLATE, name: "File", description: "A file of the workspace" };
const SKILL_TEMPLATE = { uriTemplate: SKILL_URI_TEMPLATE, name: "Skill", description: "A file of a skill" };

export const FILES_SCOPES = ["files:read"] as const;

/**
 * Serves resources: on every endpoint how the caller stands and the skills, where there is a files server their files.
 * Files are read as through tools, with the same scope; how they stand, callers are told also when nothing else is let in.
 */
export function serveResources(server: Server, pipeline: CallPipeline, shelf: Shelf, hasFiles: boolean): void {
  const { files } = pipeline.capabilities;

  server.setRequestHandler("resources/templates/list", () => ({
    resourceTemplates: [...(shelf.hasOwn ? [FILE_TEMPLATE] : []), SKILL_TEMPLATE],
  }));
  server.setRequestHandler("resources/list", async ({ params }) => {
    const cursor = params?.cursor;
    const listFirst = async () => {
      if (cursor !== undefined) return { resources: [] };
      const { skills, leftOut } = await shelf.list();
      return { resources: [USAGE, ...skills.map(describeSkill)], ...tellLeftOut(leftOut) };
    };
    if (!shelf.hasOwn) return await listFirst();
    const method = { name: "resources/list", scopes: FILES_SCOPES };
    return await callMethod(method, params, pipeline, async () => {
      const [first, page] = await Promise.all([listFirst(), listFileResources(files, cursor)]);
      return { ...first, ...page, resources: [...first.resources, ...page.resources] };
    });
  });
  server.setRequestHandler("resources/read", async ({ params: { uri } }) => {
    const content = uri === USAGE.uri ? await readUsage(pipeline) : await read(uri);
    if (content === undefined) throw new ResourceNotFoundError(uri);
    return { contents: [content] };
  });

  async function read(uri: string): Promise<ResourceContent | undefined> {
    const { name } = skillFileOf(uri) ?? {};
    const isBuiltIn = name !== undefined && shelf.isBuiltIn(name);
    if (!isBuiltIn && !hasFiles) return undefined;
    const method = { name: "resources/read", scopes: isBuiltIn ? [] : FILES_SCOPES };
    const work = async () => (name === undefined ? await readFileResource(files, uri) : await shelf.read(uri));
    return await callMethod(method, { uri }, pipeline, work);
  }
}

/** As SEP-2640 has it. */
function describeSkill({ name, description }: Skill) {
  return { uri: skillUri(name, SKILL_FILE), name, description, mimeType: "text/markdown" };
}

/** A note beside a list, for whoever wonders where a skill of theirs is. */
export function tellLeftOut(leftOut: readonly LeftOut[]): { readonly _meta?: Record<string, unknown> } {
  return leftOut.length === 0 ? {} : { _meta: { "pincer/left_out": leftOut } };
}

async function readUsage(pipeline: CallPipeline): Promise<ResourceContent> {
  const { uri, mimeType } = USAGE;
  const method = { name: "account/usage", scopes: [] };
  const report = await callMethod(method, {}, { ...pipeline, gate: OPEN_GATE }, pipeline.readUsage);
  return { uri, mimeType, text: JSON.stringify(report) };
}

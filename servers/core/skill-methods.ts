import { ProtocolError, ProtocolErrorCode, type Server } from "@modelcontextprotocol/server";
import * as z from "zod";
import { SKILL_FILE, skillFileOf, skillUri } from "../shared/skill.ts";
import type { CallPipeline } from "./call.ts";
import { callMethod } from "./method-call.ts";
import type { Shelf, SkillEntry } from "./skills.ts";

/* The extension io.modelcontextprotocol/skills (SEP-2640), of 2026-07-28: hosts load skills by it as they load files. */

export const SKILLS_EXTENSION = { "io.modelcontextprotocol/skills": {} };

const listParams = z.object({ cursor: z.string().optional() });
const getParams = z.object({ uri: z.string().max(4_000) });

/** People change their own at any time. */
const CACHING = { ttlMs: 0, cacheScope: "private" };

export function serveSkillMethods(server: Server, pipeline: CallPipeline, shelf: Shelf): void {
  server.setRequestHandler("skills/list", { params: listParams }, async () => {
    const method = { name: "skills/list", scopes: [] };
    const entries = await callMethod(method, {}, pipeline, shelf.listEntries);
    return { skills: entries.map(describeEntry), ...CACHING };
  });
  server.setRequestHandler("skills/get", { params: getParams }, async ({ uri }) => {
    const { name = "", path } = skillFileOf(uri) ?? {};
    const find = async () => (path === SKILL_FILE ? await shelf.findEntry(name) : undefined);
    const entry = await callMethod({ name: "skills/get", scopes: [] }, { uri }, pipeline, find);
    if (entry === undefined) {
      throw new ProtocolError(ProtocolErrorCode.InvalidParams, `Unknown skill: ${uri.slice(0, 200)}`);
    }
    return { skill: describeEntry(entry), ...CACHING };
  });
}

function describeEntry({ skill, files }: SkillEntry) {
  return {
    uri: skillUri(skill.name, SKILL_FILE),
    frontmatter: skill.fields,
    resources: files.map(({ path, sizeBytes, sha256 }) => ({
      uri: skillUri(skill.name, path),
      digest: `sha256:${sha256}`,
      size: sizeBytes,
    })),
  };
}

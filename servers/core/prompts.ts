import { ProtocolError, ProtocolErrorCode, type Server } from "@modelcontextprotocol/server";
import { describeMemory } from "../files/memory.ts";
import type { CallPipeline } from "./call.ts";
import { callMethod } from "./method-call.ts";
import { FILES_SCOPES, tellLeftOut } from "./resources.ts";
import { type Shelf, instruct } from "./skills.ts";

const MEMORY_PROMPT = {
  name: "memory",
  title: "Memory",
  description: "How to use the notes that all your clients share, and what is in them",
};

/**
 * Serves a prompt for each skill, and the memory where there is a files server. What looks at files needs the same scope
 * as a tool and leaves the same entry in the books.
 */
export function servePrompts(server: Server, pipeline: CallPipeline, shelf: Shelf, hasFiles: boolean): void {
  const { files } = pipeline.capabilities;

  server.setRequestHandler("prompts/list", async ({ params }) => {
    const method = { name: "prompts/list", scopes: FILES_SCOPES };
    const { skills, leftOut } = shelf.hasOwn
      ? await callMethod(method, params, pipeline, shelf.list)
      : await shelf.list();
    const ofSkills = skills.map(({ name, description }) => ({ name, description }));
    return { prompts: [...(shelf.hasOwn ? [MEMORY_PROMPT] : []), ...ofSkills], ...tellLeftOut(leftOut) };
  });

  server.setRequestHandler("prompts/get", async ({ params: { name } }) => {
    const method = { name: "prompts/get", scopes: hasFiles && !shelf.isBuiltIn(name) ? FILES_SCOPES : [] };
    const prompt = await callMethod(method, { name }, pipeline, async () => {
      if (hasFiles && name === MEMORY_PROMPT.name) {
        return { description: MEMORY_PROMPT.description, text: await describeMemory(files) };
      }
      const skill = await shelf.find(name);
      return skill && { description: skill.description, text: instruct(skill) };
    });
    if (prompt === undefined) {
      throw new ProtocolError(ProtocolErrorCode.InvalidParams, `Unknown prompt: ${name.slice(0, 100)}`);
    }
    const { description, text } = prompt;
    return { description, messages: [{ role: "user", content: { type: "text", text } }] };
  });
}

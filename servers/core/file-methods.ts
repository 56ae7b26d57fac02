import { ProtocolError, ProtocolErrorCode, type Server } from "@modelcontextprotocol/server";
import { describeMemory } from "../files/memory.ts";
import { FILES_URI_TEMPLATE, completePath } from "../files/resources.ts";
import type { CallPipeline } from "./call.ts";
import { callMethod } from "./method-call.ts";
import { FILES_SCOPES } from "./resources.ts";

/** What the files server offers beside tools and resources. */
export const FILE_CAPABILITIES = { prompts: {}, completions: {} };

const MEMORY_PROMPT = {
  name: "memory",
  title: "Memory",
  description: "How to use the notes that all your clients share, and what is in them",
};

/** Methods of MCP that look at files, as tools do: with the same scope, leaving the same entry in the books. */
export function serveFileMethods(server: Server, pipeline: CallPipeline): void {
  const { files } = pipeline.capabilities;
  const mayRead = FILES_SCOPES.every((scope) => pipeline.caller.scopes.includes(scope));
  const record = async <Outcome>(name: string, input: unknown, work: () => Promise<Outcome>): Promise<Outcome> =>
    await callMethod({ name, scopes: FILES_SCOPES }, input, pipeline, work);

  server.setRequestHandler("completion/complete", async ({ params: { ref, argument } }) => {
    const isPath = ref.type === "ref/resource" && ref.uri === FILES_URI_TEMPLATE && argument.name === "path";
    if (!isPath || !mayRead) return { completion: { values: [], hasMore: false } };
    const complete = async () => await completePath(files, argument.value);
    const { values, hasMore } = await record("completion/complete", argument, complete);
    return { completion: { values: [...values], hasMore } };
  });

  server.setRequestHandler("prompts/list", () => ({ prompts: mayRead ? [MEMORY_PROMPT] : [] }));
  server.setRequestHandler("prompts/get", async ({ params: { name } }) => {
    if (name !== MEMORY_PROMPT.name) {
      throw new ProtocolError(ProtocolErrorCode.InvalidParams, `Unknown prompt: ${name.slice(0, 100)}`);
    }
    const text = await record("prompts/get", { name }, async () => await describeMemory(files));
    return {
      description: MEMORY_PROMPT.description,
      messages: [{ role: "user", content: { type: "text", text } }],
    };
  });
}

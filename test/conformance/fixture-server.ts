import {
  type CallToolResult,
  ProtocolError,
  ProtocolErrorCode,
  ResourceNotFoundError,
  Server,
} from "@modelcontextprotocol/server";
import { INPUT_TOOLS, answerInputPrompt, inputState } from "./fixture-input.ts";
import { PROMPTS, RESOURCES, RESOURCE_TEMPLATES, readResource } from "./fixture-content.ts";
import { TOOLS } from "./fixture-tools.ts";

/** The server that the conformance runner's documentation describes, made for each request as the product's is. */
export function createFixtureServer(): Server {
  const server = new Server(
    { name: "pincer-conformance-fixture", version: "1.0.0" },
    {
      capabilities: { tools: {}, prompts: {}, resources: {}, completions: {}, logging: {} },
      requestState: { verify: inputState.verify },
    },
  );
  const tools = [...TOOLS, ...INPUT_TOOLS];

  server.setRequestHandler("tools/list", () => ({
    tools: tools.map(({ name, description, inputSchema = { type: "object" } }) => ({ name, description, inputSchema })),
  }));
  server.setRequestHandler("tools/call", async ({ params }, context) => {
    const tool = tools.find(({ name }) => name === params.name);
    if (tool === undefined) throw new ProtocolError(ProtocolErrorCode.InvalidParams, `Unknown tool: ${params.name}`);
    try {
      return await tool.call(context);
    } catch (failure) {
      if (failure instanceof ProtocolError) throw failure;
      return failed(failure);
    }
  });

  server.setRequestHandler("prompts/list", () => ({
    prompts: PROMPTS.map(({ name, description, args }) => ({
      name,
      description,
      arguments: args.map((arg) => ({ name: arg, description: `The ${arg}`, required: true })),
    })),
  }));
  server.setRequestHandler("prompts/get", ({ params }, context) => {
    const prompt = PROMPTS.find(({ name }) => name === params.name);
    if (prompt === undefined)
      throw new ProtocolError(ProtocolErrorCode.InvalidParams, `Unknown prompt: ${params.name}`);
    return prompt.messages === "asks for input"
      ? answerInputPrompt(context)
      : { messages: prompt.messages(params.arguments ?? {}) };
  });
  server.setRequestHandler("completion/complete", () => ({
    completion: { values: ["test value"], total: 1, hasMore: false },
  }));

  server.setRequestHandler("resources/list", () => ({ resources: [...RESOURCES] }));
  server.setRequestHandler("resources/templates/list", () => ({ resourceTemplates: [...RESOURCE_TEMPLATES] }));
  server.setRequestHandler("resources/read", ({ params: { uri } }) => {
    const contents = readResource(uri);
    if (contents === undefined) throw new ResourceNotFoundError(uri);
    return { contents: [contents] };
  });
  return server;
}

function failed(failure: unknown): CallToolResult {
  return {
    content: [{ type: "text", text: failure instanceof Error ? failure.message : String(failure) }],
    isError: true,
  };
}

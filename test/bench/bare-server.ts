import { readdir } from "node:fs/promises";
import { type IncomingMessage, type ServerResponse, createServer } from "node:http";
import { createMcpExpressApp } from "@modelcontextprotocol/sdk/server/express.js";
import { Server } from "@modelcontextprotocol/sdk/server/index.js";
import { McpServer } from "@modelcontextprotocol/sdk/server/mcp.js";
import { StreamableHTTPServerTransport } from "@modelcontextprotocol/sdk/server/streamableHttp.js";
import {
  CallToolRequestSchema,
  type CallToolResult,
  ListToolsRequestSchema,
  ListToolsResultSchema,
} from "@modelcontextprotocol/sdk/types.js";
import * as z from "zod";

/**
 * What Pincer is measured against: an unguarded Node server on `@modelcontextprotocol/sdk` 1, stateless, answering in
 * JSON, with the same tools, which it reads from standard input. `/mcp` is written as the SDK's own stateless example
 * is, on its Express app. `/floor` is as little as that SDK can do: no Express, and nothing per request that can be
 * done once.
 */

const folder = z.string().parse(process.env["BARE_SERVER_FOLDER"]);
const jsonSchema = z.custom<z.core.JSONSchema.JSONSchema>((value) => typeof value === "object" && value !== null);
const listing = ListToolsResultSchema.parse(JSON.parse(await readStream(process.stdin)));
const inputSchemas = new Map(
  listing.tools.map(({ name, inputSchema }) => [name, z.fromJSONSchema(jsonSchema.parse(inputSchema))]),
);

/** Does what each tool's counterpart in Pincer does for the bench, with the disk for storage. */
async function callTool(name: string): Promise<CallToolResult> {
  if (name === "files_read") {
    return { content: [{ type: "text", text: "invalid_input: The path leaves the workspace." }], isError: true };
  }
  const files = await readdir(folder);
  return { content: [{ type: "text", text: JSON.stringify({ files }) }], structuredContent: { files } };
}

function createExampleServer(): McpServer {
  const server = new McpServer({ name: "bare", version: "1.0.0" });
  for (const { name, title = name, description = "", annotations = {} } of listing.tools) {
    const inputSchema = inputSchemas.get(name);
    if (inputSchema === undefined) throw new Error(`${name} has no schema.`);
    server.registerTool(name, { title, description, annotations, inputSchema }, async () => await callTool(name));
  }
  return server;
}

function createFloorServer(): Server {
  const server = new Server({ name: "floor", version: "1.0.0" }, { capabilities: { tools: {} } });
  server.setRequestHandler(ListToolsRequestSchema, () => listing);
  server.setRequestHandler(CallToolRequestSchema, async ({ params }) => {
    inputSchemas.get(params.name)?.parse(params.arguments ?? {});
    return await callTool(params.name);
  });
  return server;
}

async function serve(
  server: McpServer | Server,
  request: IncomingMessage,
  response: ServerResponse,
  body: unknown,
): Promise<void> {
  const transport = new StreamableHTTPServerTransport({ enableJsonResponse: true });
  response.on("close", () => {
    void transport.close();
    void server.close();
  });
  await server.connect(transport);
  await transport.handleRequest(request, response, body);
}

async function readStream(stream: NodeJS.ReadableStream): Promise<string> {
  stream.setEncoding("utf8");
  let text = "";
  for await (const chunk of stream) text += String(chunk);
  return text;
}

const app = createMcpExpressApp();
app.post("/mcp", (request, response, next) => {
  serve(createExampleServer(), request, response, request.body).catch(next);
});

const http = createServer((request, response) => {
  if (request.url !== "/floor") {
    app(request, response);
    return;
  }
  readStream(request)
    .then(async (text) => await serve(createFloorServer(), request, response, JSON.parse(text)))
    .catch((failure: unknown) => {
      console.error(failure);
      response.destroy();
    });
});
http.listen(0, "127.0.0.1", () => {
  const address = http.address();
  if (address === null || typeof address === "string") throw new Error("The bare server has no port.");
  console.log(`listening ${address.port}`);
});

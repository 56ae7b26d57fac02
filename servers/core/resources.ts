import { ResourceNotFoundError, type Server } from "@modelcontextprotocol/server";
import { FILES_URI_TEMPLATE, type ResourceContent, listFileResources, readFileResource } from "../files/resources.ts";
import type { CallPipeline } from "./call.ts";
import { OPEN_GATE } from "./gate.ts";
import { callMethod } from "./method-call.ts";

const USAGE = {
  uri: "account://usage",
  name: "usage",
  title: "Your usage",
  description: "What you have used today (UTC) and what it cost, your limits and what is left of them",
  mimeType: "application/json",
};

const TEMPLATE = { uriTemplate: FILES_URI_TEMPLATE, name: "File", description: "A file of the workspace" };

export const FILES_SCOPES = ["files:read"] as const;

/**
 * Serves resources: on every endpoint how the caller stands, where there is a files server their files. Files are read
 * as through tools, with the same scope; how they stand, callers are told also when nothing else is let in.
 */
export function serveResources(server: Server, pipeline: CallPipeline, hasFiles: boolean): void {
  const { files } = pipeline.capabilities;
  const mayRead = hasFiles && FILES_SCOPES.every((scope) => pipeline.caller.scopes.includes(scope));

  server.setRequestHandler("resources/templates/list", () => ({ resourceTemplates: mayRead ? [TEMPLATE] : [] }));
  server.setRequestHandler("resources/list", async ({ params }) => {
    const cursor = params?.cursor;
    const first = cursor === undefined ? [USAGE] : [];
    if (!mayRead) return { resources: first };
    const method = { name: "resources/list", scopes: FILES_SCOPES };
    const page = await callMethod(method, params, pipeline, async () => await listFileResources(files, cursor));
    return { ...page, resources: [...first, ...page.resources] };
  });
  server.setRequestHandler("resources/read", async ({ params: { uri } }) => {
    const content = uri === USAGE.uri ? await readUsage(pipeline) : await readFile(uri);
    if (content === undefined) throw new ResourceNotFoundError(uri);
    return { contents: [content] };
  });

  async function readFile(uri: string): Promise<ResourceContent | undefined> {
    if (!hasFiles) return undefined;
    const method = { name: "resources/read", scopes: FILES_SCOPES };
    return await callMethod(method, { uri }, pipeline, async () => await readFileResource(files, uri));
  }
}

async function readUsage(pipeline: CallPipeline): Promise<ResourceContent> {
  const { uri, mimeType } = USAGE;
  const method = { name: "account/usage", scopes: [] };
  const report = await callMethod(method, {}, { ...pipeline, gate: OPEN_GATE }, pipeline.readUsage);
  return { uri, mimeType, text: JSON.stringify(report) };
}

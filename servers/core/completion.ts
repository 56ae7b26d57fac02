import type { Server } from "@modelcontextprotocol/server";
import { FILES_URI_TEMPLATE, completePath } from "../files/resources.ts";
import type { CallPipeline } from "./call.ts";
import { callMethod } from "./method-call.ts";
import { FILES_SCOPES, SKILL_URI_TEMPLATE } from "./resources.ts";
import type { Shelf } from "./skills.ts";

interface Completion {
  readonly values: readonly string[];
  readonly hasMore: boolean;
}

const NOTHING: Completion = { values: [], hasMore: false };
/** MCP allows no more. */
const MAX_VALUES = 100;

/** Completes the templates of resources: with the names of files and skills that the caller may read. */
export function serveCompletion(server: Server, pipeline: CallPipeline, shelf: Shelf): void {
  const { files } = pipeline.capabilities;

  server.setRequestHandler("completion/complete", async ({ params: { ref, argument, context } }) => {
    const complete = async (): Promise<Completion> => {
      if (ref.type !== "ref/resource") return NOTHING;
      const { name, value } = argument;
      if (ref.uri === FILES_URI_TEMPLATE && name === "path" && shelf.hasOwn) return await completePath(files, value);
      if (ref.uri !== SKILL_URI_TEMPLATE) return NOTHING;
      if (name === "name") return wholeOf(await shelf.completeName(value));
      if (name === "path") return wholeOf(await shelf.completePath(context?.arguments?.["name"] ?? "", value));
      return NOTHING;
    };
    const method = { name: "completion/complete", scopes: FILES_SCOPES };
    const { values, hasMore } = shelf.hasOwn
      ? await callMethod(method, argument, pipeline, complete)
      : await complete();
    return { completion: { values: [...values], hasMore } };
  });
}

function wholeOf(values: readonly string[]): Completion {
  return { values: values.slice(0, MAX_VALUES), hasMore: values.length > MAX_VALUES };
}

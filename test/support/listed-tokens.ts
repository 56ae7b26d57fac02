import { encode } from "gpt-tokenizer/encoding/o200k_base";
import { listTool } from "../../servers/core/server.ts";
import type { ServerDefinition } from "../../servers/core/tool.ts";

/** What the tools of those servers take of a model's context, as `tools/list` shows them. */
export function listedTokens(...servers: readonly ServerDefinition[]): number {
  return encode(JSON.stringify(servers.flatMap(({ tools }) => tools.map(listTool)))).length;
}

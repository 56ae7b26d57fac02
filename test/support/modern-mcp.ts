import * as z from "zod";

/** Who asks: one client of 2026-07-28, which says with each request what it can do. */
export interface ModernClient {
  readonly mcpUrl: URL;
  readonly token: string;
  readonly capabilities?: Readonly<Record<string, unknown>>;
}

const messageSchema = z.object({
  result: z.record(z.string(), z.unknown()).optional(),
  error: z.object({ code: z.int(), message: z.string(), data: z.unknown().optional() }).optional(),
});

export type ModernAnswer = z.output<typeof messageSchema> & { readonly status: number };

const REVISION = "2026-07-28";

/** Sends one request as HTTP carries it, for what the official client does not ask. */
export async function sendModern(
  { mcpUrl, token, capabilities = {} }: ModernClient,
  method: string,
  params: Readonly<Record<string, unknown>>,
  init: RequestInit = {},
): Promise<Response> {
  const name = params["name"] ?? params["taskId"] ?? params["uri"];
  const _meta = {
    "io.modelcontextprotocol/protocolVersion": REVISION,
    "io.modelcontextprotocol/clientCapabilities": capabilities,
  };
  return await fetch(mcpUrl, {
    ...init,
    method: "POST",
    headers: {
      Authorization: `Bearer ${token}`,
      "Content-Type": "application/json",
      Accept: "application/json, text/event-stream",
      "MCP-Protocol-Version": REVISION,
      "Mcp-Method": method,
      ...(typeof name === "string" ? { "Mcp-Name": name } : {}),
    },
    body: JSON.stringify({ jsonrpc: "2.0", id: 1, method, params: { ...params, _meta } }),
  });
}

/** The answer to such a request, be it JSON or the last event of a stream. */
export async function askModern(
  client: ModernClient,
  method: string,
  params: Readonly<Record<string, unknown>> = {},
): Promise<ModernAnswer> {
  const response = await sendModern(client, method, params);
  const text = await response.text();
  const isStream = response.headers.get("Content-Type") === "text/event-stream";
  const message = isStream ? [...text.matchAll(/^data: (.*)$/gm)].at(-1)?.[1] : text;
  return { status: response.status, ...messageSchema.parse(JSON.parse(message ?? "")) };
}

import { execFile } from "node:child_process";
import path from "node:path";
import { promisify } from "node:util";
import { Client, StreamableHTTPClientTransport } from "@modelcontextprotocol/client";
import { StdioClientTransport } from "@modelcontextprotocol/client/stdio";
import { Client as OldClient } from "@modelcontextprotocol/sdk/client/index.js";
import { StreamableHTTPClientTransport as OldTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";
import * as z from "zod";

/** What every client here can do, whatever it is made of. */
export interface ToolClient extends AsyncDisposable {
  readonly revision: string | undefined;
  listTools(): Promise<string[]>;
  callTool(name: string, input: Record<string, unknown>): Promise<ToolAnswer>;
}

const answerSchema = z.object({
  content: z.array(z.looseObject({ type: z.string(), text: z.string().optional() })),
  structuredContent: z.record(z.string(), z.unknown()).optional(),
  isError: z.boolean().default(false),
});

/** A tool's result as clients read it. */
export type ToolAnswer = z.output<typeof answerSchema>;

export function textOf(answer: ToolAnswer): string {
  return answer.content.flatMap(({ text }) => (text === undefined ? [] : [text])).join("\n");
}

export type Era = "modern" | "legacy";

const MODERN_REVISION = "2026-07-28";
const CLIENT_INFO = { name: "pincer-test", version: "1.0.0" };

export function modeOf(era: Era): { pin: string } | "legacy" {
  return era === "modern" ? { pin: MODERN_REVISION } : "legacy";
}

/** The official client of `@modelcontextprotocol/client` 2. */
export async function connectOfficial(mcpUrl: URL, token: string, era: Era): Promise<ToolClient> {
  const client = new Client(CLIENT_INFO, { versionNegotiation: { mode: modeOf(era) } });
  await client.connect(new StreamableHTTPClientTransport(mcpUrl, { requestInit: bearing(token) }));
  return wrap(client);
}

/** The client of `@modelcontextprotocol/sdk` 1, which knows the 2025 revisions alone. */
export async function connectSdk1(mcpUrl: URL, token: string): Promise<ToolClient> {
  const client = new OldClient(CLIENT_INFO);
  const transport = new OldTransport(mcpUrl, { requestInit: bearing(token) });
  await client.connect(transport);
  return {
    revision: transport.protocolVersion,
    listTools: async () => (await client.listTools()).tools.map(({ name }) => name),
    callTool: async (name, input) => answerSchema.parse(await client.callTool({ name, arguments: input })),
    [Symbol.asyncDispose]: async () => await client.close(),
  };
}

/** mcp-remote as desktop clients start it: a process that speaks MCP on its standard streams. */
export async function connectMcpRemote(mcpUrl: URL, options: McpRemoteOptions): Promise<ToolClient> {
  const { configDir, token, onAuthorizationUrl } = options;
  const transport = new StdioClientTransport({
    command: process.execPath,
    args: [
      packageFile("mcp-remote", "dist/proxy.js"),
      mcpUrl.href,
      ...(token === undefined ? [] : ["--header", `Authorization:Bearer ${token}`]),
    ],
    env: { PATH: process.env["PATH"] ?? "", HOME: configDir, MCP_REMOTE_CONFIG_DIR: configDir, DISPLAY: "" },
    stderr: "pipe",
  });
  let said = "";
  transport.stderr?.on("data", (chunk: Buffer) => {
    said += chunk.toString();
    const authorizationUrl = /^\s*(https?:\/\/\S+\/authorize\?\S+)\s*\n/m.exec(said)?.[1];
    if (authorizationUrl === undefined || onAuthorizationUrl === undefined) return;
    said = "";
    void onAuthorizationUrl(new URL(authorizationUrl));
  });
  const client = new Client(CLIENT_INFO);
  try {
    await client.connect(transport, { timeout: 30_000 });
  } catch (cause) {
    await client.close();
    throw new Error(`mcp-remote did not connect; it said: ${said}`, { cause });
  }
  return wrap(client);
}

export interface McpRemoteOptions {
  /** Where it keeps registrations and tokens. */
  readonly configDir: string;
  /** Sent as a header; without one it signs in by OAuth. */
  readonly token?: string;
  /** Stands for the browser that it opens. */
  readonly onAuthorizationUrl?: (url: URL) => Promise<void>;
}

export interface InspectorRun {
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
}

const INSPECTOR = packageFile("@modelcontextprotocol/inspector", "clients/launcher/build/index.js");
const INSPECTOR_LIMITS = { timeout: 60_000, maxBuffer: 16 * 1024 * 1024 };

/** The Inspector's command line, for one method. */
export async function runInspector(
  mcpUrl: URL,
  token: string,
  configDir: string,
  args: readonly string[],
): Promise<InspectorRun> {
  const given = ["--cli", mcpUrl.href, "--header", `Authorization: Bearer ${token}`, ...args];
  const env = { PATH: process.env["PATH"] ?? "", HOME: configDir };
  return await endOf(promisify(execFile)(process.execPath, [INSPECTOR, ...given], { env, ...INSPECTOR_LIMITS }));
}

/** The same without a token: it signs in by OAuth, and listens for the answer at a port of its own. */
export async function runInspectorSigningIn(
  mcpUrl: URL,
  { configDir, callbackPort, onAuthorizationUrl }: InspectorSignIn,
  args: readonly string[],
): Promise<InspectorRun> {
  const callback = `http://127.0.0.1:${callbackPort}/oauth/callback`;
  const given = ["--cli", mcpUrl.href, "--callback-url", callback, ...args];
  // Without the flag it signs in at a terminal alone.
  const env = { PATH: process.env["PATH"] ?? "", HOME: configDir, DISPLAY: "", MCP_AUTO_OPEN_ENABLED: "true" };
  const running = promisify(execFile)(process.execPath, [INSPECTOR, ...given], { env, ...INSPECTOR_LIMITS });
  const ended = endOf(running);
  let said = "";
  const authorizationUrl = new Promise<URL>((resolve) => {
    running.child.stderr?.on("data", (chunk: Buffer) => {
      said += chunk.toString();
      const [, url] = /navigate to: (https?:\/\/\S+\/authorize\?\S+)\s/.exec(said) ?? [];
      if (url !== undefined) resolve(new URL(url));
    });
  });
  const first = await Promise.race([authorizationUrl, ended]);
  if (first instanceof URL) await onAuthorizationUrl(first);
  return await ended;
}

export interface InspectorSignIn {
  /** Where it keeps what it knows. */
  readonly configDir: string;
  readonly callbackPort: number;
  /** Stands for the browser that its person opens. */
  readonly onAuthorizationUrl: (url: URL) => Promise<void>;
}

async function endOf(running: Promise<{ readonly stdout: string; readonly stderr: string }>): Promise<InspectorRun> {
  try {
    return { exitCode: 0, ...(await running) };
  } catch (failure) {
    return { ...endSchema.parse(failure) };
  }
}

const endSchema = z
  .object({ code: z.int(), stdout: z.string(), stderr: z.string() })
  .transform(({ code, stdout, stderr }) => ({ exitCode: code, stdout, stderr }));

function wrap(client: Client): ToolClient {
  return {
    revision: client.getNegotiatedProtocolVersion(),
    listTools: async () => (await client.listTools()).tools.map(({ name }) => name),
    callTool: async (name, input) => answerSchema.parse(await client.callTool({ name, arguments: input })),
    [Symbol.asyncDispose]: async () => await client.close(),
  };
}

function bearing(token: string): { headers: Record<string, string> } {
  return { headers: { Authorization: `Bearer ${token}` } };
}

function packageFile(name: string, file: string): string {
  return path.resolve(import.meta.dirname, "../../node_modules", name, file);
}

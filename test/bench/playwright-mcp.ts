import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { Client } from "@modelcontextprotocol/client";
import { StdioClientTransport } from "@modelcontextprotocol/client/stdio";
import type { Chrome } from "../../container/local/chrome/chrome.ts";
import { installOnce } from "../support/npm-install.ts";
import { type DrivenBrowser, drivePlaywright } from "./driven-browser.ts";

const PACKAGE = "@playwright/mcp";
const PROGRAM = `${PACKAGE}/cli.js`;

export interface PlaywrightMcp extends DrivenBrowser, AsyncDisposable {
  listTools(): Promise<readonly unknown[]>;
}

/** playwright-mcp over stdio, as its users run it, on that Chrome. */
export async function startPlaywrightMcp(
  folder: string,
  chrome: Chrome,
  report: (line: string) => void,
): Promise<PlaywrightMcp> {
  await installOnce({ folder, packages: { [PACKAGE]: "0.0.83" }, programs: [PROGRAM], report });
  const home = await mkdtemp(path.join(tmpdir(), "pincer-bench-"));
  const flags = ["--headless", "--isolated", "--no-sandbox", "--executable-path", chrome.executable];
  const transport = new StdioClientTransport({
    command: process.execPath,
    args: [path.join(folder, "node_modules", PROGRAM), ...flags],
    // It leaves its snapshots there.
    cwd: home,
    env: { PATH: process.env["PATH"] ?? "", HOME: home, ...chrome.env },
    stderr: "ignore",
  });
  const client = new Client({ name: "pincer-bench", version: "1.0.0" });
  await client.connect(transport);
  return {
    ...drivePlaywright(async (tool, input) => {
      const { isError, content } = await client.callTool({ name: tool, arguments: input });
      if (isError === true) throw new Error(`${tool} failed: ${JSON.stringify(content)}`);
      return content.map((part) => (part.type === "text" ? part.text : "")).join("\n");
    }),
    listTools: async () => (await client.listTools()).tools,
    [Symbol.asyncDispose]: async () => {
      await client.close();
      await rm(home, { recursive: true, force: true, maxRetries: 5 });
    },
  };
}

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { Client } from "@modelcontextprotocol/client";
import { StdioClientTransport } from "@modelcontextprotocol/client/stdio";
import { installOnce } from "../support/npm-install.ts";

const PACKAGE = "@wonderwhy-er/desktop-commander";
const PROGRAM = `${PACKAGE}/dist/index.js`;

export interface DesktopCommander extends AsyncDisposable {
  /** Runs `true` by its `start_process`, and waits for the answer. */
  execTrue(): Promise<void>;
}

/**
 * Desktop Commander over stdio, as its users run it. It is kept off the network, from which it would fetch settings
 * and a browser at its start.
 */
export async function startDesktopCommander(folder: string, report: (line: string) => void): Promise<DesktopCommander> {
  await installOnce({ folder, packages: { [PACKAGE]: "0.2.52" }, programs: [PROGRAM], report });
  const home = await mkdtemp(path.join(tmpdir(), "pincer-bench-"));
  const program = path.join(folder, "node_modules", PROGRAM);
  const transport = new StdioClientTransport({
    command: "bwrap",
    args: ["--dev-bind", "/", "/", "--unshare-net", "--die-with-parent", process.execPath, program],
    env: { PATH: process.env["PATH"] ?? "", HOME: home },
    stderr: "ignore",
  });
  const client = new Client({ name: "pincer-bench", version: "1.0.0" });
  await client.connect(transport);
  return {
    execTrue: async () => {
      const input = { command: "true", timeout_ms: 10_000 };
      const { isError, content } = await client.callTool({ name: "start_process", arguments: input });
      if (isError === true) throw new Error(`start_process failed: ${JSON.stringify(content)}`);
    },
    [Symbol.asyncDispose]: async () => {
      await client.close();
      await rm(home, { recursive: true, force: true, maxRetries: 5 });
    },
  };
}

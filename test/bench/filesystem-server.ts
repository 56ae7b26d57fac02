import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { Client } from "@modelcontextprotocol/client";
import { StdioClientTransport } from "@modelcontextprotocol/client/stdio";
import { installOnce } from "../support/npm-install.ts";

const PACKAGE = "@modelcontextprotocol/server-filesystem";
const PROGRAM = `${PACKAGE}/dist/index.js`;

export interface FilesystemServer extends AsyncDisposable {
  /** Throws where it says something else than `content`. */
  read(name: string, content: string): Promise<void>;
  write(name: string, content: string): Promise<void>;
}

/** The reference server for files over stdio, as its users run it. */
export async function startFilesystemServer(folder: string, report: (line: string) => void): Promise<FilesystemServer> {
  await installOnce({ folder, packages: { [PACKAGE]: "2026.8.31" }, programs: [PROGRAM], report });
  const files = await mkdtemp(path.join(tmpdir(), "pincer-bench-"));
  const transport = new StdioClientTransport({
    command: process.execPath,
    args: [path.join(folder, "node_modules", PROGRAM), files],
    stderr: "ignore",
  });
  const client = new Client({ name: "pincer-bench", version: "1.0.0" });
  await client.connect(transport);
  const call = async (name: string, file: string, rest: Readonly<Record<string, string>>): Promise<string> => {
    const answer = await client.callTool({ name, arguments: { path: path.join(files, file), ...rest } });
    const said = JSON.stringify(answer.content);
    if (answer.isError === true) throw new Error(`${name} failed: ${said}`);
    return said;
  };
  return {
    read: async (name, content) => {
      const said = await call("read_text_file", name, {});
      if (!said.includes(content)) throw new Error(`read_text_file said ${said}`);
    },
    write: async (name, content) => void (await call("write_file", name, { content })),
    [Symbol.asyncDispose]: async () => {
      await client.close();
      await rm(files, { recursive: true, force: true, maxRetries: 5 });
    },
  };
}

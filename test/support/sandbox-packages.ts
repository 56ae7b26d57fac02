import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { promisify } from "node:util";
import * as z from "zod";
import { type ToolClient, textOf } from "./mcp-clients.ts";

const NODE_MODULES = path.resolve(import.meta.dirname, "../../node_modules");

/** Puts packages of ours into a sandbox, which has no internet here, for the programs in its workspace. */
export async function bringPackages(client: ToolClient, names: readonly string[], sandbox = "main"): Promise<void> {
  const call = async (tool: string, input: Record<string, unknown>): Promise<Record<string, unknown>> => {
    const answer = await client.callTool(tool, input);
    if (answer.isError) throw new Error(textOf(answer));
    return answer.structuredContent ?? {};
  };
  const folder = await mkdtemp(path.join(tmpdir(), "packages-"));
  try {
    const file = path.join(folder, "packages.tgz");
    const found = names.filter((name) => existsSync(path.join(NODE_MODULES, name)));
    await promisify(execFile)("tar", ["-C", NODE_MODULES, "-chzf", file, ...found], {
      env: { ...process.env, GZIP: "-1" },
    });
    const { url } = z
      .object({ url: z.string() })
      .parse(await call("files_share", { path: "packages.tgz", upload: true }));
    const sent = await fetch(url, { method: "PUT", body: new Uint8Array(await readFile(file)) });
    if (!sent.ok) throw new Error(await sent.text());
    await call("sandbox_exec", {
      ...{ sandbox, timeout_ms: 50_000, wait_ms: 50_000 },
      command: "mkdir -p node_modules && tar -xzf files/packages.tgz -C node_modules && rm files/packages.tgz",
    });
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

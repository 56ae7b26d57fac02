import { execFile } from "node:child_process";
import { access, mkdir, readFile, writeFile } from "node:fs/promises";
import path from "node:path";
import { promisify } from "node:util";

/** The agents' versions: these were tested, and newer ones may be tried by editing them. */
const PACKAGES = {
  "@anthropic-ai/claude-code": "2.1.330",
  "@openai/codex": "0.169.0",
  "opencode-ai": "1.18.33",
} as const;

/** What npm has put beside the packages: each program for this machine, without any install script. */
export interface Agents {
  readonly claude: string;
  readonly codex: string;
  readonly opencode: string;
}

/** Installs the agents below `folder`, a gigabyte, where they are not there yet. */
export async function installAgents(folder: string, report: (line: string) => void): Promise<Agents> {
  const platform = `${process.platform}-${process.arch}`;
  const modules = path.join(folder, "node_modules");
  const agents = {
    claude: path.join(modules, `@anthropic-ai/claude-code-${platform}/claude`),
    codex: path.join(modules, "@openai/codex/bin/codex.js"),
    opencode: path.join(modules, `opencode-${platform}/bin/opencode`),
  };
  const manifest = JSON.stringify({ private: true, dependencies: PACKAGES });
  if (await isInstalled(folder, manifest, Object.values(agents))) return agents;
  report(`Installing ${Object.keys(PACKAGES).join(", ")} into ${folder}: a gigabyte, once.`);
  await mkdir(folder, { recursive: true });
  await writeFile(path.join(folder, "package.json"), manifest);
  await promisify(execFile)("npm", ["install", "--ignore-scripts", "--no-audit", "--no-fund"], {
    cwd: folder,
    timeout: 15 * 60 * 1_000,
  });
  await writeFile(path.join(folder, INSTALLED), manifest);
  return agents;
}

/** Written last: an install that was cut short is begun again. */
const INSTALLED = "installed.json";

async function isInstalled(folder: string, manifest: string, programs: readonly string[]): Promise<boolean> {
  if ((await readFile(path.join(folder, INSTALLED), "utf8").catch(() => "")) !== manifest) return false;
  return await Promise.all(programs.map((program) => access(program))).then(
    () => true,
    () => false,
  );
}

import path from "node:path";
import { installOnce } from "../support/npm-install.ts";

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
  const claude = `@anthropic-ai/claude-code-${platform}/claude`;
  const codex = "@openai/codex/bin/codex.js";
  const opencode = `opencode-${platform}/bin/opencode`;
  await installOnce({ folder, packages: PACKAGES, programs: [claude, codex, opencode], report });
  const modules = path.join(folder, "node_modules");
  return {
    claude: path.join(modules, claude),
    codex: path.join(modules, codex),
    opencode: path.join(modules, opencode),
  };
}

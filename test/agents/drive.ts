import { spawn } from "node:child_process";
import { mkdir, writeFile } from "node:fs/promises";
import path from "node:path";
import type { Agents } from "./install.ts";
import { signInAtTerminal } from "./sign-in.ts";

const RUN_TIMEOUT_MS = 120_000;

/** What an agent is given to work with. Nothing of the person's own is in its reach. */
export interface Surroundings {
  /** Empty; becomes its HOME. */
  readonly home: string;
  readonly mcpUrl: string;
  readonly token: string;
  /** What the launcher printed, for the consent page. */
  readonly signInCode: string;
  /** Speaks the APIs of all models. */
  readonly modelUrl: string;
}

export interface Agent {
  readonly name: string;
  /** Connects Pincer as the README says, and returns what the agent says of its MCP servers. */
  readonly listServers: () => Promise<string>;
  /** What that says when it has reached Pincer, or where it does not look, when it knows of it. */
  readonly connected: RegExp;
  /** Gives it a task, and returns what it says at the end. */
  readonly ask: (task: string) => Promise<string>;
}

/** With a personal token in its configuration. */
export function claudeCode({ claude }: Agents, surroundings: Surroundings): Agent {
  const { home, mcpUrl, token } = surroundings;
  const env = claudeEnv(surroundings);
  return {
    name: "Claude Code",
    ...claudeAtWork(claude, surroundings),
    listServers: async () => {
      await run(home, claude, [...CLAUDE_ADD, mcpUrl, "--header", `Authorization: Bearer ${token}`], env);
      return await run(home, claude, ["mcp", "list"], env);
    },
  };
}

/** Signed in by OAuth. */
export function claudeCodeSignedIn({ claude }: Agents, surroundings: Surroundings): Agent {
  const { home, mcpUrl, signInCode } = surroundings;
  const env = claudeEnv(surroundings);
  return {
    name: "Claude Code, signed in",
    ...claudeAtWork(claude, surroundings),
    listServers: async () => {
      await run(home, claude, [...CLAUDE_ADD, mcpUrl], env);
      const atTerminal = { ...environment(home, env), CLAUDE: claude };
      await signInAtTerminal({ command: '"$CLAUDE" mcp login pincer', folder: home, env: atTerminal }, signInCode);
      return await run(home, claude, ["mcp", "list"], env);
    },
  };
}

const CLAUDE_ADD = ["mcp", "add", "--transport", "http", "--scope", "user", "pincer"];

function claudeAtWork(claude: string, surroundings: Surroundings): Pick<Agent, "connected" | "ask"> {
  const env = claudeEnv(surroundings);
  return {
    connected: /pincer: \S+ \(HTTP\) - . Connected/,
    ask: async (task) =>
      await run(surroundings.home, claude, ["-p", task, "--allowedTools", "mcp__pincer__files_write"], env),
  };
}

function claudeEnv({ home, modelUrl }: Surroundings): Record<string, string> {
  return {
    CLAUDE_CONFIG_DIR: path.join(home, ".claude"),
    ANTHROPIC_BASE_URL: modelUrl,
    ANTHROPIC_API_KEY: "scripted",
    CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC: "1",
    DISABLE_AUTOUPDATER: "1",
    // Else the model would have to search for the tools first.
    ENABLE_TOOL_SEARCH: "false",
  };
}

export function codex(agents: Agents, { home, mcpUrl, token, modelUrl }: Surroundings): Agent {
  const configDir = path.join(home, ".codex");
  const env = { CODEX_HOME: configDir, PINCER_TOKEN: token, SCRIPTED_KEY: "scripted" };
  const config = `
model = "scripted"
model_provider = "scripted"

[model_providers.scripted]
name = "scripted"
base_url = "${modelUrl}/v1"
wire_api = "responses"
env_key = "SCRIPTED_KEY"

[mcp_servers.pincer]
url = "${mcpUrl}"
bearer_token_env_var = "PINCER_TOKEN"
# Nobody is there to be asked.
default_tools_approval_mode = "approve"
`;
  return {
    name: "Codex",
    connected: /^pincer +\S+ +PINCER_TOKEN +enabled +Bearer token/m,
    listServers: async () => {
      await mkdir(configDir, { recursive: true });
      await writeFile(path.join(configDir, "config.toml"), config);
      return await run(home, process.execPath, [agents.codex, "mcp", "list"], env);
    },
    ask: async (task) => await run(home, process.execPath, [agents.codex, "exec", "--skip-git-repo-check", task], env),
  };
}

export function opencode(agents: Agents, { home, mcpUrl, token, modelUrl }: Surroundings): Agent {
  const config = {
    $schema: "https://opencode.ai/config.json",
    model: "scripted/scripted",
    share: "disabled",
    autoupdate: false,
    provider: {
      scripted: {
        npm: "@ai-sdk/openai-compatible",
        options: { baseURL: `${modelUrl}/v1`, apiKey: "scripted" },
        models: { scripted: { tool_call: true } },
      },
    },
    mcp: {
      pincer: { type: "remote", url: mcpUrl, oauth: false, headers: { Authorization: `Bearer ${token}` } },
    },
  };
  return {
    name: "opencode",
    connected: /✓ pincer\s+connected/,
    listServers: async () => {
      await writeFile(path.join(home, "opencode.json"), JSON.stringify(config));
      return await run(home, agents.opencode, ["mcp", "list"], {});
    },
    ask: async (task) => await run(home, agents.opencode, ["run", task], {}),
  };
}

/** Runs the program to its end with an environment of its own, and returns all that it has printed. */
async function run(
  home: string,
  program: string,
  args: readonly string[],
  env: Readonly<Record<string, string>>,
): Promise<string> {
  const child = spawn(program, args, {
    cwd: home,
    env: environment(home, env),
    stdio: ["ignore", "pipe", "pipe"],
    timeout: RUN_TIMEOUT_MS,
  });
  let said = "";
  const listen = (chunk: Buffer): void => {
    said += chunk.toString();
  };
  child.stdout.on("data", listen);
  child.stderr.on("data", listen);
  const code = await new Promise<number | null>((resolve, reject) => {
    child.once("error", reject);
    child.once("close", resolve);
  });
  if (code !== 0) throw new Error(`${path.basename(program)} ${args[0]} ended with ${code}:\n${said}`);
  return said;
}

/** Nothing of the person's own but the programs. */
function environment(home: string, env: Readonly<Record<string, string>>): Record<string, string> {
  return { PATH: process.env["PATH"] ?? "", HOME: home, NO_COLOR: "1", ...env };
}

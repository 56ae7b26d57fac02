import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { parseArgs, stripVTControlCharacters } from "node:util";
import { readSuite, requestToken } from "../container/local/running-suite.ts";
import { type Agent, type Surroundings, claudeCode, claudeCodeSignedIn, codex, opencode } from "./agents/drive.ts";
import { tryInside } from "./agents/inside.ts";
import { type Agents, installAgents } from "./agents/install.ts";
import { tryOpenClaw } from "./agents/openclaw.ts";
import { tryStagehand } from "./agents/stagehand.ts";
import { connectOfficial, textOf } from "./support/mcp-clients.ts";
import { startScriptedModel } from "./support/scripted-model.ts";
import { spawnSuite } from "./support/suite.ts";

/**
 * `npm run test:clients`: has the coding agents that people use list Pincer's tools and call one, against a suite of
 * their own. They need no account: a scripted model stands in for theirs, and decides to call `files_write`. Then the
 * presets and Stagehand, in the sandbox of a suite. `--only outside|inside|openclaw|stagehand` does a part.
 */

const AGENTS: readonly ((agents: Agents, surroundings: Surroundings) => Agent)[] = [
  claudeCode,
  claudeCodeSignedIn,
  codex,
  opencode,
];

/** What all agents find at the suite. */
type Door = Pick<Surroundings, "token" | "signInCode"> & { readonly mcpUrl: URL };

async function main(): Promise<boolean> {
  const { values } = parseArgs({
    options: { data: { type: "string", default: ".pincer" }, only: { type: "string" } },
  });
  const cache = path.resolve(values.data, "cache");
  const report = (line: string): void => console.log(line);
  const parts: Readonly<Record<string, () => Promise<boolean>>> = {
    outside: async () => await tryOutside(cache, report),
    inside: async () => await whereSandboxesAre(async () => await tryInside(path.join(cache, "inside"), report)),
    openclaw: async () =>
      await whereSandboxesAre(async () => await reported("OpenClaw", tryOpenClaw, path.join(cache, "inside"))),
    stagehand: async () =>
      await whereSandboxesAre(async () => await reported("Stagehand", tryStagehand, path.join(cache, "inside"))),
  };
  let isGood = true;
  for (const [name, part] of Object.entries(parts)) {
    if (values.only === undefined || values.only === name) isGood = (await part()) && isGood;
  }
  return isGood;
}

async function whereSandboxesAre(work: () => Promise<boolean>): Promise<boolean> {
  if (process.platform === "linux") return await work();
  console.log("SKIPPED presets: this machine has no local sandbox that runs programs.");
  return true;
}

async function reported(name: string, work: (dataDir: string) => Promise<string>, dataDir: string): Promise<boolean> {
  try {
    console.log(`ok     ${name}, inside: ${await work(dataDir)}.`);
    return true;
  } catch (failure) {
    console.log(`FAILED ${name}, inside: ${failure instanceof Error ? failure.message : String(failure)}`);
    return false;
  }
}

async function tryOutside(cache: string, report: (line: string) => void): Promise<boolean> {
  const agents = await installAgents(path.join(cache, "agents"), report);
  const dataDir = await mkdtemp(path.join(tmpdir(), "pincer-agents-"));
  const suite = spawnSuite(["--data", dataDir]);
  try {
    const mcpUrl = new URL("/mcp", await suite.ready);
    const token = await requestToken(await readSuite(dataDir), { name: "test:clients" });
    const [signInCode = ""] = /\b[A-Z0-9]{4}-[A-Z0-9]{4}\b/.exec(suite.output()) ?? [];
    let isGood = true;
    for (const create of agentsHere())
      isGood = (await tryAgent(create, agents, { mcpUrl, token, signInCode })) && isGood;
    return isGood;
  } finally {
    await suite.end();
    await rm(dataDir, { recursive: true, force: true });
  }
}

function agentsHere(): typeof AGENTS {
  if (process.platform === "linux") return AGENTS;
  console.log("SKIPPED Claude Code, signed in: it needs a terminal, and only the script of util-linux is known here.");
  return AGENTS.filter((create) => create !== claudeCodeSignedIn);
}

async function tryAgent(create: (typeof AGENTS)[number], agents: Agents, door: Door): Promise<boolean> {
  const { mcpUrl, token } = door;
  const home = await mkdtemp(path.join(tmpdir(), "pincer-agent-"));
  const file = `agents/${path.basename(home)}.txt`;
  await using model = await startScriptedModel({
    tool: "files_write",
    input: { path: file, content: "Written by an agent." },
    lastWords: "The file is written.",
  });
  const agent = create(agents, { ...door, home, mcpUrl: mcpUrl.href, modelUrl: model.url });
  try {
    const servers = stripVTControlCharacters(await agent.listServers());
    check(agent.connected.test(servers), `it does not see Pincer:\n${servers}`);
    await using client = await connectOfficial(mcpUrl, token, "modern");
    const tools = await client.listTools();
    const said = await agent.ask("Write the file.");
    const missing = tools.filter((tool) => ![...model.offered].some((name) => name.endsWith(tool)));
    check(missing.length === 0, `it did not offer its model ${missing.join(", ")}`);
    check(
      model.toolResults.some((result) => result.includes(file)),
      `the tool's answer did not reach its model:\n${said}`,
    );
    check(said.includes("The file is written."), `it did not go on after the call:\n${said}`);
    const kept = textOf(await client.callTool("files_read", { path: file }));
    check(kept.endsWith("\nWritten by an agent."), `the file holds ${JSON.stringify(kept)}`);
    console.log(
      `ok     ${agent.name}: connected, offered all ${tools.length} tools to its model, called files_write, went on with its answer.`,
    );
    return true;
  } catch (failure) {
    console.log(`FAILED ${agent.name}: ${failure instanceof Error ? failure.message : String(failure)}`);
    return false;
  } finally {
    await rm(home, { recursive: true, force: true, maxRetries: 5 });
  }
}

function check(isRight: boolean, problem: string): void {
  if (!isRight) throw new Error(problem);
}

process.exitCode = (await main()) ? 0 : 1;

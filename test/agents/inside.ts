import { textOf } from "../support/mcp-clients.ts";
import { type ScriptedModel, startScriptedModel } from "../support/scripted-model.ts";
import { type InsideSuite, startInsideSuite } from "./inside-suite.ts";

const FILE = "agents/from-inside.txt";
const CONTENT = "Written by an agent in the sandbox.";
const LAST_WORDS = "The file is written.";

/** Each preset that is a command line, and how it is given work there. */
const COMMANDS: Readonly<Record<string, string>> = {
  // Else the model would have to search for the tools first.
  "claude-code": `ENABLE_TOOL_SEARCH=false claude -p "Write the file."`,
  opencode: `opencode run "Write the file."`,
};

/** What the same agents do inside the sandbox, where they have no key, no token and no account. */
export async function tryInside(dataDir: string, report: (line: string) => void): Promise<boolean> {
  await using model = await startScriptedModel({
    ...{ tool: "files_write", input: { path: FILE, content: CONTENT } },
    lastWords: LAST_WORDS,
  });
  await using suite = await startInsideSuite(dataDir, model.url);
  let isGood = true;
  for (const [preset, command] of Object.entries(COMMANDS)) {
    try {
      await tryAgent(suite, model, preset, command);
      report(`ok     ${preset}, inside: its work done by model.internal and pincer.internal, and no secret in sight.`);
    } catch (failure) {
      report(`FAILED ${preset}, inside: ${failure instanceof Error ? failure.message : String(failure)}`);
      isGood = false;
    }
  }
  return isGood;
}

async function tryAgent(suite: InsideSuite, model: ScriptedModel, preset: string, command: string): Promise<void> {
  await suite.run(`preset stop ${preset}; rm -rf /workspace/.claude* /workspace/.config/opencode /workspace/.local`);
  await suite.call("files_delete", { path: FILE });
  await suite.startPreset(preset);
  const { exitCode, said } = await suite.run(command);
  if (exitCode !== 0 || !said.includes(LAST_WORDS)) throw new Error(`it ended with ${exitCode}:\n${said}`);
  const kept = textOf(await suite.call("files_read", { path: FILE }));
  if (!kept.endsWith(`\n${CONTENT}`)) throw new Error(`the file holds ${JSON.stringify(kept)}`);
  if (![...model.offered].some((name) => name.endsWith("browser_open")))
    throw new Error("its model had no other tool.");
  // With what the agent has written down, and while whatever it started runs.
  const look =
    "printenv; cat /proc/*/environ /proc/*/cmdline 2> /dev/null; grep -rhsa '' ~/.claude* ~/.config ~/.local/share; true";
  const seen = (await suite.run(`{ ${look}; } > /tmp/seen; wc -c < /tmp/seen`)).said;
  if (!(Number(seen) > 1_000)) throw new Error(`nothing was looked at: ${seen}`);
  for (const secret of suite.secrets) {
    const found = await suite.run(`grep -c -a -F -f - /tmp/seen <<< '${secret.slice(0, 8)}''${secret.slice(8)}'; true`);
    if (found.said.trim() !== "0") throw new Error("a secret of the suite can be seen in the sandbox.");
  }
  await suite.run(`preset stop ${preset}`);
}

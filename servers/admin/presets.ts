import claudeCode from "../../container/presets/claude-code/preset.json" with { type: "json" };
import openclaw from "../../container/presets/openclaw/preset.json" with { type: "json" };
import opencode from "../../container/presets/opencode/preset.json" with { type: "json" };
import type { Sandbox, SandboxStatus } from "../sandbox/driver.ts";
import type { ProcessInfo } from "../sandbox/process.ts";

/** An agent that a sandbox can have. */
export interface Preset {
  readonly name: string;
  readonly title: string;
  readonly description: string;
  /** Where it listens; absent of those that are for the command line alone. */
  readonly port?: number;
}

export const PRESETS: readonly Preset[] = [
  { name: "openclaw", ...openclaw },
  { name: "opencode", ...opencode },
  { name: "claude-code", ...claudeCode },
];

/** How a preset is in a sandbox, as far as it is seen from outside. */
export interface PresetSeen {
  readonly preset: Preset;
  readonly isListening: boolean;
  /** The last time that it was started there, in the way that pages and skills say. */
  readonly start?: ProcessInfo;
  /** What that said of why it did not work. */
  readonly problem?: string;
}

const SHOWN_CHARS = 1_000;

/** In a sandbox: installs it where it is missing, starts it, and ends once it answers. */
export function startCommand({ name }: Preset): string {
  return `preset start ${name}`;
}

export function stopCommand({ name }: Preset): string {
  return `preset stop ${name}`;
}

export async function lookAtPresets(
  sandbox: Pick<Sandbox, "readProcess" | "port">,
  { state }: Pick<SandboxStatus, "state">,
  processes: readonly ProcessInfo[],
): Promise<readonly PresetSeen[]> {
  if (state !== "running") return PRESETS.map((preset) => ({ preset, isListening: false }));
  return await Promise.all(
    PRESETS.map(async (preset): Promise<PresetSeen> => {
      // The newest come first.
      const start = processes.find(({ command }) => command === startCommand(preset));
      const isListening = preset.port !== undefined && (await sandbox.port(preset.port).look()) === "listening";
      if (start === undefined) return { preset, isListening };
      const problem = start.isRunning || start.exitCode === 0 ? undefined : await lastWords(sandbox, start);
      return { preset, isListening, start, ...(problem === undefined ? {} : { problem }) };
    }),
  );
}

async function lastWords(sandbox: Pick<Sandbox, "readProcess">, { processId }: ProcessInfo): Promise<string> {
  const read = { after: { stdout: 0, stderr: 0 }, waitMs: 0, maxChars: SHOWN_CHARS };
  const { stderr } = await sandbox.readProcess(processId, read, { signal: new AbortController().signal });
  return stderr.text.trim();
}

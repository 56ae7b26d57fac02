import * as z from "zod";
import { ToolError } from "../shared/errors.ts";
import type { Sandbox } from "./driver.ts";

export const terminalSize = z.object({
  rows: z.coerce.number().int().min(1).max(1_000),
  columns: z.coerce.number().int().min(1).max(1_000),
});
export type TerminalSize = z.output<typeof terminalSize>;

export type ShellSandbox = Pick<Sandbox, "exec" | "listProcesses" | "readProcess" | "writeInput">;

/** A shell that a person uses by hand. */
export interface Shell {
  readonly processId: string;
  /** Where the sandbox keeps the name of its terminal. */
  readonly ttyFile: string;
}

/** No command runs for longer than a day. */
const TIMEOUT_MS = 24 * 60 * 60 * 1_000;
/** A prompt at which nobody types for so long ends its shell, which would keep a container awake. */
const IDLE_SECONDS = 30 * 60;
const RESIZE_MS = 5_000;
const TTY_FILE = "/tmp/pincer-terminal-";
const TTY_FILES = new RegExp(`${TTY_FILE}[0-9a-f-]{36}`);

export async function startShell(
  sandbox: Pick<Sandbox, "exec">,
  size: TerminalSize,
  watch: Parameters<Sandbox["exec"]>[1],
): Promise<Shell> {
  const ttyFile = TTY_FILE + crypto.randomUUID();
  const { processId, isRunning } = await sandbox.exec(
    {
      command: `${sizing(size)}; tty > ${ttyFile}; exec bash -l`,
      // What the shell starts is not to have a limit that is the prompt's: it is told of it once, and keeps it to itself.
      env: { COLORTERM: "truecolor", TMOUT: String(IDLE_SECONDS), PROMPT_COMMAND: "export -n TMOUT PROMPT_COMMAND" },
      input: "terminal",
      timeoutMs: TIMEOUT_MS,
      waitMs: 0,
      maxChars: 100,
    },
    watch,
  );
  if (!isRunning) throw new ToolError("unavailable", "The shell ended before it began; try again.");
  return { processId, ttyFile };
}

/** The shell with that id, whether or not it still runs; nothing where no such one was started by `startShell`. */
export async function findShell(
  sandbox: Pick<Sandbox, "listProcesses">,
  processId: string,
): Promise<Shell | undefined> {
  const found = (await sandbox.listProcesses()).find((process) => process.processId === processId);
  const [ttyFile] = TTY_FILES.exec(found?.command ?? "") ?? [];
  return ttyFile === undefined ? undefined : { processId, ttyFile };
}

/** The terminal tells what runs in it. */
export async function resizeShell(
  sandbox: Pick<Sandbox, "exec">,
  { ttyFile }: Shell,
  size: TerminalSize,
  signal: AbortSignal,
): Promise<void> {
  const command = `${sizing(size)} -F "$(< ${ttyFile})"`;
  const limits = { isInternal: true, timeoutMs: RESIZE_MS, waitMs: RESIZE_MS, maxChars: 100 };
  await sandbox.exec({ command, ...limits }, { signal });
}

function sizing({ rows, columns }: TerminalSize): string {
  return `stty rows ${rows} cols ${columns}`;
}

/** How many bytes a shell has written so far. */
export async function writtenBytes(
  sandbox: Pick<Sandbox, "readProcess">,
  { processId }: Shell,
  signal: AbortSignal,
): Promise<number> {
  const after = { stdout: Number.MAX_SAFE_INTEGER, stderr: 0 };
  const { stdout } = await sandbox.readProcess(processId, { after, waitMs: 0, maxChars: 1 }, { signal });
  return stdout.totalBytes;
}

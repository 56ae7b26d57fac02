import type { ToolContext } from "../core/tool.ts";
import { ToolError } from "../shared/errors.ts";
import type { CapturedOutput } from "./process.ts";

const TIMEOUT_MS = 40_000;

/** Hidden files are looked at, what .gitignore names is not, and neither is .git itself. */
const COMMON = "rg --hidden --glob '!.git' --no-require-git --color never --sort path";

export interface RipgrepRun {
  /** For bash, after the common ones; it may name the variables. */
  readonly flags: string;
  /** The caller's texts: whatever they hold, bash does not read them as a command. */
  readonly variables?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  readonly maxChars: number;
}

/** What ripgrep prints; nothing where it finds nothing. Rejects with `invalid_input` where it cannot search. */
export async function runRipgrep(
  { flags, variables = {}, cwd = "/workspace", maxChars }: RipgrepRun,
  sandbox: string,
  context: ToolContext,
): Promise<CapturedOutput> {
  const { stdout, stderr, exitCode, hasTimedOut } = await context.sandbox(sandbox).exec(
    {
      command: `${COMMON} ${flags}`,
      env: variables,
      cwd,
      isInternal: true,
      timeoutMs: TIMEOUT_MS,
      waitMs: TIMEOUT_MS,
      maxChars,
    },
    { signal: context.signal },
  );
  if (hasTimedOut) throw new ToolError("timeout", "The search took too long; search a smaller folder.");
  // ripgrep: 1 is nothing found, 2 an error, even where something was found beside it.
  if (stdout.text === "" && exitCode !== 1) {
    throw new ToolError("invalid_input", `ripgrep could not search: ${stderr.text.trim().slice(0, 500)}`);
  }
  return stdout;
}

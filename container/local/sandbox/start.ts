import { Problem } from "./problem.ts";
import { absolute, type CommandRequest, type SandboxProcess } from "./process.ts";

/** A process is there in milliseconds, on a busy machine in a second. */
const START_TIMEOUT_MS = 8_000;

/** Why a command's process is not there, by the agent's code; nothing where it is. */
export async function problemOfStart(process: SandboxProcess): Promise<string | undefined> {
  let timer: NodeJS.Timeout | undefined;
  const silence = new Promise<"silence">((resolve) => {
    timer = setTimeout(() => resolve("silence"), START_TIMEOUT_MS);
  });
  const first = await Promise.race([process.ended, process.started, silence]);
  clearTimeout(timer);
  if (first === "silence") return "ESILENT";
  return first?.kind === "refused" ? first.code : undefined;
}

/** What is wrong with a command that could not be started; nothing where it is the sandbox that is full. */
export function refusalOf(code: string, { cwd }: CommandRequest): Problem | undefined {
  switch (code) {
    case "ENOCWD":
      return new Problem(
        "invalid_input",
        `There is no folder ${absolute(cwd)} in the sandbox; make it first or leave cwd out.`,
      );
    case "E2BIG":
      return new Problem("too_large", "The variables in env are too long; write them to a file first.");
    case "EACCES":
      return new Problem("forbidden", `The folder ${absolute(cwd)} cannot be entered; choose another cwd.`);
    default:
      return undefined;
  }
}

/** Why a sandbox or its folders could not be made, in words for the client. */
export function problemOfMaking(error: unknown): Problem {
  if (error instanceof Problem) return error;
  return /no space left|quota exceeded/i.test(String(error))
    ? new Problem("limit_reached", "The machine's disk is full; make room on it and try again.")
    : new Problem("unavailable", "The sandbox did not start; try again, and see the log of npm start if it stays so.");
}

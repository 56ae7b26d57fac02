import { ToolError } from "../shared/errors.ts";
import type { Command } from "./driver.ts";

const MAX_COMMAND_CHARS = 1_000_000;
const MAX_FOLDER_CHARS = 4_096;
/** Linux starts no program whose arguments and variables together have more than 2 MiB. */
const MAX_ENV_BYTES = 2_000_000;

/** Refuses what no program can be given, before a container wakes for it. */
export function checkCommand({ command, cwd = "", env = {} }: Command): void {
  const variables = Object.entries(env).map(([name, value]) => `${name}=${value}`);
  if (command === "") throw refusal("The command is empty; say what bash is to run.");
  if ([command, cwd, ...variables].some((text) => text.includes("\0"))) {
    throw refusal(
      "There is a NUL character in the command, its folder or a variable; leave it out, or send it as stdin.",
    );
  }
  if (command.length > MAX_COMMAND_CHARS) {
    throw refusal(`The command has more than ${MAX_COMMAND_CHARS} characters; write it to a file and run that.`);
  }
  if (cwd.length > MAX_FOLDER_CHARS) throw refusal("The folder's path is too long; give a shorter one.");
  if (!Object.keys(env).every((name) => /^[A-Za-z_]\w*$/.test(name))) {
    throw refusal("A variable's name has letters, digits and _ alone; rename it.");
  }
  if (new TextEncoder().encode(variables.join("\0")).length > MAX_ENV_BYTES) {
    throw new ToolError("too_large", "The variables are more than Linux takes; write them to a file and read that.");
  }
}

function refusal(sentence: string): ToolError {
  return new ToolError("invalid_input", sentence);
}

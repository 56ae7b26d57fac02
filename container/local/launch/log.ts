import { appendFileSync, renameSync, statSync } from "node:fs";
import path from "node:path";

const MAX_BYTES = 10 * 1024 * 1024;

/** The suite's log in its data folder; the log before it is kept as `suite.log.1`. */
export interface SuiteLog {
  readonly file: string;
  /** Adds lines, each with the time and who said it. */
  write(who: string, text: string): void;
}

export function openLog(dataDir: string): SuiteLog {
  const file = path.join(dataDir, "suite.log");
  appendFileSync(file, "", { mode: 0o600 });
  let { size } = statSync(file);
  return {
    file,
    write: (who, text) => {
      const time = new Date().toISOString();
      const lines = text.split("\n").filter((line) => line.trim() !== "");
      const entry = lines.map((line) => `${time} ${who} ${line}\n`).join("");
      if (size + entry.length > MAX_BYTES) {
        renameSync(file, `${file}.1`);
        size = 0;
      }
      size += entry.length;
      appendFileSync(file, entry, { mode: 0o600 });
    },
  };
}

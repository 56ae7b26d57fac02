import type { Check } from "../../../servers/admin/health-report.ts";
import type { ExaminedSuite } from "./suite.ts";

export interface Diagnosis {
  /** Absent where a deployed suite was asked for. */
  readonly machine?: readonly Check[];
  readonly suite?: ExaminedSuite;
}

const COLOURS: Readonly<Record<Check["state"], number>> = { ok: 32, warning: 33, broken: 31, off: 2 };
const STATE_WIDTH = "warning".length;

/** All that was found, a line each, and below what is not well what to do. */
export function describeDiagnosis({ machine, suite }: Diagnosis, hasColour: boolean): string {
  const checks = [...(machine ?? []), ...(suite?.checks ?? [])];
  const nameWidth = Math.max(...checks.map(({ name }) => name.length));
  const line = (check: Check): string => checkLines(check, nameWidth, hasColour);
  const parts = [
    ...(machine === undefined ? [] : [["This machine", ...machine.map(line)]]),
    ...(suite === undefined ? [["No suite runs on that data folder: npm start starts one."]] : suiteParts(suite, line)),
    [summary(checks)],
  ];
  return parts.map((lines) => lines.join("\n")).join("\n\n");
}

function suiteParts({ url, checks, versions, errors }: ExaminedSuite, line: (check: Check) => string): string[][] {
  const versionLine = versions.map(({ name, version }) => plain(`${name} ${version}`)).join(" · ");
  const errorLines = errors.map(({ at, tool, person, user_id: userId, reference }) => {
    const who = person === "" ? userId : person;
    return `  ${[at, tool, who, reference].map(plain).join("  ")}`;
  });
  return [
    [`The suite at ${url}`, ...checks.map(line)],
    ...(errors.length === 0 ? [] : [["Last errors, by the reference that the log has them under", ...errorLines]]),
    ...(versions.length === 0 ? [] : [["Versions", `  ${versionLine}`]]),
  ];
}

function checkLines({ name, state, says, todo }: Check, nameWidth: number, hasColour: boolean): string {
  const word = state.padEnd(STATE_WIDTH);
  const shown = hasColour ? `\u001B[${COLOURS[state]}m${word}\u001B[0m` : word;
  const first = `  ${shown}  ${plain(name).padEnd(nameWidth)}  ${plain(says)}`;
  if (todo === undefined || state === "ok") return first;
  return `${first}\n  ${" ".repeat(STATE_WIDTH + nameWidth + 4)}→ ${plain(todo)}`;
}

function summary(checks: readonly Check[]): string {
  const count = (state: Check["state"]): number => checks.filter((check) => check.state === state).length;
  const [broken, warnings] = [count("broken"), count("warning")];
  const warned = `${warnings} ${warnings === 1 ? "warning" : "warnings"}`;
  return broken === 0 ? `Nothing is broken; ${warned}.` : `${broken} broken, ${warned}.`;
}

/** What others have named must not command the terminal. */
function plain(text: string): string {
  return text.replace(/\s+/g, " ").replace(/[\p{Cc}\p{Cf}]/gu, "");
}

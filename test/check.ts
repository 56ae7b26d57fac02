import { CHECKS, runCheck } from "./support/checks.ts";

/** `npm run check`: types, lint rules, format and unused code. All of them run, whatever the first one finds. */

let failed = 0;
for (const check of CHECKS) {
  if (!(await runCheck(check))) failed += 1;
}
process.exitCode = failed === 0 ? 0 : 1;

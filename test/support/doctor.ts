import { spawn } from "node:child_process";
import path from "node:path";
import * as z from "zod";
import { healthReport } from "../../servers/admin/health-report.ts";

const DOCTOR = path.resolve(import.meta.dirname, "../../container/local/doctor.mjs");

const diagnosisSchema = z.object({
  ok: z.boolean(),
  machine: healthReport.shape.checks.optional(),
  suite: healthReport.extend({ url: z.string() }).optional(),
});

export interface DoctorsVisit {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** `npm run doctor`, but for npm. */
export async function runDoctor(
  args: readonly string[],
  environment: Readonly<Record<string, string>> = {},
  script = DOCTOR,
): Promise<DoctorsVisit> {
  const child = spawn(process.execPath, [script, ...args], {
    stdio: ["ignore", "pipe", "pipe"],
    env: { ...process.env, PINCER_END_WITH_PARENT: "1", ...environment },
  });
  let stdout = "";
  let stderr = "";
  child.stdout.on("data", (chunk: unknown) => (stdout += String(chunk)));
  child.stderr.on("data", (chunk: unknown) => (stderr += String(chunk)));
  const code = await new Promise<number | null>((resolve) => child.once("close", resolve));
  return { code, stdout, stderr };
}

/** The same as data: states and sentences by the names of checks, of the machine and of its suite. */
export async function readDoctor(args: readonly string[], environment: Readonly<Record<string, string>> = {}) {
  const { code, stdout, stderr } = await runDoctor(["--json", ...args], environment);
  if (stderr !== "") throw new Error(`The doctor said: ${stderr}`);
  const { ok, machine, suite } = diagnosisSchema.parse(JSON.parse(stdout));
  const byName = (checks: z.output<typeof healthReport>["checks"] = []) =>
    Object.fromEntries(checks.map((check) => [check.name, check]));
  return { code, ok, machine: byName(machine), suite: suite && { ...suite, found: byName(suite.checks) } };
}

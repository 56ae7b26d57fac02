import { isBroken } from "../../../servers/admin/health-report.ts";
import { LaunchProblem } from "../launch/problem.ts";
import { takeUserSettings } from "../launch/settings.ts";
import { isServing, readSuiteFile } from "../running-suite.ts";
import { examineMachine } from "./machine.ts";
import { type DoctorOptions, USAGE, parseDoctorOptions } from "./options.ts";
import { type Diagnosis, describeDiagnosis } from "./print.ts";
import { examineRunning, examineSuite } from "./suite.ts";

/** `npm run doctor`: what works and what does not, on this machine and in its suite, or in a deployed one. */
async function main(): Promise<void> {
  const options = parseDoctorOptions(process.argv.slice(2));
  if (options === undefined) {
    console.log(USAGE);
    return;
  }
  // Before anything is started.
  const environment = takeUserSettings(process.env);
  const { PINCER_TOKEN: token } = process.env;
  delete process.env["PINCER_TOKEN"];
  const { url } = options;
  const diagnosis = url === undefined ? await examineLocal(options, environment) : await examineDeployed(url, token);
  const ok = !isBroken([...(diagnosis.machine ?? []), ...(diagnosis.suite?.checks ?? [])]);
  const hasColour = process.stdout.isTTY && process.env["NO_COLOR"] === undefined;
  console.log(options.isJson ? JSON.stringify({ ok, ...diagnosis }, null, 2) : describeDiagnosis(diagnosis, hasColour));
  if (!ok) process.exitCode = 1;
}

async function examineLocal(options: DoctorOptions, environment: Readonly<NodeJS.ProcessEnv>): Promise<Diagnosis> {
  const announced = await readSuiteFile(options.dataDir);
  const suite = announced !== undefined && (await isServing(announced.url)) ? announced : undefined;
  // One after the other, so that each has the machine to itself.
  const machine = await examineMachine({ options, environment, suite });
  return suite === undefined ? { machine } : { machine, suite: await examineRunning(suite) };
}

async function examineDeployed(url: string, token: string | undefined): Promise<Diagnosis> {
  if (token === undefined || token === "") {
    throw new LaunchProblem(
      `Sign in at ${url}/account as an admin, make a personal token that may administer, and put it into PINCER_TOKEN.`,
    );
  }
  return { suite: await examineSuite(url, token) };
}

try {
  await main();
} catch (failure) {
  console.error(failure instanceof LaunchProblem ? failure.message : failure);
  process.exitCode = 1;
}

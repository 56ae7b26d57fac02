import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import type { Check } from "../../../servers/admin/health-report.ts";
import { type Probe, runProbe } from "../../../servers/admin/health/probe.ts";
import { findLacking } from "../launch/provision.ts";
import { LaunchProblem } from "../launch/problem.ts";
import { checkSettings, makeSettings } from "../launch/settings.ts";
import type { SuiteFile } from "../running-suite.ts";
import { whyNoJails } from "../sandbox/sandboxes.ts";
import { browserProbe } from "./browser.ts";
import { dataProbe, diskProbe } from "./data.ts";
import type { DoctorOptions } from "./options.ts";
import { portProbe } from "./port.ts";

/** Programs are started for some of it, on a machine that may be busy. */
const LIMIT_MS = 60_000;

export interface Patient {
  readonly options: DoctorOptions;
  /** What the user sets. */
  readonly environment: Readonly<NodeJS.ProcessEnv>;
  /** The suite that runs on the data folder. */
  readonly suite: SuiteFile | undefined;
}

/** What `npm start` finds on this machine, tried as it tries it, in a folder that is gone afterwards. */
export async function examineMachine({ options, environment, suite }: Patient): Promise<Check[]> {
  const scratchDir = await mkdtemp(path.join(tmpdir(), "pincer-doctor-"));
  try {
    const probes = [
      nodeProbe(options),
      dependencyProbe(options),
      packageProbe(),
      sandboxProbe(scratchDir),
      browserProbe(options.dataDir, scratchDir),
      dataProbe(options.dataDir),
      diskProbe(options.dataDir),
      portProbe(options.port, suite),
      settingsProbe(options, environment),
    ];
    const silent = { info: () => undefined, error: () => undefined };
    const watch = { now: () => new Date(), log: silent, waitUntil: () => undefined, limitMs: LIMIT_MS };
    return await Promise.all(probes.map(async (probe) => await runProbe(probe, watch)));
  } finally {
    await rm(scratchDir, { recursive: true, force: true });
  }
}

function nodeProbe({ startedBy }: DoctorOptions): Probe {
  const own = process.versions.node;
  const isPinned = process.execPath.includes(`${path.sep}node_modules${path.sep}`);
  return {
    name: "Node",
    failing: { says: "Its version is not known.", todo: "Install Node 24 or newer (https://nodejs.org)." },
    run: () => ({
      state: "ok",
      says: isPinned ? `Pincer brings Node ${own}; npm runs on ${startedBy}.` : `Pincer runs on your Node, ${own}.`,
    }),
  };
}

function dependencyProbe({ dependencies }: DoctorOptions): Probe {
  return {
    name: "Dependencies",
    failing: { says: "They cannot be looked at.", todo: "Run npm start, which installs them." },
    run: () => {
      if (dependencies === "current") return { state: "ok", says: "They are installed as they are locked." };
      const todo = "npm start installs what is locked.";
      return { state: "warning", says: "They are not what package-lock.json says.", todo };
    },
  };
}

function packageProbe(): Probe {
  return {
    name: "System packages",
    failing: { says: "They cannot be looked at.", todo: "See that /usr/bin/python3 runs." },
    run: async () => {
      const { packages, remedy } = await findLacking();
      if (packages.length === 0) return { state: "ok", says: "Everything that the sandbox uses is there." };
      return { state: "warning", says: `This machine lacks ${packages.join(" ")} (Debian's names).`, todo: remedy };
    },
  };
}

function sandboxProbe(scratchDir: string): Probe {
  return {
    name: "Sandbox driver",
    failing: {
      says: "bubblewrap could not be tried.",
      todo: "See that the folder for temporary files can be written, or set TMPDIR to one that can.",
    },
    run: async () => {
      const problem = await whyNoJails({ dataDir: path.join(scratchDir, "sandbox") });
      if (problem === undefined) return { state: "ok", says: "local: commands run in bubblewrap." };
      return {
        state: "warning",
        says: "simulated: a shell without native programs stands in for bubblewrap.",
        todo: problem,
      };
    },
  };
}

/** The sentences of the page that a deployed Worker shows with such settings. */
function settingsProbe({ allowedHosts }: DoctorOptions, environment: Readonly<NodeJS.ProcessEnv>): Probe {
  return {
    name: "Settings",
    failing: { says: "They cannot be read.", todo: "See that .dev.vars can be read." },
    run: async () => {
      const url = "http://localhost";
      try {
        const settings = await makeSettings({ environment, url, allowedHosts, signingSecret: "0".repeat(64) });
        checkSettings({ ...settings, LOCAL_RUNTIME_URL: url });
        return { state: "ok", says: "Those in the environment and in .dev.vars are valid." };
      } catch (failure) {
        if (!(failure instanceof LaunchProblem)) throw failure;
        return { state: "broken", says: failure.message };
      }
    },
  };
}

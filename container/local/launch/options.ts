import path from "node:path";
import { parseArgs } from "node:util";
import { LaunchProblem } from "./problem.ts";

/** 8787 and 8976 are where Cursor and wrangler wait for sign-ins. */
export const DEFAULT_PORT = 8717;

export const USAGE = `Usage: npm start -- [options]

  --port N            serve on this port; 0 takes a free one (default ${DEFAULT_PORT})
  --data DIR          keep everything in this folder (default .pincer)
  --driver local|simulated
                      where commands run: local is bubblewrap on this machine, simulated is
                      just-bash, which runs anywhere and has no native programs (default local,
                      and simulated where that cannot be)
  --allow-host HOST[:PORT]
                      let sandbox and browser reach this host too; repeat for more
  --no-install        install nothing: neither npm packages nor system packages
  --help              print this`;

export interface LaunchOptions {
  readonly port: number;
  /** Absolute. */
  readonly dataDir: string;
  readonly mayInstall: boolean;
  readonly allowedHosts: readonly string[];
  /** Absent for whatever this machine allows. */
  readonly driver?: SandboxDriverName;
}

export type SandboxDriverName = "local" | "simulated";

/** Reads the command line; nothing where it asks for help. Throws `LaunchProblem`. */
export function parseLaunchOptions(args: readonly string[]): LaunchOptions | undefined {
  const values = parseValues(args);
  if (values.help) return undefined;
  const driver = values.driver === undefined ? undefined : parseDriver(values.driver);
  return {
    ...(driver !== undefined && { driver }),
    port: parsePort(values.port),
    dataDir: path.resolve(values.data),
    mayInstall: !values["no-install"],
    allowedHosts: values["allow-host"].map(parseHost),
  };
}

function parseValues(args: readonly string[]) {
  try {
    const { values } = parseArgs({
      args: [...args],
      options: {
        port: { type: "string", default: String(DEFAULT_PORT) },
        data: { type: "string", default: ".pincer" },
        driver: { type: "string" },
        "allow-host": { type: "string", multiple: true, default: [] },
        "no-install": { type: "boolean", default: false },
        help: { type: "boolean", short: "h", default: false },
      },
    });
    return values;
  } catch (error) {
    // Node's own words are several sentences; the first names the option.
    const [problem] = error instanceof Error ? error.message.split(/\.\s|\n/) : [];
    throw new LaunchProblem(`${problem ?? "The command line is wrong"}; npm start -- --help lists the options.`);
  }
}

function parseDriver(name: string): SandboxDriverName {
  if (name === "local" || name === "simulated") return name;
  const known = "use --driver local or --driver simulated, or leave it out.";
  if (name === "container") throw new LaunchProblem(`npm start does not run sandboxes in containers yet; ${known}`);
  throw new LaunchProblem(`There is no ${name} driver; ${known}`);
}

export function parsePort(text: string): number {
  const port = Number(text);
  if (!/^\d+$/.test(text) || port > 65_535) {
    throw new LaunchProblem(`--port ${text} is no port; give a number from 0 to 65535.`);
  }
  return port;
}

export function parseHost(text: string): string {
  const isHost = /^(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(:\d{1,5})?$/i.test(text) && URL.canParse(`http://${text}`);
  if (!isHost)
    throw new LaunchProblem(`--allow-host ${text} is no host; give HOST or HOST:PORT, such as api.example.com:443.`);
  return text.toLowerCase();
}

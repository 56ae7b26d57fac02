import path from "node:path";
import { parseArgs } from "node:util";
import { isLoopback } from "../../../servers/shared/settings.ts";
import { LaunchProblem } from "../launch/problem.ts";
import { DEFAULT_PORT, parseHost, parsePort } from "../launch/options.ts";

export const USAGE = `Usage: npm run doctor -- [options]

  --data DIR          look at the suite that keeps everything in this folder (default .pincer)
  --port N            see whether npm start can serve on this port (default ${DEFAULT_PORT})
  --allow-host HOST[:PORT]
                      as for npm start; repeat for more
  --url URL           look at a deployed suite instead, with a personal token of an admin that has
                      the scope admin in the environment variable PINCER_TOKEN
  --json              print all of it as JSON
  --help              print this

It changes nothing and installs nothing. The exit code is 1 where something is broken.`;

export interface DoctorOptions {
  /** Absolute. */
  readonly dataDir: string;
  readonly port: number;
  readonly allowedHosts: readonly string[];
  /** The origin of a deployed suite. */
  readonly url?: string;
  readonly isJson: boolean;
  /** Whether what is installed is what is locked. */
  readonly dependencies: string;
  /** The version of the Node that npm was run with. */
  readonly startedBy: string;
}

/** Reads the command line; nothing where it asks for help. Throws `LaunchProblem`. */
export function parseDoctorOptions(args: readonly string[]): DoctorOptions | undefined {
  const values = parseValues(args);
  if (values.help) return undefined;
  return {
    dataDir: path.resolve(values.data),
    port: parsePort(values.port),
    allowedHosts: values["allow-host"].map(parseHost),
    ...(values.url === undefined ? {} : { url: parseUrl(values.url) }),
    isJson: values.json,
    dependencies: values.dependencies,
    startedBy: values["started-by"],
  };
}

function parseValues(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      options: {
        data: { type: "string", default: ".pincer" },
        port: { type: "string", default: String(DEFAULT_PORT) },
        "allow-host": { type: "string", multiple: true, default: [] },
        url: { type: "string" },
        json: { type: "boolean", default: false },
        help: { type: "boolean", short: "h", default: false },
        // doctor.mjs gives these.
        "no-install": { type: "boolean", default: false },
        dependencies: { type: "string", default: "current" },
        "started-by": { type: "string", default: process.versions.node },
      },
    }).values;
  } catch (error) {
    // Node's own words are several sentences; the first names the option.
    const [problem] = error instanceof Error ? error.message.split(/\.\s|\n/) : [];
    throw new LaunchProblem(`${problem ?? "The command line is wrong"}; npm run doctor -- --help lists the options.`);
  }
}

/** The token goes there: over the network in no other way than by https. */
function parseUrl(text: string): string {
  const url = URL.parse(text);
  if (url === null || !/^https?:$/.test(url.protocol)) {
    throw new LaunchProblem("--url is no address; give the suite's origin, such as https://pincer.example.com.");
  }
  if (url.protocol === "http:" && !isLoopback(url.hostname)) {
    throw new LaunchProblem("--url would show the token to the network; give an https:// address.");
  }
  return url.origin;
}

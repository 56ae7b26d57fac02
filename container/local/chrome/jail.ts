import { execFile } from "node:child_process";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { mergedFolders } from "../merged-folders.ts";

/** What is seen inside: the rest of the machine's files, processes and network is not there. */
export interface JailOptions {
  readonly executable: string;
  /** Folders outside `/usr` that Chrome reads. */
  readonly folders: readonly string[];
  readonly env: Readonly<Record<string, string>>;
}

/** Where things are inside. */
export const JAIL = {
  profile: "/profile/chrome",
  egressSocket: "/run/egress.sock",
  devtoolsSocket: "/run/devtools/socket",
  node: "/run/node",
  program: "/run/pincer/chrome/inside.ts",
} as const;

const SOURCES = dirname(import.meta.dirname);
/** What runs inside, and where it lies both here and there. */
const PROGRAM_FILES = ["chrome/inside.ts", "chrome/bridge.ts", "chrome/flags.ts", "egress/pipe-both-ways.ts"];
/** A page that writes without end fills these, not the machine. */
const TMP_BYTES = 1024 * 1024 * 1024;
const PROFILE_BYTES = 512 * 1024 * 1024;
const NOBODY = "65534";
const PROBE_TIMEOUT_MS = 10_000;

/**
 * Arguments for bubblewrap, up to the program: new namespaces of every kind, no capabilities, a user that is nobody
 * (root, inside, would make Chrome refuse its own sandbox), `/usr` to read, and memory to write.
 */
export async function jailArguments({ folders, env }: JailOptions): Promise<string[]> {
  const variables = { HOME: dirname(JAIL.profile), LANG: "C.UTF-8", PATH: "/usr/local/bin:/usr/bin:/bin", ...env };
  return [
    ...["--unshare-all", "--unshare-user", "--uid", NOBODY, "--gid", NOBODY, "--cap-drop", "ALL"],
    ...["--die-with-parent", "--new-session", "--clearenv", "--hostname", "chrome"],
    ...["--ro-bind", "/usr", "/usr", ...(await mergedFolders())],
    ...["/etc/ld.so.cache", "/etc/fonts", "/etc/alternatives", "/etc/localtime"].flatMap((path) => [
      "--ro-bind-try",
      path,
      path,
    ]),
    ...["--proc", "/proc", "--dev", "/dev"],
    ...["--size", `${TMP_BYTES}`, "--tmpfs", "/tmp", "--size", `${PROFILE_BYTES}`, "--tmpfs", dirname(JAIL.profile)],
    // After /tmp: the data folder may lie there.
    ...folders.flatMap((folder) => ["--ro-bind", folder, folder]),
    ...[
      "--ro-bind",
      process.execPath,
      JAIL.node,
      "--ro-bind",
      join(SOURCES, "../../package.json"),
      "/run/pincer/package.json",
    ],
    ...PROGRAM_FILES.flatMap((name) => ["--ro-bind", join(SOURCES, name), join("/run/pincer", name)]),
    ...Object.entries(variables).flatMap(([name, value]) => ["--setenv", name, value]),
    ...["--chdir", "/"],
  ];
}

export type JailProbe =
  | {
      readonly works: true;
      /** Whether Chrome can sandbox its pages in there as well. */ readonly allowsOwnSandbox: boolean;
    }
  | { readonly works: false; readonly problem: string };

/** Tries what a start will do: a jail, and in it a user namespace such as Chrome makes for its own sandbox. */
export async function probeJail(options: JailOptions): Promise<JailProbe> {
  const jail = await jailArguments(options);
  const run = (program: readonly string[]) =>
    promisify(execFile)("bwrap", [...jail, ...program], { timeout: PROBE_TIMEOUT_MS });
  try {
    await run(["/bin/true"]);
  } catch (error) {
    return { works: false, problem: bwrapProblem(error) };
  }
  const allowsOwnSandbox = await run(["unshare", "--user", "--pid", "--net", "--fork", "/bin/true"]).then(
    () => true,
    () => false,
  );
  return { works: true, allowsOwnSandbox };
}

function bwrapProblem(error: unknown): string {
  if (error instanceof Error && "code" in error && error.code === "ENOENT") return "bubblewrap is missing";
  const said = error instanceof Error && "stderr" in error ? String(error.stderr).trim().split("\n")[0] : "";
  return said === "" || said === undefined ? "bubblewrap does not run" : `bubblewrap does not run (${said})`;
}

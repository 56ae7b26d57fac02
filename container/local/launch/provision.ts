import { execFile, spawn } from "node:child_process";
import { access, constants } from "node:fs/promises";
import { createInterface } from "node:readline/promises";
import { promisify } from "node:util";

/** The commands that the suite uses, and the Debian packages that bring them. */
const COMMANDS = { bwrap: "bubblewrap", rg: "ripgrep", git: "git", zstd: "zstd", python3: "python3" } as const;

/** The same for modules of the system's Python, which is the one that the sandbox sees. */
const PYTHON_MODULES = {
  IPython: "python3-ipython",
  matplotlib: "python3-matplotlib",
  numpy: "python3-numpy",
  pandas: "python3-pandas",
  plotly: "python3-plotly",
} as const;

export interface ProvisionOptions {
  readonly mayInstall: boolean;
  readonly report: (line: string) => void;
  /** Stops it. What apt has begun comes to its end first: packages installed by half are a person's to repair. */
  readonly signal: AbortSignal;
}

/**
 * Installs what this machine lacks: by apt where this is root on a Debian-like system, by sudo where the person at
 * the terminal agrees, else not at all. Goes on with what is there.
 */
export async function provision(options: ProvisionOptions): Promise<void> {
  const { mayInstall, report, signal } = options;
  const missing = await missingPackages();
  if (missing.length === 0 || !mayInstall) return;
  const names = missing.join(" ");
  if (!(await isExecutable("/usr/bin/apt-get"))) {
    report(`This machine lacks ${names} (Debian's names): install them with its package manager.`);
    return;
  }
  const question = `This machine lacks ${names}. Install them with sudo apt-get?`;
  if (!isRoot() && !((await isInstalled("sudo")) && (await agrees(question, signal)))) {
    if (!signal.aborted) report(`This machine lacks ${names}. To have them: ${await aptCommand(missing)}`);
    return;
  }
  report(`Installing what this machine lacks, by apt: ${names}.`);
  const done = await runApt(missing, isRoot() ? [] : ["sudo"], options);
  if (!done && !signal.aborted) {
    report(`apt could not install everything; when it can, run: ${await aptCommand(missing)}`);
  }
}

/** What this machine lacks, by Debian's names, and how to have it. */
export async function findLacking(): Promise<{ readonly packages: readonly string[]; readonly remedy: string }> {
  const packages = await missingPackages();
  const hasApt = await isExecutable("/usr/bin/apt-get");
  return {
    packages,
    remedy: hasApt ? await aptCommand(packages) : "Install them with this machine's package manager.",
  };
}

/** The one command that brings the packages on a Debian-like system, whose package lists may never have been read. */
async function aptCommand(packages: readonly string[]): Promise<string> {
  const command = `apt-get update && apt-get install --no-install-recommends ${packages.join(" ")}`;
  if (isRoot()) return command;
  return (await isInstalled("sudo")) ? `sudo sh -c "${command}"` : `su -c "${command}"`;
}

function isRoot(): boolean {
  return process.getuid?.() === 0;
}

async function missingPackages(): Promise<readonly string[]> {
  const commands = await Promise.all(
    Object.entries(COMMANDS).map(async ([name, packageName]) => ((await isInstalled(name)) ? [] : [packageName])),
  );
  return [...commands.flat(), ...(await missingPythonPackages())];
}

/** The sandbox sees `/usr` and nothing else: a program in a home folder does not count. */
async function isInstalled(name: string): Promise<boolean> {
  return (await isExecutable(`/usr/bin/${name}`)) || (await isExecutable(`/usr/local/bin/${name}`));
}

/** Modules are found, not imported: importing pandas takes a second. A folder without code has no origin. */
async function missingPythonPackages(): Promise<readonly string[]> {
  const names = Object.keys(PYTHON_MODULES);
  const script =
    "import sys, importlib.util as u; print(*[n for n in sys.argv[1:] if getattr(u.find_spec(n), 'origin', None) is None])";
  const found = await promisify(execFile)("/usr/bin/python3", ["-I", "-c", script, ...names]).catch(() => undefined);
  const missing = found === undefined ? names : found.stdout.trim().split(" ");
  return Object.entries(PYTHON_MODULES).flatMap(([name, packageName]) => (missing.includes(name) ? [packageName] : []));
}

async function runApt(
  packages: readonly string[],
  prefix: readonly string[],
  options: ProvisionOptions,
): Promise<boolean> {
  const apt = [...prefix, "env", "DEBIAN_FRONTEND=noninteractive", "apt-get"];
  await run([...apt, "update", "-q"], options);
  return await run([...apt, "install", "-y", "-q", "--no-install-recommends", ...packages], options);
}

/** Shows what it prints, on stderr: stdout ends with `ready`. */
async function run([program = "", ...args]: readonly string[], options: ProvisionOptions): Promise<boolean> {
  const { signal, report } = options;
  if (signal.aborted) return false;
  const child = spawn(program, args, { stdio: ["inherit", process.stderr, "inherit"] });
  const stop = (): void => {
    report("Ending when apt is through with what it has begun.");
    child.kill("SIGINT");
  };
  signal.addEventListener("abort", stop);
  return await new Promise<boolean>((resolve) => {
    // It is an error, too, that a signal does not reach sudo; it then hears the Ctrl-C at the terminal itself.
    child.on("error", () => {
      if (child.pid === undefined) resolve(false);
    });
    child.once("exit", (code, endedBy) => {
      signal.removeEventListener("abort", stop);
      // sudo keeps the terminal's Ctrl-C for what it runs, and then ends as that did.
      if (endedBy === "SIGINT" && !signal.aborted && !process.emit("SIGINT", "SIGINT")) process.exit(130);
      resolve(code === 0);
    });
  });
}

/** No where there is nobody to ask. */
async function agrees(question: string, signal: AbortSignal): Promise<boolean> {
  if (!process.stdin.isTTY || !process.stderr.isTTY) return false;
  const terminal = createInterface({ input: process.stdin, output: process.stderr });
  // A terminal that is being asked makes no signal of Ctrl-C.
  terminal.on("SIGINT", () => process.kill(process.pid, "SIGINT"));
  try {
    return /^(y|yes|)$/i.test((await terminal.question(`${question} [Y/n] `, { signal })).trim());
  } catch (error) {
    if (signal.aborted) return false;
    throw error;
  } finally {
    terminal.close();
  }
}

async function isExecutable(file: string): Promise<boolean> {
  return await access(file, constants.X_OK).then(
    () => true,
    () => false,
  );
}

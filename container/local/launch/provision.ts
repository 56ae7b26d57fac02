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
} as const;

export interface ProvisionOptions {
  readonly mayInstall: boolean;
  readonly report: (line: string) => void;
}

/**
 * Installs what this machine lacks: by apt where this is root on a Debian-like system, by sudo where the person at
 * the terminal agrees, else not at all. Goes on with what is there.
 */
export async function provision({ mayInstall, report }: ProvisionOptions): Promise<void> {
  const missing = await missingPackages();
  if (missing.length === 0 || !mayInstall) return;
  const names = missing.join(" ");
  if (!(await isExecutable("/usr/bin/apt-get"))) {
    report(`This machine lacks ${names} (Debian's names): install them with its package manager.`);
    return;
  }
  if (!isRoot() && !(await agrees(`This machine lacks ${names}. Install them with sudo apt-get?`))) {
    report(`This machine lacks ${names}. To have them: ${aptCommand(missing)}`);
    return;
  }
  report(`Installing what this machine lacks, by apt: ${names}.`);
  const done = await runApt(missing, isRoot() ? [] : ["sudo"]);
  if (!done) report(`apt could not install everything; when it can, run: ${aptCommand(missing)}`);
}

/** The one command that brings the packages on a Debian-like system. */
function aptCommand(packages: readonly string[]): string {
  return `${isRoot() ? "" : "sudo "}apt-get install --no-install-recommends ${packages.join(" ")}`;
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

async function runApt(packages: readonly string[], prefix: readonly string[]): Promise<boolean> {
  const apt = [...prefix, "env", "DEBIAN_FRONTEND=noninteractive", "apt-get"];
  await run([...apt, "update", "-q"]);
  return await run([...apt, "install", "-y", "-q", "--no-install-recommends", ...packages]);
}

/** Shows what it prints, on stderr: stdout ends with `ready`. */
async function run([program = "", ...args]: readonly string[]): Promise<boolean> {
  const child = spawn(program, args, { stdio: ["inherit", process.stderr, "inherit"] });
  return await new Promise((resolve) => {
    child.once("error", () => resolve(false));
    child.once("exit", (code) => resolve(code === 0));
  });
}

/** No where there is nobody to ask. */
async function agrees(question: string): Promise<boolean> {
  if (!process.stdin.isTTY || !process.stderr.isTTY) return false;
  const terminal = createInterface({ input: process.stdin, output: process.stderr });
  try {
    return /^(y|yes|)$/i.test((await terminal.question(`${question} [Y/n] `)).trim());
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

import { execFile } from "node:child_process";
import { lchown, lstat, mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { mergedFolders } from "../merged-folders.ts";
import type { Limits } from "./limits.ts";
import { seccompFilter } from "./seccomp.ts";

/**
 * Whom root becomes before it starts a sandbox: limits on processes do not hold for root, and whatever escaped
 * would own nothing.
 */
export const SANDBOX_UID = 59_717;

const FILTER_FILE = "seccomp.bpf";
const UID_INSIDE = "1000";
const HERE = import.meta.dirname;
const isRoot = process.getuid?.() === 0;

export interface JailOptions {
  /** The disk image that the two folders lie on, at `DISK_FOLDER`; without one they are the machine's. */
  readonly diskImage?: string;
  /** Becomes `/workspace`. */
  readonly workspaceDir: string;
  /** Becomes `/workspace/files`, a mount of its own: it cannot be removed from inside. */
  readonly filesDir: string;
  /** Made by `prepareEtc`. */
  readonly etcDir: string;
  readonly limits: Limits;
  readonly cgroupProcsFiles: readonly string[];
  /** Yields to the machine's other processes; for where no cgroup sees to that. */
  readonly isNice: boolean;
  /** The egress proxy's socket; without one there is no way out. */
  readonly egressSocket?: string;
}

/** The program that starts a jail with `program` in it, and its arguments. */
export async function jailCommand(options: JailOptions, program: readonly string[]): Promise<readonly string[]> {
  const sources = [options.workspaceDir, options.filesDir, options.etcDir, process.execPath, join(HERE, "inside")];
  if (options.egressSocket !== undefined) sources.push(options.egressSocket);
  const [workspace, files, etc, node, inside, egress] = sources.map((path, index) => (isRoot ? `/mnt/${index}` : path));
  if (
    workspace === undefined ||
    files === undefined ||
    etc === undefined ||
    node === undefined ||
    inside === undefined
  ) {
    throw new Error("unreachable");
  }
  const { limits } = options;
  return [
    ...(isRoot ? ["/usr/bin/unshare", "--mount", "--propagation", "private"] : []),
    ...["/bin/bash", join(HERE, "start.sh"), join(options.etcDir, FILTER_FILE)],
    ...[String(options.cgroupProcsFiles.length), ...options.cgroupProcsFiles],
    ...[options.diskImage ?? "", String(SANDBOX_UID)],
    ...[String(sources.length), ...sources, "--"],
    ...(isRoot
      ? ["/usr/bin/setpriv", "--reuid", String(SANDBOX_UID), "--regid", String(SANDBOX_UID), "--clear-groups"]
      : []),
    ...(options.isNice ? ["/usr/bin/nice", "-n", "5"] : []),
    "bwrap",
    ...["--unshare-all", "--unshare-user", "--disable-userns", "--uid", UID_INSIDE, "--gid", UID_INSIDE],
    ...["--cap-drop", "ALL", "--die-with-parent", "--new-session", "--clearenv", "--hostname", "sandbox"],
    // start.sh opens it.
    ...["--seccomp", "3"],
    ...["--ro-bind", "/usr", "/usr", ...(await mergedFolders())],
    ...READABLE.flatMap((path) => ["--ro-bind-try", path, path]),
    ...ETC_FILES.flatMap(([name]) => ["--ro-bind", join(etc, name), `/etc/${name}`]),
    ...["--proc", "/proc", "--dev", "/dev"],
    ...["--size", String(limits.tmpBytes), "--tmpfs", "/dev/shm", "--remount-ro", "/dev"],
    ...["--perms", "1777", "--size", String(limits.tmpBytes), "--tmpfs", "/tmp"],
    ...[
      "--size",
      String(RUN_BYTES),
      "--tmpfs",
      "/run",
      "--dir",
      "/run/pincer",
      "--dir",
      "/var",
      "--symlink",
      "../tmp",
      "/var/tmp",
    ],
    ...["--ro-bind", node, "/opt/node/bin/node", "--ro-bind", inside, "/opt/pincer"],
    ...(egress === undefined ? [] : ["--bind", egress, "/run/egress.sock"]),
    ...["--bind", workspace, "/workspace", "--bind", files, "/workspace/files", "--remount-ro", "/"],
    ...Object.entries(environment(egress !== undefined)).flatMap(([name, value]) => ["--setenv", name, value]),
    ...["--chdir", "/workspace", "--"],
    ...[
      "/usr/bin/prlimit",
      `--nproc=${limits.maxProcesses}`,
      `--data=${Math.max(limits.memoryBytes, MIN_DATA_BYTES)}`,
      `--fsize=${limits.fileBytes}`,
    ],
    ...["--core=0", "--memlock=65536", "--"],
    ...program,
  ];
}

/** Node with a worker, which a JavaScript context is, sets aside two thirds of this before it runs a line. */
const MIN_DATA_BYTES = 1536 * 1024 * 1024;
const RUN_BYTES = 16 * 1024 * 1024;

/** What programs in `/usr` need beside it; none of it is about this machine's people. */
const READABLE = [
  "/etc/ld.so.cache",
  "/etc/ld.so.conf",
  "/etc/ld.so.conf.d",
  "/etc/alternatives",
  "/etc/ssl/certs",
  "/etc/ssl/openssl.cnf",
  "/etc/fonts",
  "/var/cache/fontconfig",
  "/etc/matplotlibrc",
  "/etc/mime.types",
  "/etc/python3",
  "/etc/python3.11",
  "/etc/localtime",
  "/etc/bash.bashrc",
];

const ETC_FILES: readonly (readonly [name: string, content: string])[] = [
  [
    "passwd",
    `user:x:${UID_INSIDE}:${UID_INSIDE}:user:/workspace:/bin/bash\nnobody:x:65534:65534:nobody:/:/usr/sbin/nologin\n`,
  ],
  ["group", `user:x:${UID_INSIDE}:\nnogroup:x:65534:\n`],
  ["hosts", "127.0.0.1 localhost sandbox\n::1 localhost\n"],
  ["nsswitch.conf", "passwd: files\ngroup: files\nhosts: files dns\n"],
  ["resolv.conf", ""],
  [
    "gitconfig",
    "[user]\n\tname = Pincer sandbox\n\temail = sandbox@pincer.invalid\n[init]\n\tdefaultBranch = main\n[safe]\n\tdirectory = *\n",
  ],
];

/** What the programs that start a sandbox see; none of it gets into it. */
export function jailEnvironment(): Record<string, string> {
  return { PATH: process.env["PATH"] ?? "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin" };
}

/** The files of `/etc` that are made for the sandbox and not taken from the machine, and its seccomp filter. */
export async function prepareEtc(folder: string): Promise<void> {
  await mkdir(folder, { recursive: true });
  for (const [name, content] of ETC_FILES) await writeFile(join(folder, name), content);
  await writeFile(join(folder, FILTER_FILE), seccompFilter(process.arch));
}

/** A folder that the sandbox's user may write to. */
export async function makeSandboxFolder(folder: string): Promise<void> {
  await mkdir(folder, { recursive: true, mode: 0o700 });
  if (isRoot) await lchown(folder, SANDBOX_UID, SANDBOX_UID);
}

/** Lets the sandbox's user connect to a socket whose folder stays closed to it; nothing where there is none. */
export async function openSocketToSandbox(socket: string): Promise<{ readonly egressSocket?: string }> {
  if ((await lstat(socket).catch(() => undefined))?.isSocket() !== true) return {};
  if (isRoot) await lchown(socket, SANDBOX_UID, SANDBOX_UID);
  return { egressSocket: socket };
}

function environment(hasEgress: boolean): Record<string, string> {
  const proxy = "http://127.0.0.1:3128";
  return {
    PATH: "/opt/node/bin:/usr/local/bin:/usr/bin:/bin",
    HOME: "/workspace",
    USER: "user",
    SHELL: "/bin/bash",
    LANG: "C.UTF-8",
    TERM: "dumb",
    TZ: "UTC",
    MPLBACKEND: "agg",
    MPLCONFIGDIR: "/workspace/.cache/matplotlib",
    PIP_DISABLE_PIP_VERSION_CHECK: "1",
    ...(hasEgress && {
      ...{ http_proxy: proxy, https_proxy: proxy, HTTP_PROXY: proxy, HTTPS_PROXY: proxy },
      ...{ no_proxy: "localhost,127.0.0.1,::1", NO_PROXY: "localhost,127.0.0.1,::1", NODE_USE_ENV_PROXY: "1" },
    }),
  };
}

/** Why no sandbox can be started on this machine, in one sentence that says what to do; nothing where one can. */
export async function jailProblem(options: JailOptions): Promise<string | undefined> {
  const [program = "", ...args] = await jailCommand(options, ["/usr/bin/true"]);
  try {
    await promisify(execFile)(program, args, { timeout: 10_000, env: jailEnvironment() });
    return undefined;
  } catch (error) {
    const said = error instanceof Error && "stderr" in error ? String(error.stderr) : "";
    if (/bwrap.*(No such file|not found)/i.test(said)) {
      return "bubblewrap is missing: install it (on Debian and Ubuntu, apt install bubblewrap) and start Pincer again.";
    }
    if (/user ?ns|namespace|uid map|Operation not permitted|Permission denied/i.test(said)) {
      return "bubblewrap may not make user namespaces here: allow them (sysctl kernel.apparmor_restrict_unprivileged_userns=0 on Ubuntu, kernel.unprivileged_userns_clone=1 elsewhere) or use a container engine, and start Pincer again.";
    }
    return `The sandbox does not start: ${said.trim().split("\n").at(-1)?.slice(0, 200) ?? "no reason given"}`;
  }
}

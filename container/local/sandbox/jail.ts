import { execFile } from "node:child_process";
import { chmod, lchown, lstat, mkdir, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { INSIDE_HOSTS } from "../../../servers/shared/inside-hosts.ts";
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
  /** The sandbox's own. */
  readonly snapshotSocket?: string;
  /** The sandbox's own, to the egress proxy; without one there is no way out. */
  readonly egressSocket?: string;
  /** Whether programs may listen at ports below 1024 of the sandbox's own network. */
  readonly hasLowPorts?: boolean;
  /** A Chrome that draws figures, for where `/usr` has none. */
  readonly chromeDir?: string | undefined;
}

/** The program that starts a jail with `program` in it, and its arguments. */
export async function jailCommand(options: JailOptions, program: readonly string[]): Promise<readonly string[]> {
  const { limits, workspaceDir, filesDir, etcDir, snapshotSocket, egressSocket, chromeDir } = options;
  const insideDir = join(HERE, "inside");
  const skillsDir = join(HERE, "../../skills");
  const presetsDir = join(HERE, "../../presets");
  const npmDir = await npmOfUser();
  const ours = [process.execPath, insideDir, skillsDir, presetsDir];
  const all = [workspaceDir, filesDir, etcDir, ...ours, snapshotSocket, egressSocket, npmDir, chromeDir];
  const sources = all.filter((path) => path !== undefined);
  const place = (path: string): string => (isRoot ? `/mnt/${sources.indexOf(path)}` : path);
  const etc = place(etcDir);
  const hasCaBundle = await isFile(join(options.etcDir, CA_BUNDLE));
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
    ...(options.hasLowPorts === true ? LOW_PORTS : ["bwrap", "--unshare-net"]),
    ...UNSHARED,
    ...["--disable-userns", "--uid", UID_INSIDE, "--gid", UID_INSIDE],
    ...["--cap-drop", "ALL", "--die-with-parent", "--new-session", "--clearenv", "--hostname", "sandbox"],
    // start.sh opens it.
    ...["--seccomp", "3"],
    ...["--ro-bind", "/usr", "/usr", ...(await mergedFolders())],
    ...READABLE.flatMap((path) => ["--ro-bind-try", path, path]),
    ...ETC_FILES.flatMap(([name]) => ["--ro-bind", join(etc, name), `/etc/${name}`]),
    ...(hasCaBundle ? await trustCaBundle(join(etc, CA_BUNDLE)) : []),
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
    ...["--ro-bind", place(process.execPath), "/opt/node/bin/node", "--ro-bind", place(insideDir), "/opt/pincer"],
    ...["--ro-bind", place(skillsDir), "/opt/skills", "--ro-bind", place(presetsDir), "/opt/presets"],
    ...["--symlink", "/opt/presets/program/preset.mjs", "/opt/node/bin/preset"],
    ...(npmDir === undefined ? [] : bindNpm(place(npmDir))),
    ...(chromeDir === undefined ? [] : ["--ro-bind", place(chromeDir), "/opt/chrome"]),
    ...(snapshotSocket === undefined ? [] : ["--bind", place(snapshotSocket), "/run/snapshots.sock"]),
    ...(egressSocket === undefined ? [] : ["--bind", place(egressSocket), "/run/egress.sock"]),
    ...["--bind", place(workspaceDir), "/workspace", "--bind", place(filesDir), "/workspace/files"],
    ...["--remount-ro", "/"],
    ...Object.entries(environment(egressSocket !== undefined, hasCaBundle)).flatMap(([name, value]) => [
      "--setenv",
      name,
      value,
    ]),
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

/** With the network, all that can be. */
const UNSHARED = ["--unshare-user", "--unshare-ipc", "--unshare-pid", "--unshare-uts", "--unshare-cgroup-try"];

/** The jail in a network of its own that was made around it, with whose settings nobody in the jail has to do. */
const LOW_PORTS = [
  ...["bwrap", "--unshare-user", "--unshare-net", "--dev-bind", "/", "/", "--cap-add", "CAP_NET_ADMIN"],
  ...["--die-with-parent", "--", "/bin/bash", join(HERE, "own-network.sh"), "bwrap"],
];

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

/** Where `inside/egress.mjs` listens for programs that know of a proxy. */
export const PROXY_PLACE = "127.0.0.1:3128";
/** And for those that do not. Not where servers of the sandbox's own are looked for. */
export const INSIDE_ADDRESS = "127.0.0.2";

const ETC_FILES: readonly (readonly [name: string, content: string])[] = [
  [
    "passwd",
    `user:x:${UID_INSIDE}:${UID_INSIDE}:user:/workspace:/bin/bash\nnobody:x:65534:65534:nobody:/:/usr/sbin/nologin\n`,
  ],
  ["group", `user:x:${UID_INSIDE}:\nnogroup:x:65534:\n`],
  ["hosts", `127.0.0.1 localhost sandbox\n::1 localhost\n${INSIDE_ADDRESS} ${INSIDE_HOSTS.join(" ")}\n`],
  ["nsswitch.conf", "passwd: files\ngroup: files\nhosts: files dns\n"],
  ["resolv.conf", ""],
  [
    "gitconfig",
    "[user]\n\tname = Pincer sandbox\n\temail = sandbox@pincer.invalid\n[init]\n\tdefaultBranch = main\n[safe]\n\tdirectory = *\n",
  ],
];

/** The npm that started this, where the machine has none in `/usr`, as with nvm: the sandbox's user wants one. */
async function npmOfUser(): Promise<string | undefined> {
  if ((await Promise.all(["/usr/bin/npm", "/usr/local/bin/npm"].map(isThere))).some(Boolean)) return undefined;
  const { npm_execpath: program = "" } = process.env;
  return program.endsWith("/npm/bin/npm-cli.js") && (await isFile(program)) ? dirname(dirname(program)) : undefined;
}

function bindNpm(npmDir: string): readonly string[] {
  const folder = "/opt/node/lib/node_modules/npm";
  const programs = ["npm", "npx"].flatMap((name) => [
    "--symlink",
    `${folder}/bin/${name}-cli.js`,
    `/opt/node/bin/${name}`,
  ]);
  return ["--ro-bind", npmDir, folder, ...programs];
}

export async function isThere(path: string): Promise<boolean> {
  return (await lstat(path).catch(() => undefined)) !== undefined;
}

const CA_BUNDLE = "ca-bundle.pem";
const CA_BUNDLE_INSIDE = `/etc/${CA_BUNDLE}`;
/** Debian's bundle, for programs that read no variable. */
const SYSTEM_CA_BUNDLE = "/etc/ssl/certs/ca-certificates.crt";
/** OpenSSL and Python, Node, requests, curl, git, pip. */
const CA_VARIABLES = [
  ...["SSL_CERT_FILE", "NODE_EXTRA_CA_CERTS", "REQUESTS_CA_BUNDLE"],
  ...["CURL_CA_BUNDLE", "GIT_SSL_CAINFO", "PIP_CERT"],
];

async function trustCaBundle(file: string): Promise<readonly string[]> {
  const places = (await isFile(SYSTEM_CA_BUNDLE)) ? [CA_BUNDLE_INSIDE, SYSTEM_CA_BUNDLE] : [CA_BUNDLE_INSIDE];
  return places.flatMap((place) => ["--ro-bind", file, place]);
}

async function isFile(file: string): Promise<boolean> {
  return (await lstat(file).catch(() => undefined))?.isFile() === true;
}

/** What the programs that start a sandbox see; of it `start.sh` lets no more in than the folder that bubblewrap is in. */
export function jailEnvironment(): Record<string, string> {
  return { PATH: process.env["PATH"] ?? "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin" };
}

/**
 * The files of `/etc` that are made for the sandbox and not taken from the machine, and its seccomp filter. Programs
 * trust the certificates of `caBundle` in place of the machine's.
 */
export async function prepareEtc(folder: string, caBundle?: string): Promise<void> {
  await mkdir(folder, { recursive: true });
  for (const [name, content] of ETC_FILES) await writeFile(join(folder, name), content);
  await writeFile(join(folder, FILTER_FILE), seccompFilter(process.arch));
  if (caBundle === undefined) await rm(join(folder, CA_BUNDLE), { force: true });
  else await writeFile(join(folder, CA_BUNDLE), caBundle);
}

/** A folder that the sandbox's user may write to. */
export async function makeSandboxFolder(folder: string): Promise<void> {
  await mkdir(folder, { recursive: true, mode: 0o700 });
  if (isRoot) await lchown(folder, SANDBOX_UID, SANDBOX_UID);
}

export async function isSocket(path: string): Promise<boolean> {
  return (await lstat(path).catch(() => undefined))?.isSocket() === true;
}

/** Lets the sandbox's user connect to a socket whose folder stays closed to it, and nobody else of the machine. */
export async function openToSandbox(socket: string): Promise<void> {
  await chmod(socket, 0o600);
  if (isRoot) await lchown(socket, SANDBOX_UID, SANDBOX_UID);
}

function environment(hasEgress: boolean, hasCaBundle: boolean): Record<string, string> {
  const proxy = `http://${PROXY_PLACE}`;
  return {
    PATH: "/workspace/.local/bin:/opt/node/bin:/usr/local/bin:/usr/bin:/bin",
    HOME: "/workspace",
    USER: "user",
    SHELL: "/bin/bash",
    LANG: "C.UTF-8",
    TERM: "dumb",
    TZ: "UTC",
    MPLBACKEND: "agg",
    MPLCONFIGDIR: "/workspace/.cache/matplotlib",
    PIP_DISABLE_PIP_VERSION_CHECK: "1",
    // Where pip puts its programs, too.
    npm_config_prefix: "/workspace/.local",
    // The system's packages are read-only: what pip installs goes to HOME, which Debian's pip would refuse.
    PIP_BREAK_SYSTEM_PACKAGES: "1",
    ...(hasEgress && {
      ...{ http_proxy: proxy, https_proxy: proxy, HTTP_PROXY: proxy, HTTPS_PROXY: proxy },
      ...{ no_proxy: "localhost,127.0.0.1,::1", NO_PROXY: "localhost,127.0.0.1,::1", NODE_USE_ENV_PROXY: "1" },
    }),
    ...(hasCaBundle && Object.fromEntries(CA_VARIABLES.map((name) => [name, CA_BUNDLE_INSIDE]))),
  };
}

/** Whether sandboxes on this machine can be given the ports below 1024. */
export async function mayOpenLowPorts(options: JailOptions): Promise<boolean> {
  const check = ["/bin/bash", "-c", "(($(< /proc/sys/net/ipv4/ip_unprivileged_port_start) == 0))"];
  const [program = "", ...args] = await jailCommand({ ...options, hasLowPorts: true }, check);
  return await promisify(execFile)(program, args, { timeout: 10_000, env: jailEnvironment() }).then(
    () => true,
    () => false,
  );
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

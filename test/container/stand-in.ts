import { type ChildProcess, execFile, execFileSync, spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import {
  type IncomingMessage,
  type RequestOptions,
  type ServerResponse,
  createServer,
  request as httpRequest,
} from "node:http";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import type { Duplex } from "node:stream";
import { promisify } from "node:util";
import { Miniflare, convertV4MiniflareOptions } from "miniflare";
import { createCgroup } from "../../container/local/sandbox/cgroups.ts";
import { quickenR2 } from "../../container/local/worker-host/r2-stand-in.ts";
import { INSIDE_HOSTS } from "../../servers/shared/inside-hosts.ts";
import { type Limits, defaultLimits } from "../../container/local/sandbox/limits.ts";
import { bundleWorker } from "../support/bundle-worker.ts";

const CONTAINER = join(import.meta.dirname, "../../container");

/** What a container may use, where this machine has control groups: only root may make some. */
export type StandInLimits = Pick<Limits, "maxProcesses" | "memoryBytes">;

/** Small enough that a test may fill it. */
export const TMP_BYTES = 64 * 1024 ** 2;
/** s3fs keeps there what is being written. */
const MOUNT_TMP_BYTES = 512 * 1024 ** 2;

/** Enters the groups before anything runs. */
const LIMITED = `for ((count = $1; count > 0; count--)); do shift; echo $$ > "$1" || exit; done; shift; exec "$@"`;

export interface StandInOptions {
  /** Whether the SDK mounts the files by s3fs; else an empty folder is in their place. */
  readonly isMounted?: boolean;
  readonly limits?: StandInLimits;
  /** How small each of a container's disks is; else its workspace is on the machine's. */
  readonly diskBytes?: number;
}

export interface StandIn {
  /** The test Worker. */
  readonly url: string;
  /** What the bucket holds below a key, by what follows it. */
  listBucket(prefix: string): Promise<readonly { readonly key: string; readonly size: number }[]>;
  /** The keys of what the bucket of snapshots holds below that one. */
  snapshotKeys(prefix: string): Promise<readonly string[]>;
  /** Stops every container as the platform may at any time. */
  stopContainers(): Promise<void>;
  close(): Promise<void>;
}

/** Why there can be none on this machine, or nothing. */
export function whyNoStandIn(): string | undefined {
  try {
    execFileSync(
      "bwrap",
      ["--ro-bind", "/", "/", "--dev", "/dev", "--unshare-all", "/usr/bin/python3", "-c", "import IPython"],
      { stdio: "pipe" },
    );
    return undefined;
  } catch {
    return "bubblewrap, or /usr/bin/python3 with IPython, is missing";
  }
}

/** Why nothing can be mounted in one on this machine, or nothing. */
export function whyNoMount(): string | undefined {
  try {
    execFileSync("bwrap", [...JAIL, ...MAY_MOUNT, "/usr/bin/bash", "-c", "exec 3<>/dev/fuse && s3fs --version"], {
      stdio: "pipe",
    });
    return undefined;
  } catch {
    return "s3fs is not installed, or bubblewrap may not use /dev/fuse";
  }
}

/**
 * The container driver in workerd, with the SDK and the guest's programs, on bubblewrap in place of containers. What
 * only a real engine shows (the image and its server) is not proved here. What s3fs asks for goes to the Worker's
 * ContainerProxy.
 */
export async function startStandIn(
  settings: Readonly<Record<string, string>> = {},
  { isMounted = false, limits, diskBytes }: StandInOptions = {},
): Promise<StandIn> {
  const folder = await mkdtemp(join(tmpdir(), "container-stand-in-"));
  const opt = await assembleOpt(join(folder, "opt"));
  const containers = new Map<string, Promise<Jail>>();
  let opened = 0;
  const open = async (id: string): Promise<Jail> => {
    const plan = { opt, isMounted, limits, diskBytes, leave: leaveFrom(id) };
    const jail = containers.get(id) ?? startJail(join(folder, String(opened++)), plan);
    containers.set(id, jail);
    return await jail;
  };
  const stop = async (id: string): Promise<void> => {
    const jail = containers.get(id);
    containers.delete(id);
    await (await jail)?.stop();
  };

  /** What leaves a container comes to its Durable Object, as the platform would hand it over. */
  const leaveFrom = (id: string) => (request: IncomingMessage, response: ServerResponse) => {
    const headers = { ...request.headers, "x-stand-in-leaves": id };
    forward(request, response, { host: worker.hostname, port: worker.port, headers });
  };

  const gateway = createServer((request, response) => {
    const id = String(request.headers["x-container"]);
    const served =
      request.method === "DELETE"
        ? stop(id).then(() => response.end())
        : open(id).then(async (jail) => {
            if (request.url !== "/stand-in/end") {
              const port = String(Number(request.headers["x-port"]));
              const headers = { ...request.headers, host: String(request.headers["x-host"]) };
              return forward(request, response, { socketPath: join(jail.relay, port), headers });
            }
            await jail.ended;
            response.end();
          });
    served.catch((error: unknown) => response.writeHead(500).end(String(error)));
  });
  gateway.on("upgrade", (request, socket) => {
    void open(String(request.headers["x-container"])).then((jail) =>
      upgrade(request, socket, join(jail.relay, String(Number(request.headers["x-port"])))),
    );
  });
  await once(gateway.listen(0, "127.0.0.1"), "listening");
  const address = gateway.address();
  const port = typeof address === "object" ? address?.port : undefined;
  const miniflare = await startWorker({ ...settings, STAND_IN: `http://127.0.0.1:${port}` });
  const worker = await miniflare.ready;
  return {
    url: worker.href,
    listBucket: async (prefix) => {
      const bucket = await miniflare.getR2Bucket("FILES");
      const { objects } = await bucket.list({ prefix });
      return objects.map(({ key, size }) => ({ key: key.slice(prefix.length), size }));
    },
    snapshotKeys: async (prefix) => {
      const { objects } = await (await miniflare.getR2Bucket("SNAPSHOTS")).list({ prefix });
      return objects.map(({ key }) => key);
    },
    stopContainers: async () => {
      await Promise.all([...containers.keys()].map(stop));
    },
    close: async () => {
      await miniflare.dispose();
      await Promise.all([...containers.keys()].map(stop));
      gateway.closeAllConnections();
      gateway.close();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

/** What the Dockerfile copies to folders of `/opt`, so that what it forgets is missed here too. */
async function assembleOpt(target: string): Promise<string> {
  const dockerfile = (await readFile(join(CONTAINER, "Dockerfile"), "utf8")).replaceAll(/\\\n\s*/g, "");
  for (const [, sources = "", folder = ""] of dockerfile.matchAll(/^COPY (.+) \/opt\/(pincer|skills|presets)\/$/gm)) {
    const copied = join(target, folder);
    await mkdir(copied, { recursive: true });
    for (const source of sources.split(" ")) {
      if (source === "guest/*.py") await cp(join(CONTAINER, "guest"), copied, { recursive: true });
      else if (["skills", "presets"].includes(source)) await cp(join(CONTAINER, source), copied, { recursive: true });
      else await cp(join(CONTAINER, source), join(copied, basename(source)));
    }
  }
  // As in the image: nothing compiles there for itself.
  await promisify(execFile)("/usr/bin/python3", ["-m", "compileall", "-q", join(target, "pincer")]);
  return target;
}

interface Jail {
  /** The folder with a socket for each port that is reached from outside, named after it. */
  readonly relay: string;
  readonly ended: Promise<unknown>;
  stop(): Promise<void>;
}

const JAIL = [
  ...["--unshare-all", "--die-with-parent", "--new-session", "--clearenv", "--proc", "/proc", "--dev", "/dev"],
  ...["--ro-bind", "/usr", "/usr", "--symlink", "usr/bin", "/bin", "--symlink", "usr/lib", "/lib"],
  ...["--symlink", "usr/lib64", "/lib64", "--ro-bind", "/etc", "/etc"],
];
const MAY_MOUNT = ["--dev-bind", "/dev/fuse", "/dev/fuse", "--cap-add", "CAP_SYS_ADMIN"];

interface JailPlan extends Required<Pick<StandInOptions, "isMounted">> {
  /** What comes to `/opt`. */
  readonly opt: string;
  readonly limits: StandInLimits | undefined;
  readonly diskBytes: number | undefined;
  readonly leave: (request: IncomingMessage, response: ServerResponse) => void;
}

async function startJail(folder: string, { opt, isMounted, limits, diskBytes, leave }: JailPlan): Promise<Jail> {
  const relay = join(folder, "relay"); // At most 107 characters with a port.
  for (const name of ["workspace/files", "var", "relay"]) await mkdir(join(folder, name), { recursive: true });
  await writeFile(join(folder, "hosts"), `127.0.0.1 localhost r2.internal ${INSIDE_HOSTS.join(" ")} outside.test\n`);
  // s3fs sends an Expect header that only Node minds.
  const outside = createServer(leave).on("checkExpectation", leave);
  await once(outside.listen(join(relay, "outside")), "listening");
  const group =
    limits === undefined
      ? undefined
      : createCgroup(`${process.pid}-${randomUUID()}`, { ...defaultLimits(), ...limits });
  const groups = group?.procsFiles ?? [];
  const command = [
    "bwrap",
    ...JAIL,
    ...["--ro-bind", join(folder, "hosts"), "/etc/hosts"],
    ...tmpfs("/tmp", diskBytes ?? (isMounted ? MOUNT_TMP_BYTES : TMP_BYTES)),
    ...["/var", "/workspace"].flatMap((name) =>
      diskBytes === undefined ? ["--bind", join(folder, name), name] : tmpfs(name, diskBytes),
    ),
    // A file system of its own, as the mount is one.
    ...(isMounted ? MAY_MOUNT : ["--tmpfs", "/workspace/files"]),
    ...["--bind", relay, "/relay"],
    ...["pincer", "skills", "presets"].flatMap((name) => ["--ro-bind", join(opt, name), `/opt/${name}`]),
    ...["--ro-bind", process.execPath, "/opt/node/bin/node"],
    ...["--symlink", "/opt/presets/program/preset.mjs", "/opt/node/bin/preset"],
    ...["--ro-bind", join(import.meta.dirname, "stand-in-inside.mjs"), "/opt/server.mjs"],
    ...groups.flatMap((file) => ["--ro-bind", dirname(file), groupFolder(file)]),
    ...["/opt/node/bin/node", "/opt/server.mjs"],
  ];
  const child: ChildProcess = spawn("bash", ["-c", LIMITED, "bash", String(groups.length), ...groups, ...command], {
    stdio: ["ignore", "ignore", "inherit"],
  });
  const ended = once(child, "exit").then(async () => await group?.remove());
  while (!existsSync(join(relay, "3000"))) {
    if (child.exitCode !== null) throw new Error(`bwrap ended with ${child.exitCode}.`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  return {
    relay,
    ended,
    stop: async () => {
      child.kill("SIGKILL");
      await ended;
      outside.closeAllConnections();
      outside.close();
    },
  };
}

function tmpfs(path: string, sizeBytes: number | undefined): readonly string[] {
  return [...(sizeBytes === undefined ? [] : ["--size", String(sizeBytes)]), "--tmpfs", path];
}

/** Where the guest looks for what the kernel counts: version 1 of control groups has a folder for each kind. */
function groupFolder(procsFile: string): string {
  const kind = /^\/sys\/fs\/cgroup\/(memory|pids|cpu)/.exec(procsFile)?.[1];
  return kind === undefined ? "/sys/fs/cgroup" : `/sys/fs/cgroup/${kind}`;
}

function forward(request: IncomingMessage, response: ServerResponse, to: RequestOptions): void {
  const inner = httpRequest({ ...to, method: request.method, path: request.url }, (answer) => {
    response.writeHead(answer.statusCode ?? 500, answer.headers).flushHeaders();
    answer.pipe(response);
    answer.on("error", () => response.destroy());
  });
  inner.on("error", () => response.destroy());
  response.on("close", () => inner.destroy());
  request.pipe(inner);
}

/** The same for a WebSocket, whose bytes are passed on as they come. */
function upgrade({ method, url, rawHeaders }: IncomingMessage, socket: Duplex, path: string): void {
  const inner = connect({ path }, () => {
    const lines = [`${method} ${url} HTTP/1.1`];
    for (let at = 0; at + 1 < rawHeaders.length; at += 2) lines.push(`${rawHeaders[at]}: ${rawHeaders[at + 1]}`);
    inner.write(`${lines.join("\r\n")}\r\n\r\n`);
    socket.pipe(inner).pipe(socket);
  });
  for (const [one, other] of [
    [socket, inner],
    [inner, socket],
  ] as const) {
    one.on("error", () => other.destroy());
    one.on("close", () => other.destroy());
  }
}

async function startWorker(bindings: Readonly<Record<string, string>>): Promise<Miniflare> {
  quickenR2();
  return new Miniflare(
    convertV4MiniflareOptions({
      modules: true,
      script: await bundleWorker(join(import.meta.dirname, "stand-in-worker.ts")),
      compatibilityDate: "2026-11-01",
      compatibilityFlags: ["nodejs_compat", "enable_request_signal"],
      cf: false,
      bindings: {
        PUBLIC_URL: "http://localhost:8717",
        IDENTITY: "local",
        LOCAL_SIGN_IN_CODE: "WXYZ-2345",
        LOCAL_ADMIN_SECRET: "a".repeat(40),
        SIGNING_SECRET: "s".repeat(40),
        SANDBOX_DRIVER: "container",
        SANDBOX_LOG_LEVEL: "error",
        // Only where it is told otherwise: to pack what nobody asks for again takes longer than most tests.
        SNAPSHOT_AFTER: "1h",
        ...bindings,
      },
      r2Buckets: ["FILES", "SNAPSHOTS"],
      durableObjects: {
        SANDBOX: { className: "Sandbox", useSQLite: true },
        ACCOUNT: { className: "Account", useSQLite: true },
        DIRECTORY: { className: "Directory", useSQLite: true },
        SANDBOX_SNAPSHOTS: { className: "SandboxSnapshots", useSQLite: true },
      },
    }),
  );
}

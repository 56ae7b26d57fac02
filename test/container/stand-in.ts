import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { cp, mkdir, mkdtemp, readFile, rm } from "node:fs/promises";
import { type IncomingMessage, type ServerResponse, createServer, request as httpRequest } from "node:http";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import { build } from "esbuild";
import { Miniflare, convertV4MiniflareOptions } from "miniflare";
import { createCgroup } from "../../container/local/sandbox/cgroups.ts";
import { type Limits, defaultLimits } from "../../container/local/sandbox/limits.ts";

const CONTAINER = join(import.meta.dirname, "../../container");

/** What a container may use, where this machine has control groups: only root may make some. */
export type StandInLimits = Pick<Limits, "maxProcesses" | "memoryBytes">;

/** Small enough that a test may fill it. */
export const TMP_BYTES = 64 * 1024 ** 2;

/** Enters the groups before anything runs. */
const LIMITED = `for ((count = $1; count > 0; count--)); do shift; echo $$ > "$1" || exit; done; shift; exec "$@"`;

export interface StandIn {
  /** The test Worker. */
  readonly url: string;
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

/**
 * The container driver in workerd, with the SDK and the guest's programs, on bubblewrap in place of containers. What
 * only a real engine shows (the image, its server, the mount, the egress) is not proved here.
 */
export async function startStandIn(
  settings: Readonly<Record<string, string>> = {},
  limits?: StandInLimits,
): Promise<StandIn> {
  const folder = await mkdtemp(join(tmpdir(), "container-stand-in-"));
  const guest = await assembleGuest(join(folder, "guest"));
  const containers = new Map<string, Promise<Jail>>();
  let opened = 0;
  const open = async (id: string): Promise<Jail> => {
    const jail = containers.get(id) ?? startJail(join(folder, String(opened++)), guest, limits);
    containers.set(id, jail);
    return await jail;
  };
  const stop = async (id: string): Promise<void> => {
    const jail = containers.get(id);
    containers.delete(id);
    await (await jail)?.stop();
  };

  const gateway = createServer((request, response) => {
    const id = String(request.headers["x-container"]);
    const served =
      request.method === "DELETE"
        ? stop(id).then(() => response.end())
        : open(id).then(async (jail) => {
            if (request.url !== "/stand-in/end") return pass(request, response, jail);
            await jail.ended;
            response.end();
          });
    served.catch((error: unknown) => response.writeHead(500).end(String(error)));
  });
  await once(gateway.listen(0, "127.0.0.1"), "listening");
  const address = gateway.address();
  const port = typeof address === "object" ? address?.port : undefined;
  const miniflare = await startWorker({ ...settings, STAND_IN: `http://127.0.0.1:${port}` });
  return {
    url: (await miniflare.ready).href,
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

/** What the Dockerfile copies to /opt/pincer, so that a file which it forgets is missed here too. */
async function assembleGuest(target: string): Promise<string> {
  const dockerfile = await readFile(join(CONTAINER, "Dockerfile"), "utf8");
  const sources = /^COPY (.+) \/opt\/pincer\/$/m.exec(dockerfile)?.[1]?.split(" ") ?? [];
  await mkdir(target);
  for (const source of sources) {
    if (source === "guest/*.py") await cp(join(CONTAINER, "guest"), target, { recursive: true });
    else await cp(join(CONTAINER, source), join(target, basename(source)));
  }
  return target;
}

interface Jail {
  /** The folder with a socket for each port that is reached from outside, named after it. */
  readonly relay: string;
  readonly ended: Promise<unknown>;
  stop(): Promise<void>;
}

async function startJail(folder: string, guest: string, limits: StandInLimits | undefined): Promise<Jail> {
  for (const name of ["workspace", "relay"]) await mkdir(join(folder, name), { recursive: true });
  const group =
    limits === undefined
      ? undefined
      : createCgroup(`${process.pid}-${randomUUID()}`, { ...defaultLimits(), ...limits });
  const groups = group?.procsFiles ?? [];
  const command = [
    "bwrap",
    ...["--unshare-all", "--die-with-parent", "--new-session", "--clearenv", "--proc", "/proc", "--dev", "/dev"],
    ...["--ro-bind", "/usr", "/usr", "--symlink", "usr/bin", "/bin", "--symlink", "usr/lib", "/lib"],
    ...["--symlink", "usr/lib64", "/lib64", "--ro-bind", "/etc", "/etc"],
    ...["--size", String(TMP_BYTES), "--tmpfs", "/tmp", "--tmpfs", "/var"],
    ...["--bind", join(folder, "workspace"), "/workspace"],
    // A file system of its own, as the mount is one.
    ...["--tmpfs", "/workspace/files", "--bind", join(folder, "relay"), "/relay"],
    ...["--ro-bind", guest, "/opt/pincer", "--ro-bind", process.execPath, "/opt/node/bin/node"],
    ...["--ro-bind", join(import.meta.dirname, "stand-in-inside.mjs"), "/opt/server.mjs"],
    ...groups.flatMap((file) => ["--ro-bind", dirname(file), groupFolder(file)]),
    ...["/opt/node/bin/node", "/opt/server.mjs"],
  ];
  const child: ChildProcess = spawn("bash", ["-c", LIMITED, "bash", String(groups.length), ...groups, ...command], {
    stdio: ["ignore", "ignore", "inherit"],
  });
  const ended = once(child, "exit").then(async () => await group?.remove());
  const relay = join(folder, "relay"); // At most 107 characters with a port.
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
    },
  };
}

/** Where the guest looks for what the kernel counts: version 1 of control groups has a folder for each kind. */
function groupFolder(procsFile: string): string {
  const kind = /^\/sys\/fs\/cgroup\/(memory|pids|cpu)/.exec(procsFile)?.[1];
  return kind === undefined ? "/sys/fs/cgroup" : `/sys/fs/cgroup/${kind}`;
}

function pass(request: IncomingMessage, response: ServerResponse, { relay }: Jail): void {
  const { method, url, headers } = request;
  const inner = httpRequest(
    { socketPath: join(relay, String(Number(headers["x-port"]))), method, path: url, headers },
    (answer) => {
      response.writeHead(answer.statusCode ?? 500, answer.headers);
      answer.pipe(response);
      answer.on("error", () => response.destroy());
    },
  );
  inner.on("error", () => response.destroy());
  response.on("close", () => inner.destroy());
  request.pipe(inner);
}

async function startWorker(bindings: Readonly<Record<string, string>>): Promise<Miniflare> {
  const { outputFiles } = await build({
    entryPoints: [join(import.meta.dirname, "stand-in-worker.ts")],
    bundle: true,
    write: false,
    format: "esm",
    conditions: ["workerd", "worker", "browser"],
    external: ["cloudflare:*", "node:*"],
  });
  return new Miniflare(
    convertV4MiniflareOptions({
      modules: true,
      script: outputFiles[0]?.text ?? "",
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
        ...bindings,
      },
      r2Buckets: ["FILES"],
      durableObjects: {
        SANDBOX: { className: "Sandbox", useSQLite: true },
        ACCOUNT: { className: "Account", useSQLite: true },
      },
    }),
  );
}

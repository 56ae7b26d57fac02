import { execFile, spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { chmod, chown, mkdtemp, readFile, readdir, readlink, rm, stat, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as pause } from "node:timers/promises";
import { promisify } from "node:util";
import { convertV4MiniflareOptions, Miniflare } from "miniflare";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { prepareBrowserBinding } from "../../container/local/chrome/binding.ts";
import { findChrome, type Chrome } from "../../container/local/chrome/chrome.ts";
import { startEgressProxy } from "../../container/local/egress/proxy.ts";
import { openPage } from "./devtools.ts";
import { serve } from "./loopback.ts";
import { commandOf, survivorsOf, treeOf } from "./processes.ts";

const PATH = process.env.PATH ?? "";
let dataDir = "";
beforeAll(async () => {
  dataDir = await mkdtemp(join(tmpdir(), "chrome-"));
});
afterAll(async () => {
  await rm(dataDir, { recursive: true });
});

interface Setup extends AsyncDisposable {
  readonly chrome: Chrome;
  readonly script: string;
  readonly socketPath: string;
  readonly logged: string[];
  /** Every name that Chrome wanted to reach. */
  readonly resolved: string[];
  readonly env: Readonly<Record<string, string>>;
}

async function prepare(origin?: Chrome["origin"], allowedHosts: readonly string[] = []): Promise<Setup> {
  const chosen = origin === undefined ? {} : { origin };
  const found = await findChrome({ dataDir, report: () => {}, path: PATH, ...chosen });
  if (!found.found) throw new Error(found.problem);
  const folder = await mkdtemp(join(tmpdir(), "egress-"));
  const logged: string[] = [];
  const resolved: string[] = [];
  const proxy = await startEgressProxy({
    mode: "browser",
    allowedHosts,
    suiteOrigin: "http://localhost:8717",
    socketPath: join(folder, "browser.sock"),
    log: (line) => logged.push(line),
    resolve: async (name) => {
      resolved.push(name);
      return name === "localhost" ? ["127.0.0.1"] : [];
    },
  });
  const prepared = await prepareBrowserBinding({ dataDir, chrome: found.chrome, egressSocket: proxy.socketPath });
  if (!prepared.ready) throw new Error(prepared.problem);
  const versions = join(prepared.env.XDG_CACHE_HOME ?? "", ".wrangler/chrome");
  const [version = ""] = await readdir(versions);
  return {
    chrome: found.chrome,
    socketPath: proxy.socketPath,
    logged,
    resolved,
    env: prepared.env,
    script: join(versions, version, "chrome-linux64/chrome"),
    [Symbol.asyncDispose]: async () => {
      await proxy.close();
      await rm(folder, { recursive: true });
    },
  };
}

interface Running extends AsyncDisposable {
  readonly pid: number;
  readonly endpoint: string;
}

/** Some of Miniflare's arguments; it adds `--no-sandbox` under CI. */
const FLAGS = ["--headless=new", "--no-sandbox", "about:blank", "--remote-debugging-port=0"];

/** Starts Chrome as Miniflare does. */
async function start(script: string): Promise<Running> {
  const child = spawn(script, [...FLAGS, "--user-data-dir=/nowhere"], {
    stdio: ["pipe", "pipe", "pipe"],
    env: { PATH },
  });
  const endpoint = await endpointOf(child);
  return {
    pid: pidOf(child),
    endpoint,
    [Symbol.asyncDispose]: async () => {
      if (child.exitCode !== null || child.signalCode !== null) return;
      child.kill("SIGTERM");
      await once(child, "exit");
    },
  };
}

async function endpointOf(child: ChildProcess): Promise<string> {
  const said: string[] = [];
  if (child.stderr === null) throw new Error("Chrome was started without a way to hear from it.");
  for await (const line of createInterface({ input: child.stderr })) {
    const endpoint = /^DevTools listening on (ws:\S+)$/.exec(line)?.[1];
    if (endpoint !== undefined) return endpoint;
    said.push(line);
  }
  throw new Error(`Chrome did not start: ${said.join("\n")}`);
}

function pidOf(child: ChildProcess): number {
  if (child.pid === undefined) throw new Error("The process did not start.");
  return child.pid;
}

const onThisMachine = await findChrome({ dataDir: tmpdir(), report: () => {}, path: PATH, origin: "system" });
const ORIGINS = [
  { origin: "system", isHere: onThisMachine.found },
  { origin: "bundled", isHere: true },
] as const;

describe.each(ORIGINS)("the $origin Chrome", ({ origin, isHere }) => {
  beforeEach((context) => {
    if (!isHere) context.skip(`this machine has no ${origin} Chrome`);
  });

  test("loads an allow-listed loopback page, and no other", async () => {
    await using open = await serve((_request, response) => response.end("open page"));
    await using closed = await serve((_request, response) => response.end("closed page"));
    await using setup = await prepare(origin, [`localhost:${open.port}`]);
    await using running = await start(setup.script);
    const page = await openPage(running.endpoint);
    expect(await page.open(`http://localhost:${open.port}/`)).toBe("open page");
    expect(await page.open(`http://localhost:${closed.port}/`)).toBe(
      `localhost is a private name; to open it, start Pincer with --allow-host localhost:${closed.port} (in a deployment, list it in ALLOWED_HOSTS).\n`,
    );
    expect(await page.open(`https://127.0.0.1:${closed.port}/`)).toBe("net::ERR_TUNNEL_CONNECTION_FAILED");
    expect(await page.open(`http://[::1]:${closed.port}/`)).toContain("[::1]");
    expect(closed.seen).toEqual([]);
    expect(setup.logged).toContain(`egress browser: refused GET localhost:${closed.port}`);
    page.close();
  });

  test("gives a page no more than 2 GB of memory", async () => {
    await using setup = await prepare(origin);
    await using running = await start(setup.script);
    const page = await openPage(running.endpoint);
    // Zeroes that nobody writes to take no memory, and count all the same.
    const gigabytes = await page.evaluate(
      `(() => { const kept = []; try { while (kept.length < 40) kept.push(new Uint8Array(100_000_000)); } catch {} return kept.length / 10; })()`,
    );
    expect(gigabytes).toBeGreaterThan(0.5);
    expect(gigabytes).toBeLessThanOrEqual(2.2);
    page.close();
  });

  test("cannot reach its own DevTools, nor a loopback WebSocket, from a page", async () => {
    await using open = await serve((_request, response) =>
      response.writeHead(200, { "content-type": "text/html" }).end("page"),
    );
    await using setup = await prepare(origin, [`localhost:${open.port}`]);
    await using running = await start(setup.script);
    const page = await openPage(running.endpoint);
    await page.open(`http://localhost:${open.port}/`);
    const { host } = new URL(running.endpoint);
    expect(
      await page.evaluate(
        `fetch("http://${host}/json/version", { mode: "no-cors" }).then((r) => r.type, (e) => e.name)`,
      ),
    ).toBe("opaque");
    expect(
      await page.evaluate(
        `new Promise((done) => { const ws = new WebSocket("ws://${host}/"); ws.onopen = () => done("open"); ws.onerror = () => done("refused"); })`,
      ),
    ).toBe("refused");
    expect(setup.logged).toEqual(
      expect.arrayContaining([`egress browser: refused GET ${host}`, `egress browser: refused CONNECT ${host}`]),
    );
    page.close();
  });

  test("sees none of the machine's files and has a network with nobody in it", async () => {
    const secret = join(dataDir, "secret.txt");
    await writeFile(secret, "secret");
    await using setup = await prepare(origin);
    await using running = await start(setup.script);
    const page = await openPage(running.endpoint);
    expect(await page.open("file:///usr/lib/os-release")).toContain("PRETTY_NAME=");
    for (const path of ["/etc/passwd", "/etc/shadow", "/root", "/home", secret, process.cwd()]) {
      expect.soft(await page.open(`file://${path}`), path).toBe("net::ERR_FILE_NOT_FOUND");
    }
    const chromes: { command: string; devices: string; network: string; status: string }[] = [];
    for (const pid of await treeOf(running.pid)) {
      const command = await commandOf(pid);
      if (!command.startsWith(setup.chrome.executable)) continue;
      const seen = Promise.all([
        readFile(`/proc/${pid}/net/dev`, "utf8"),
        readlink(`/proc/${pid}/ns/net`),
        readFile(`/proc/${pid}/status`, "utf8"),
      ]);
      // A renderer of an earlier page may have ended meanwhile.
      const [devices, network, status] = await seen.catch(() => []);
      if (devices !== undefined) chromes.push({ command, devices, network, status });
    }
    expect(chromes.length).toBeGreaterThan(4);
    for (const { command, devices, network } of chromes) {
      const interfaces = devices.match(/^ *\S+:/gm) ?? [];
      expect
        .soft(
          interfaces.map((name) => name.trim()),
          command,
        )
        .toEqual(["lo:"]);
      expect.soft(network, command).not.toBe(await readlink("/proc/self/ns/net"));
    }
    const status = chromes.find(({ command }) => command.includes("--type=renderer"))?.status;
    expect(status).toMatch(/^CapEff:\t0+$/m);
    expect(status).toMatch(/^NoNewPrivs:\t1$/m);
    expect(status).toMatch(/^Seccomp:\t2$/m);
    expect(chromes.filter(({ command }) => / --no-sandbox( |$)/.test(command))).toEqual([]);
    page.close();
  });

  test("ends whole when who started it is killed", async () => {
    await using setup = await prepare(origin);
    const parent = spawn(
      process.execPath,
      [
        "-e",
        `require("node:child_process").spawn(process.argv[1], ["--headless=new", "--remote-debugging-port=0"], { stdio: ["ignore", "ignore", "inherit"], detached: true })`,
        setup.script,
      ],
      { stdio: ["ignore", "ignore", "pipe"], env: { PATH } },
    );
    let pids: number[] = [];
    let commands: string[] = [];
    try {
      await endpointOf(parent);
      pids = await treeOf(pidOf(parent));
      commands = await Promise.all(pids.map(commandOf));
    } finally {
      parent.kill("SIGKILL");
    }
    expect(commands.filter((command) => command.includes("--type=zygote"))).not.toEqual([]);
    expect(await survivorsOf(pids, 20_000)).toEqual([]);
  });
});

test("a Chrome that is asked to end takes its folder with it", async () => {
  await using setup = await prepare();
  const running = await start(setup.script);
  const pids = await treeOf(running.pid);
  const beside = join(setup.socketPath, "..");
  expect(await readdir(beside)).toHaveLength(2);
  await running[Symbol.asyncDispose]();
  expect(await survivorsOf(pids, 20_000)).toEqual([]);
  expect(await readdir(beside)).toEqual(["browser.sock"]);
});

test("Miniflare's browser binding starts it, and it asks the outside for nothing of its own accord", async () => {
  await using setup = await prepare();
  const before = process.env.XDG_CACHE_HOME;
  Object.assign(process.env, setup.env);
  const miniflare = new Miniflare(
    convertV4MiniflareOptions({
      modules: true,
      script: `export default { fetch: (request, env) => env.BROWSER.fetch(request) }`,
      compatibilityDate: "2026-11-01",
      browserRendering: { binding: "BROWSER" },
      telemetry: { enabled: false },
      cf: false,
    }),
  );
  try {
    const acquired = await miniflare.dispatchFetch("http://binding/v1/acquire");
    expect(await acquired.json()).toEqual({ sessionId: expect.stringMatching(/^[0-9a-f-]{36}$/) });
    const pids = await treeOf(process.pid);
    const commands = await Promise.all(pids.map(commandOf));
    expect(commands.filter((command) => command.startsWith(setup.chrome.executable))).not.toEqual([]);
    await pause(5_000);
    expect(setup.resolved).toEqual([]);
    expect(setup.logged).toEqual([]);
    await miniflare.dispose();
    expect(
      await survivorsOf(
        pids.filter((_pid, at) => /chrom/.test(commands[at] ?? "")),
        20_000,
      ),
    ).toEqual([]);
  } finally {
    await miniflare.dispose();
    if (before === undefined) delete process.env.XDG_CACHE_HOME;
    else process.env.XDG_CACHE_HOME = before;
  }
});

test("the bundled Chrome is unpacked once", async () => {
  const reported: string[] = [];
  const report = (line: string) => reported.push(line);
  const folder = await mkdtemp(join(tmpdir(), "unpack-"));
  try {
    const first = await findChrome({ dataDir: folder, report, path: "", origin: "bundled" });
    if (!first.found) throw new Error(first.problem);
    expect(reported).toEqual([0, 25, 50, 75, 100].map((percent) => `Unpacking the browser, once: ${percent} %`));
    const { mtimeMs } = await stat(first.chrome.executable);
    expect(await findChrome({ dataDir: folder, report, path: "", origin: "bundled" })).toEqual(first);
    expect((await stat(first.chrome.executable)).mtimeMs).toBe(mtimeMs);
    expect(reported).toHaveLength(5);
    expect(await readdir(join(folder, "chrome"))).toHaveLength(1);
  } finally {
    await rm(folder, { recursive: true });
  }
});

test("a data folder that takes nothing is a sentence, not a crash", async () => {
  const file = join(dataDir, "a-file");
  await writeFile(file, "");
  expect(await findChrome({ dataDir: file, report: () => {}, path: "", origin: "bundled" })).toEqual({
    found: false,
    problem: `The bundled Chrome could not be unpacked to ${file}/chrome; see that 300 MB are free there and start again.`,
  });
});

test("without bubblewrap root gets no Chrome, and everybody else Chrome's own sandbox", async () => {
  const found = await findChrome({ dataDir, report: () => {}, path: PATH });
  if (!found.found) throw new Error(found.problem);
  const { stdout: setpriv } = await promisify(execFile)("sh", ["-c", "command -v setpriv"]);
  const programs = await mkdtemp(join(tmpdir(), "programs-"));
  await symlink(setpriv.trim(), join(programs, "setpriv"));
  process.env.PATH = programs;
  try {
    const prepared = await prepareBrowserBinding({
      dataDir,
      chrome: found.chrome,
      egressSocket: "/tmp/egress/browser.sock",
    });
    if (process.getuid?.() === 0) {
      expect(prepared).toEqual({
        ready: false,
        problem:
          "Root's Chrome runs inside bubblewrap only, and bubblewrap is missing; get bubblewrap (0.8 or newer) to run here and start again.",
      });
    } else {
      expect(prepared).toMatchObject({ ready: true, isolation: "its own sandbox" });
    }
  } finally {
    process.env.PATH = PATH;
    await rm(programs, { recursive: true });
  }
});

test("in Chrome's own sandbox alone it reaches the egress proxy and nothing else", async (context) => {
  const isRoot = process.getuid?.() === 0;
  const become = isRoot ? ["--reuid", "65534", "--regid", "65534", "--clear-groups"] : [];
  await using open = await serve((_request, response) => response.end("open page"));
  await using closed = await serve((_request, response) => response.end("closed page"));
  await using setup = await prepare(undefined, [`localhost:${open.port}`]);
  const folder = await mkdtemp(join(tmpdir(), "profile-"));
  const launch = join(import.meta.dirname, "../../container/local/chrome/launch.ts");
  const node = ["--pdeathsig", "KILL", ...become, process.execPath];
  if (isRoot) {
    // The bundled Chrome is in there.
    const { executable } = setup.chrome;
    if (executable.startsWith(dataDir)) for (const path of [dataDir, join(executable, "..")]) await chmod(path, 0o711);
    for (const path of [folder, setup.socketPath, join(setup.socketPath, "..")]) await chown(path, 65_534, 65_534);
    const read = [...node, "-e", `require("node:fs").accessSync(${JSON.stringify(launch)})`];
    const canRead = await promisify(execFile)("setpriv", read).then(
      () => true,
      () => false,
    );
    if (!canRead) context.skip("root's checkout cannot be read by another user");
  }
  const environment = Object.entries(setup.chrome.env).flatMap(([name, value]) => ["--env", `${name}=${value}`]);
  const chrome = ["--executable", setup.chrome.executable, ...environment];
  const options = ["--isolation", "chrome", "--egress", setup.socketPath, ...chrome];
  const flags = [...FLAGS, `--user-data-dir=${folder}/chrome`];
  const child = spawn("setpriv", [...node, launch, ...options, "--", ...flags], {
    stdio: ["pipe", "pipe", "pipe"],
    env: { PATH, HOME: folder },
  });
  try {
    const page = await openPage(await endpointOf(child));
    const pids = await treeOf(pidOf(child));
    const commands = await Promise.all(pids.map(commandOf));
    expect(await page.open(`http://localhost:${open.port}/`)).toBe("open page");
    expect(await page.open(`http://localhost:${closed.port}/`)).toContain("--allow-host");
    expect(closed.seen).toEqual([]);
    expect(
      commands.filter((command) => / --no-sandbox( |$)/.test(command) && command.startsWith(setup.chrome.executable)),
    ).toEqual([]);
    page.close();
    child.kill("SIGKILL");
    expect(await survivorsOf(pids, 20_000)).toEqual([]);
  } finally {
    child.kill("SIGKILL");
    await rm(folder, { recursive: true, force: true });
  }
});

test("a data folder that cannot be written is said, not thrown", async () => {
  const found = await findChrome({ dataDir, report: () => {}, path: PATH });
  if (!found.found) throw new Error(found.problem);
  const file = join(dataDir, "no-folder");
  await writeFile(file, "");
  expect(
    await prepareBrowserBinding({ dataDir: file, chrome: found.chrome, egressSocket: "/tmp/egress/browser.sock" }),
  ).toEqual({
    ready: false,
    problem: `${file}/browser cannot be written; make it yours, or choose another --data folder.`,
  });
});

test("a socket folder whose path is too long is refused with what to do", async () => {
  const chrome: Chrome = { executable: "/nowhere", version: "1.0.0.0", origin: "system", env: {}, folders: [] };
  const folder = `/tmp/${"x".repeat(100)}`;
  expect(await prepareBrowserBinding({ dataDir, chrome, egressSocket: `${folder}/browser.sock` })).toEqual({
    ready: false,
    problem: `${folder} is too long a path for sockets; set TMPDIR to a shorter one.`,
  });
});

import { chmod, mkdir, mkdtemp, readdir, readFile, rm, stat, symlink, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { Client, StreamableHTTPClientTransport } from "@modelcontextprotocol/client";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import * as z from "zod";
import { readSuite, requestToken } from "../../container/local/running-suite.ts";
import { commandOf, survivorsOf, treeOf } from "../egress/processes.ts";
import { newDataFolder } from "../support/data-folder.ts";
import { type SpawnedSuite, sharedSuite, spawnSuite } from "../support/suite.ts";

let folder = "";
beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), "pincer-launcher-"));
});
afterAll(async () => {
  await rm(folder, { recursive: true, force: true });
});

/** A data folder that no other test uses, and that nothing is in. */
async function newDataDir(): Promise<string> {
  return await mkdtemp(path.join(folder, "data-"));
}

/** Leaves a background command, a code context and a page behind. */
async function keepBusy(client: Client): Promise<void> {
  const call = async (name: string, input: Record<string, unknown>): Promise<unknown> => {
    const { isError, content, structuredContent } = await client.callTool({ name, arguments: input });
    expect([name, isError ?? false, content]).toEqual([name, false, expect.anything()]);
    return structuredContent;
  };
  await call("sandbox_exec", { command: "sleep 1000 & exec sleep 1000", wait_ms: 100 });
  await call("interpreter_run", { code: "x = 1", language: "python", context: "left" });
  await call("files_write", { path: "page.html", content: "<title>Page</title>" });
  await call("browser_open", { url: linkSchema.parse(await call("files_share", { path: "page.html" })).url });
}

const linkSchema = z.object({ url: z.url() });

/** The launcher on its way to fail: its exit code and what it says. */
async function failToStart(args: readonly string[], environment: Readonly<Record<string, string>> = {}) {
  const suite = spawnSuite(args, environment);
  const code = await suite.ended;
  return { code, said: suite.output().trim() };
}

async function connect(url: string, token: string): Promise<Client> {
  const client = new Client({ name: "launcher-test", version: "1.0.0" });
  const requestInit = { headers: { Authorization: `Bearer ${token}` } };
  await client.connect(new StreamableHTTPClientTransport(new URL("/mcp", url), { requestInit }));
  return client;
}

describe("a suite that runs", () => {
  test("answers on every loopback address of this machine, and nowhere else", async () => {
    const { url } = sharedSuite();
    const { port } = new URL(url);
    for (const host of ["localhost", "127.0.0.1", ...((await hasIpv6()) ? ["[::1]"] : [])]) {
      const response = await fetch(`http://${host}:${port}/health`);
      expect([host, response.status, await response.json()]).toEqual([host, 200, { ok: true }]);
    }
    const listeners = await listenersAt(Number(port));
    expect(listeners).not.toEqual([]);
    for (const address of listeners) expect(address).toMatch(/^(.{6}7F|0{24}01000000)$/);
  });

  test("keeps its secrets from other users of the machine", async () => {
    const { dataDir } = sharedSuite();
    const modes = await Promise.all(
      ["", "secrets.json", "suite.json", "suite.log"].map(async (name) => (await stat(path.join(dataDir, name))).mode),
    );
    expect(modes.map((mode) => (mode & 0o777).toString(8))).toEqual(["700", "600", "600", "600"]);
  });

  test("is the only one on its data folder: the second names the first and ends", async () => {
    const { url, dataDir } = sharedSuite();
    const second = await failToStart(["--data", dataDir]);
    expect(second).toEqual({
      code: 1,
      said: `A suite runs at ${url} with ${dataDir} already; end it first, or choose another --data DIR.`,
    });
    expect((await fetch(`${url}/health`)).status).toBe(200);
  });
});

describe("data", () => {
  test("is there after a restart, for the token from before", async () => {
    const dataDir = await newDataFolder(path.join(folder, "data-"));
    const first = spawnSuite(["--data", dataDir]);
    const url = await first.ready;
    const token = await requestToken(await readSuite(dataDir), { name: "test" });
    const before = await connect(url, token);
    await before.callTool({ name: "files_write", arguments: { path: "kept.txt", content: "still here" } });
    await before.close();
    await first.end();
    expect(await readSuite(dataDir).catch((error: unknown) => String(error))).toContain("No suite runs");

    const second = spawnSuite(["--data", dataDir, "--port", new URL(url).port]);
    expect(await second.ready).toBe(url);
    const after = await connect(url, token);
    const { content } = await after.callTool({ name: "files_read", arguments: { path: "kept.txt" } });
    expect(JSON.stringify(content)).toContain("still here");
    await after.close();
    await second.end();
  });
});

describe("a suite on an empty folder", () => {
  let suite: SpawnedSuite;
  let dataDir = "";
  beforeAll(async () => {
    dataDir = await mkdtemp(path.join(folder, "empty-"));
    suite = spawnSuite(["--data", dataDir]);
    await suite.ready;
  });
  afterAll(async () => await suite.end());

  test("says last that it is ready, after what to paste into each client", async () => {
    const url = await suite.ready;
    const endpoint = `${url}/mcp`;
    const said = suite.output();
    expect(said.trimEnd().split("\n").at(-1)).toBe(`ready ${url}`);
    expect(said.match(/^ready /gm)).toHaveLength(1);
    expect(said).toMatch(/^ {2}sign-in code {2}[A-Z0-9]{4}-[A-Z0-9]{4}$/m);
    expect(said).toContain(`claude mcp add --transport http pincer ${endpoint}`);
    expect(said).toContain(`"args":["-y","mcp-remote","${endpoint}"]`);
    expect(said).toContain(`{"mcpServers":{"pincer":{"url":"${endpoint}"}}}`);
    expect(said).toContain(`code --add-mcp '{"name":"pincer","type":"http","url":"${endpoint}"}'`);
  });

  test.each(["/worker-host.ts", "workerd serve", "/runtime.ts"])("starts a part that dies again: %s", async (part) => {
    const url = await suite.ready;
    const token = await requestToken(await readSuite(dataDir), { name: "test" });
    const started = await treeOf(suite.process.pid ?? 0);
    const commands = await Promise.all(started.map(commandOf));
    const pid = started[commands.findIndex((command) => command.includes(part))];
    if (pid === undefined) throw new Error(`There is no ${part} to kill.`);
    process.kill(pid, "SIGKILL");
    expect(await survivorsOf([pid], 20_000)).toEqual([]);

    const said = async (): Promise<unknown> => {
      const client = await connect(url, token);
      const { structuredContent } = await client.callTool({
        name: "sandbox_exec",
        arguments: { command: "echo back" },
      });
      await client.close();
      return structuredContent;
    };
    await vi.waitFor(async () => expect(await said()).toMatchObject({ exit_code: 0, stdout: "back\n" }), {
      timeout: 40_000,
      interval: 200,
    });
  });
});

describe("nothing is left running", () => {
  // A lock or a half-written file of a suite that was killed does not stand in the way of the next: each starts where
  // the one before it has ended.
  let dataDir = "";
  beforeAll(async () => (dataDir = await newDataFolder(path.join(folder, "data-"))));

  // Bootstrap and launcher: whichever is hit, everything ends.
  test.each([
    ["SIGINT", "the bootstrap"],
    ["SIGTERM", "the bootstrap"],
    ["SIGKILL", "the bootstrap"],
    ["SIGTERM", "the launcher"],
    ["SIGKILL", "the launcher"],
  ] as const)("after %s of %s", async (signal, target) => {
    const suite = spawnSuite(["--data", dataDir]);
    const url = await suite.ready;
    const client = await connect(url, await requestToken(await readSuite(dataDir), { name: "test" }));
    await keepBusy(client);
    await client.close();

    const { pid = 0 } = suite.process;
    const started = await treeOf(pid);
    const commands = await Promise.all(started.map(commandOf));
    for (const part of ["launch.ts", "worker-host.ts", "workerd", "runtime.ts", "bwrap", "sleep 1000", "--headless"]) {
      expect(commands.join("\n")).toContain(part);
    }
    const launcher = started[commands.findIndex((command) => command.includes("/launch.ts"))];
    if (launcher === undefined) throw new Error("There is no launcher to kill.");
    process.kill(target === "the launcher" ? launcher : pid, signal);
    const left = await survivorsOf(started, 20_000);
    expect(await Promise.all(left.map(commandOf))).toEqual([]);
  });

  test("and the next suite starts", async () => {
    const next = spawnSuite(["--data", dataDir]);
    await next.ready;
    await next.end();
  });

  test("also where the suite fails to start half-way", async () => {
    const dataDir = await newDataFolder(path.join(folder, "data-"));
    // Where the Worker's files belong is something else.
    await mkdir(path.join(dataDir, "state"));
    await writeFile(path.join(dataDir, "state/r2"), "");
    const suite = spawnSuite(["--data", dataDir]);
    const { pid = 0 } = suite.process;
    expect(await suite.ended).toBe(1);
    expect(suite.output()).toContain(`The Worker did not start; ${path.join(dataDir, "suite.log")} says why.`);
    expect(await survivorsOf(await treeOf(pid), 20_000)).toEqual([]);
  });
});

describe("what cannot work is one sentence that says what to do", () => {
  test("a port that another program has", async () => {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const address = server.address();
    const port = typeof address === "object" && address !== null ? address.port : 0;
    const failure = await failToStart(["--data", await newDataDir(), "--port", String(port)]);
    server.close();
    expect(failure).toEqual({
      code: 1,
      said: `Port ${port} is taken by another program; choose another with --port N, or --port 0 for any free one.`,
    });
  });

  test("a data folder that is a file", async () => {
    const file = path.join(await newDataDir(), "file");
    await writeFile(file, "");
    const failure = await failToStart(["--data", file]);
    expect(failure).toEqual({
      code: 1,
      said: `${file} cannot be used as the data folder; choose one that you own with --data DIR.`,
    });
  });

  test("a folder with something else in it, which stays as it was", async () => {
    const dataDir = await newDataDir();
    await writeFile(path.join(dataDir, "novel.txt"), "It was a dark night.");
    await chmod(dataDir, 0o755);
    const failure = await failToStart(["--data", dataDir]);
    expect(failure.code).toBe(1);
    expect(failure.said).toBe(
      `${dataDir} holds something else than a suite's data; choose a new folder with --data DIR.`,
    );
    expect((await stat(dataDir)).mode & 0o777).toBe(0o755);
  });

  test.each([
    ["garbage", "�\u0000 not JSON"],
    ["JSON of another shape", '{"signingSecret":"short"}'],
    ["nothing", ""],
  ])("secrets that are %s", async (_kind, content) => {
    const dataDir = await newDataDir();
    await writeFile(path.join(dataDir, "suite.lock"), "");
    const file = path.join(dataDir, "secrets.json");
    await writeFile(file, content);
    const failure = await failToStart(["--data", dataDir]);
    expect(failure).toEqual({
      code: 1,
      said: `${file} is damaged; restore it, or remove it to get new secrets, which ends all tokens and share links.`,
    });
    expect(await readFile(file, "utf8")).toBe(content);
  });

  test("a lock that is no lock", async () => {
    const dataDir = await newDataDir();
    await mkdir(path.join(dataDir, "suite.lock"));
    const failure = await failToStart(["--data", dataDir]);
    expect(failure.code).toBe(1);
    expect(failure.said).toMatch(/suite\.lock is damaged or cannot be written; remove it, or choose another/);
  });

  test.each([
    [["--port", "-1"], "Option '--port' argument is ambiguous; npm start -- --help lists the options."],
    [["--prot", "1"], "Unknown option '--prot'; npm start -- --help lists the options."],
    [["--port", "99999"], "--port 99999 is no port; give a number from 0 to 65535."],
    [["--driver", "warp"], "There is no warp driver; use --driver local or --driver simulated, or leave it out."],
    [
      ["--driver", "container"],
      "npm start does not run sandboxes in containers yet; use --driver local or --driver simulated, or leave it out.",
    ],
    [
      ["--allow-host", "http://x/"],
      "--allow-host http://x/ is no host; give HOST or HOST:PORT, such as api.example.com:443.",
    ],
  ])("the command line %j", async (args, sentence) => {
    expect(await failToStart(["--data", await newDataDir(), ...args])).toEqual({ code: 1, said: sentence });
  });

  test("a local sandbox where bubblewrap is missing", async () => {
    const programs = await newDataDir();
    const others = (await readdir("/usr/bin")).filter((name) => name !== "bwrap");
    await Promise.all(others.map(async (name) => await symlink(`/usr/bin/${name}`, path.join(programs, name))));
    const failure = await failToStart(["--data", await newDataDir(), "--driver", "local"], { PATH: programs });
    expect(failure.code).toBe(1);
    expect(failure.said.split("\n").at(-1)).toBe(
      "bubblewrap is missing: install it (on Debian and Ubuntu, apt install bubblewrap) and start Pincer again.",
    );
  });

  test("settings that contradict each other", async () => {
    const failure = await failToStart(["--data", await newDataDir()], { AI_GATEWAY_ID: "gateway" });
    expect(failure.code).toBe(1);
    expect(failure.said).toContain("AI_GATEWAY_TOKEN is missing while part of AI_GATEWAY_* is set.");
  });

  test("a model endpoint that is no URL", async () => {
    expect(await failToStart(["--data", await newDataDir()], { MODEL_BASE_URL: "foo" })).toEqual({
      code: 1,
      said:
        "Settings are wrong: MODEL_BASE_URL: give a URL that begins with https:// or http://. " +
        "Correct that in the environment or in .dev.vars.",
    });
  });

  test("a database that is none", async () => {
    const dataDir = await newDataDir();
    const state = path.join(dataDir, "state");
    await mkdir(path.join(state, "r2"), { recursive: true });
    await writeFile(path.join(dataDir, "suite.lock"), "");
    const file = path.join(state, "r2/files.sqlite");
    await writeFile(file, "garbage, garbage");
    expect(await failToStart(["--data", dataDir])).toEqual({
      code: 1,
      said: `${file} is damaged; restore it, or move ${state} away to start without the files and tokens in it.`,
    });
  });
});

/** The addresses that are listened at, as the kernel writes them: 127.0.0.1 is `0100007F`. */
async function listenersAt(port: number): Promise<string[]> {
  const tables = await Promise.all(["tcp", "tcp6"].map(async (name) => await readFile(`/proc/net/${name}`, "utf8")));
  const rows = tables.flatMap((table) => table.split("\n")).map((line) => line.trim().split(/\s+/));
  const ending = `:${port.toString(16).toUpperCase().padStart(4, "0")}`;
  return rows.flatMap(([, local = "", , state]) =>
    state === "0A" && local.endsWith(ending) ? [local.slice(0, -ending.length)] : [],
  );
}

async function hasIpv6(): Promise<boolean> {
  const server = createServer();
  return await new Promise((resolve) => {
    server.once("error", () => resolve(false));
    server.listen(0, "::1", () => server.close(() => resolve(true)));
  });
}

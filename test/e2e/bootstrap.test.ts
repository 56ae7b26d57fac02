import { type ChildProcess, execFile, spawn } from "node:child_process";
import { chmod, cp, mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { pathToFileURL } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";

const LOCAL = path.resolve(import.meta.dirname, "../../container/local");

let folder = "";
beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), "pincer-bootstrap-"));
});
afterAll(async () => {
  await rm(folder, { recursive: true, force: true });
});

interface Packages {
  readonly [path: string]: { readonly version?: string; readonly optional?: boolean };
}

const LOCKED: Packages = {
  "": { version: "1.0.0" },
  "node_modules/a": { version: "1.0.0" },
  "node_modules/for-another-system": { version: "1.0.0", optional: true },
};

/**
 * A project with the bootstrap, these packages installed, and an npm that writes down what it is told. `script.ts`
 * says what it was given.
 */
async function makeProject(installed: Packages | undefined, npmExitCode = 1): Promise<string> {
  const root = await mkdtemp(path.join(folder, "project-"));
  await mkdir(path.join(root, "container/local"), { recursive: true });
  for (const name of ["bootstrap.mjs", "lifeline.mjs"]) {
    await cp(path.join(LOCAL, name), path.join(root, "container/local", name));
  }
  await writeFile(path.join(root, "package-lock.json"), JSON.stringify({ packages: LOCKED }));
  await writeFile(
    path.join(root, "script.ts"),
    "console.log(`ran ${process.argv.slice(2).join()}`); process.exitCode = 7;",
  );
  if (installed !== undefined) {
    await mkdir(path.join(root, "node_modules"));
    await writeFile(path.join(root, "node_modules/.package-lock.json"), JSON.stringify({ packages: installed }));
  }
  await writeFile(
    path.join(root, "npm"),
    `#!/bin/sh\necho "$@" > "${root}/npm.txt"\necho chatter\nexit ${npmExitCode}\n`,
  );
  await chmod(path.join(root, "npm"), 0o755);
  return root;
}

async function bootstrap(root: string, args: readonly string[] = []) {
  const { npm_execpath: _npm, ...others } = process.env;
  const env = { ...others, PATH: `${root}:${process.env["PATH"] ?? ""}` };
  const script = path.join(root, "container/local/bootstrap.mjs");
  return await new Promise<{ code: unknown; stdout: string; stderr: string }>((resolve) => {
    execFile(process.execPath, [script, "script.ts", ...args], { env }, (error, stdout, stderr) => {
      resolve({ code: error === null ? 0 : error.code, stdout, stderr });
    });
  });
}

async function npmCall(root: string): Promise<string | undefined> {
  return await readFile(path.join(root, "npm.txt"), "utf8").then(
    (text) => text.trim(),
    () => undefined,
  );
}

test("what is installed as locked is left alone, and the script's exit code comes back", async () => {
  const root = await makeProject({ "node_modules/a": { version: "1.0.0" } });
  expect(await bootstrap(root, ["one", "two"])).toEqual({ code: 7, stdout: "ran one,two\n", stderr: "" });
  expect(await npmCall(root)).toBeUndefined();
});

test("missing dependencies are installed first, and npm's chatter stays off stdout", async () => {
  const root = await makeProject(undefined, 0);
  const { code, stdout, stderr } = await bootstrap(root);
  expect(await npmCall(root)).toMatch(/^install --no-save --ignore-scripts /);
  expect([code, stdout]).toEqual([7, "ran \n"]);
  expect(stderr).toContain("Dependencies are missing: running npm install, which takes a minute or two.\nchatter\n");
});

test.each([
  ["another version", { "node_modules/a": { version: "0.9.0" } }],
  ["a package that is not there", {}],
])("%s makes the dependencies stale", async (_case, installed: Packages) => {
  const root = await makeProject(installed, 0);
  expect((await bootstrap(root)).code).toBe(7);
  expect(await npmCall(root)).toMatch(/^install --no-save --ignore-scripts /);
});

test("where npm fails, one sentence says what to do and nothing runs", async () => {
  const root = await makeProject(undefined);
  const { code, stdout, stderr } = await bootstrap(root);
  expect([code, stdout]).toEqual([1, ""]);
  expect(stderr.trimEnd().split("\n").at(-1)).toBe(
    "npm could not install the dependencies: read what it printed above, check the network, and run this again.",
  );
});

test("--no-install installs nothing", async () => {
  const root = await makeProject({});
  expect(await bootstrap(root, ["--no-install"])).toEqual({ code: 7, stdout: "ran --no-install\n", stderr: "" });
  expect(await npmCall(root)).toBeUndefined();
});

/** All that it and whatever it started have said, once the last of them has ended. */
async function everythingSaid(child: ChildProcess): Promise<string> {
  let said = "";
  child.stdout?.on("data", (chunk: unknown) => (said += String(chunk)));
  child.stderr?.on("data", (chunk: unknown) => (said += String(chunk)));
  return await new Promise((resolve) => child.once("close", () => resolve(said)));
}

/** A project whose dependencies take long to install. */
async function makeSlowProject(): Promise<{ root: string; env: NodeJS.ProcessEnv }> {
  const root = await makeProject(undefined);
  // As npm does, it takes notice of the second signal.
  const script = 'trap "trap - TERM" TERM; echo busy; for i in $(seq 600); do sleep 0.1; done';
  await writeFile(path.join(root, "npm"), `#!/bin/sh\n${script}\n`);
  const { npm_execpath: _npm, ...others } = process.env;
  return { root, env: { ...others, PATH: `${root}:${process.env["PATH"] ?? ""}`, npm_lifecycle_event: "start" } };
}

const BOOTSTRAP = "container/local/bootstrap.mjs";

test("where whoever started it is killed during the install, the install ends and nothing runs", async () => {
  const { root, env } = await makeSlowProject();
  const inShell = ["-c", '"$0" "$@"; exit', process.execPath, path.join(root, BOOTSTRAP), "script.ts"];
  const shell = spawn("sh", inShell, { env });
  const said = everythingSaid(shell);
  await new Promise<void>((resolve) => {
    shell.stderr.on("data", (chunk: unknown) => {
      if (String(chunk).includes("busy")) resolve();
    });
  });
  shell.kill("SIGKILL");
  expect(await said).toBe("Dependencies are missing: running npm install, which takes a minute or two.\nbusy\n");
});

test("an install that did not come to its end is begun anew, and one under way is left alone", async () => {
  const root = await makeProject({ "node_modules/a": { version: "1.0.0" } }, 0);
  const half = path.join(root, "node_modules/a/package.json");
  await mkdir(path.dirname(half));
  await writeFile(half, "{}");
  const installing = path.join(root, "node_modules/.installing");

  await writeFile(installing, String(process.pid));
  const refused = await bootstrap(root);
  expect([refused.code, refused.stdout, await npmCall(root)]).toEqual([1, "", undefined]);
  expect(refused.stderr).toMatch(
    /^Process \d+ installs the dependencies already: wait for its end, and run this again;/,
  );
  expect(await readFile(half, "utf8")).toBe("{}");

  const ended = spawn("true");
  await new Promise((resolve) => ended.once("exit", resolve));
  await writeFile(installing, String(ended.pid));
  expect((await bootstrap(root)).stderr).toContain("Dependencies are installed by half: running npm install,");
  expect(await npmCall(root)).toMatch(/^install /);
  await expect(readFile(half)).rejects.toThrow("ENOENT");
  await expect(readFile(installing)).rejects.toThrow("ENOENT");
});

test("a signal during the install ends it without a word about the network", async () => {
  const { root, env } = await makeSlowProject();
  const child = spawn(process.execPath, [path.join(root, BOOTSTRAP), "script.ts"], { env });
  const said = everythingSaid(child);
  child.stderr.on("data", (chunk: unknown) => {
    if (String(chunk).includes("busy")) child.kill("SIGTERM");
  });
  expect(await said).toBe("Dependencies are missing: running npm install, which takes a minute or two.\nbusy\n");
  expect(child.exitCode).toBe(143);
});

test("where npm was killed before it could notice, nothing runs", async () => {
  const root = await makeProject({ "node_modules/a": { version: "1.0.0" } });
  // Its own shell has ended by then.
  const script = '(while kill -0 $$ 2> /dev/null; do sleep 0.05; done; exec "$0" "$@") &';
  const inShell = ["-c", script, process.execPath, path.join(root, BOOTSTRAP), "script.ts"];
  const env = { ...process.env, npm_lifecycle_event: "start" };
  expect(await everythingSaid(spawn("sh", inShell, { env, detached: true }))).toBe("");
});

test("where the bootstrap was killed before the script could notice, the script does not run", async () => {
  const root = await makeProject({ "node_modules/a": { version: "1.0.0" } });
  const lifeline = pathToFileURL(path.join(root, "container/local/lifeline.mjs")).href;
  const env = { ...process.env, PINCER_BOOTSTRAP_PID: "1" };
  const child = spawn(process.execPath, [`--import=${lifeline}`, path.join(root, "script.ts")], { env });
  expect(await everythingSaid(child)).toBe("");
  expect(child.signalCode).toBe("SIGTERM");
});

import { execFile } from "node:child_process";
import { chmod, cp, mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
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

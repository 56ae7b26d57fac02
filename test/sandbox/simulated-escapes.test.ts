import { once } from "node:events";
import { mkdtemp, mkdir, readFile, realpath, rm, symlink, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { expect, test } from "vitest";
import * as z from "zod";
import { permissionsFor } from "../../container/local/sandbox/simulated.ts";
import { mapFiles } from "./map-files.ts";
import { type LocalSandboxes, run, startLocalSandboxes } from "./local-sandboxes.ts";

async function simulate(): Promise<LocalSandboxes> {
  return await startLocalSandboxes({ driver: "simulated" });
}

test("no file of the machine is in reach of a command, by any path", async () => {
  await using sandboxes = await simulate();
  const sandbox = sandboxes.open({ id: "reach" });
  const secret = join(sandboxes.dataDir, "secret.txt");
  await writeFile(secret, "host-secret");
  const paths = [
    ...["/etc/passwd", "/etc/hostname", "/proc/version", "/proc/self/environ", "/proc/1/cmdline", "/root", "/home"],
    ...[secret, "../../../secret.txt", "/workspace/../../../../secret.txt", "files/../../../../secret.txt"],
    ...["/tmp/../../../secret.txt", `/workspace/${"../".repeat(30)}etc/passwd`, import.meta.filename, process.execPath],
    ...[
      "..\\..\\..\\secret.txt",
      "./././../..//..//secret.txt",
      "$(printf '..')/../../secret.txt",
      "~root",
      "//etc/passwd",
    ],
  ];
  // A shell takes longer to start than to try a path: each tries all of them, and says that it came to the end.
  const script = (attempt: (path: string) => string): string =>
    [...paths.map((path) => `( ${attempt(path)} ); echo "=== tried"`), "true"].join("\n");
  const reading = script(
    (path) =>
      `cat "${path}"; head -c 100 < "${path}"; tail "${path}"; grep -r . "${path}"; tar c "${path}"; source "${path}"; rg . "${path}"`,
  );
  const { stdout, stderr, exitCode } = await run(sandbox, reading, { maxChars: 100_000 });
  expect([exitCode, stdout.isCut, stderr.isCut]).toEqual([0, false, false]);
  expect(stdout.text.match(/^=== tried$/gm)).toHaveLength(paths.length);
  const said = stdout.text + stderr.text;
  expect(said).not.toMatch(/host-secret|root:x:|daemon:|PATH=\/|ELF/);
  expect(said).not.toContain("describeCommands");
  const writing = await run(
    sandbox,
    script(
      (path) =>
        `echo written > "${path}"; cp /workspace/own "${path}"; mkdir -p "${path}/x"; rm -rf "${path}"; mv "${path}" y`,
    ),
  );
  expect(writing.stdout.text.match(/^=== tried$/gm)).toHaveLength(paths.length);
  expect(await readFile(secret, "utf8")).toBe("host-secret");
  expect(await readFile("/etc/passwd", "utf8")).toContain("root:");
});

test("links are not made, and those that somebody else made are not followed", async () => {
  await using sandboxes = await simulate();
  const files = mapFiles();
  const sandbox = sandboxes.open({ id: "links", files });
  const outside = join(sandboxes.dataDir, "outside");
  await mkdir(outside);
  await writeFile(join(outside, "secret.txt"), "host-secret");
  await run(
    sandbox,
    `ln -s ${outside} made; ln -sf /etc/passwd made2; ln ${outside}/secret.txt made3; cp -s /etc/passwd made4`,
  );
  const workspace = join(sandboxes.dataDir, "simulated/links/workspace");
  for (const [name, target] of [
    ["folder", outside],
    ["file", join(outside, "secret.txt")],
    ["up", "../.."],
    ["loop", "loop"],
  ] as const) {
    await symlink(target, join(workspace, name));
    await symlink(target, join(sandboxes.dataDir, "simulated/links/files", name));
  }
  const everything =
    "ls -laR . made; cat made made2 made3 made4 file folder/secret.txt up/secret.txt files/file; cat < file; cd folder && cat secret.txt; find . -follow; cp -rL folder copied; cp file copied2; cat copied copied2; tar chf t.tar . && tar xOf t.tar; readlink -f file; grep -R secret .; mv file moved; cat moved; realpath folder";
  const seen = await run(sandbox, everything);
  expect(seen.stdout.text + seen.stderr.text).not.toMatch(/host-secret|root:x:/);
  expect(seen.stdout.text + seen.stderr.text).not.toContain(sandboxes.dataDir);
  await run(
    sandbox,
    "echo x > folder/new; echo x > file; echo x >> up/new; rm -rf folder/ up/*; mkdir folder/sub; touch folder/secret.txt",
  );
  expect(await readFile(join(outside, "secret.txt"), "utf8")).toBe("host-secret");
  for (const path of ["folder/secret.txt", "up/links/workspace", "files/file", "loop/x"]) {
    await expect(sandbox.readFile(path, 1_000), path).rejects.toMatchObject({
      code: expect.stringMatching(/invalid_input|not_found/),
    });
    await expect(sandbox.writeFile(path, new Uint8Array(1)), path).rejects.toMatchObject({
      code: expect.stringMatching(/invalid_input|not_found/),
    });
  }
  for (const path of ["/etc/new", "/workspace/../new", "../../new", "/new", "/proc/new", "/var/new"]) {
    await expect(sandbox.writeFile(path, new Uint8Array(1)), path).rejects.toMatchObject({ code: "forbidden" });
    await expect(sandbox.readFile(path, 1_000), path).rejects.toMatchObject({ code: "not_found" });
  }
  expect(files.paths()).toEqual([]);
});

test("an archive writes nothing outside, neither by names nor by links in it", async () => {
  await using sandboxes = await simulate();
  const sandbox = sandboxes.open({ id: "archive" });
  const outside = await mkdtemp(join(tmpdir(), "pincer-outside-"));
  try {
    await mkdir(join(outside, "in"));
    await writeFile(join(outside, "escaped.txt"), "planted");
    await symlink(outside, join(outside, "in/link"));
    const names = ["-P", "../escaped.txt", join(outside, "escaped.txt"), "link", "link/escaped.txt"];
    await promisify(execFile)("tar", ["cf", join(outside, "evil.tar"), ...names], { cwd: join(outside, "in") });
    await sandbox.writeFile("evil.tar", await readFile(join(outside, "evil.tar")));
    await writeFile(join(outside, "escaped.txt"), "host");
    await run(sandbox, "tar xf evil.tar; tar xPf evil.tar; mkdir d; cd d; tar xvf ../evil.tar -C ..");
    expect(await readFile(join(outside, "escaped.txt"), "utf8")).toBe("host");
  } finally {
    await rm(outside, { recursive: true, force: true });
  }
});

test("nothing of this machine's environment, user or name shows", async () => {
  process.env["PINCER_TEST_CANARY"] = "canary-3391";
  await using sandboxes = await simulate();
  const sandbox = sandboxes.open();
  const seen = await run(
    sandbox,
    "env; set; export -p; hostname; whoami; cat /proc/self/* /proc/version; echo $$ $PPID $UID ~; jq -n 'env, $ENV'; awk 'BEGIN { for (n in ENVIRON) print n, ENVIRON[n] }'; pwd -P; ls -la /; date +%Z",
  );
  const said = seen.stdout.text + seen.stderr.text;
  expect(said).not.toMatch(/canary-3391|PINCER|node_modules|NODE_/);
  for (const known of [sandboxes.secret, sandboxes.dataDir, process.env["HOME"] ?? "/root", process.cwd()])
    expect(said).not.toContain(known);
});

test("tricks with prototypes and expressions reach neither JavaScript nor the next command", async () => {
  await using sandboxes = await simulate();
  const sandbox = sandboxes.open();
  const tricks = [
    "__proto__=x; constructor=y; echo ${__proto__} ${constructor} ${toString} ${hasOwnProperty}",
    "declare -A a; a[__proto__]=polluted; a[constructor]=polluted; echo ${a[__proto__]} ${a[toString]} ${a[polluted]}",
    `echo '{"__proto__": {"polluted": 1}, "constructor": {"prototype": {"polluted": 1}}}' | jq -c '., .polluted, ({} | .polluted), ({} | .constructor), ({} | .__proto__)'`,
    `jq -n '{} | setpath(["__proto__", "polluted"]; 1) | {} | .polluted'`,
    `jq -n '[limit(3; repeat("constructor"))] | getpath(["constructor", "constructor"])'`,
    `jq -n '"x" | test("(?:)"; "g"), input_filename, $__prog_args, $__loc__'`,
    `awk 'BEGIN { a["__proto__"] = 1; a["constructor"] = "x"; print a["polluted"], constructor, process, globalThis; system("id"); "id" | getline x; print x; print "y" > "/etc/y" }'`,
    `printf 'a: &a\\n  __proto__: {polluted: 1}\\n<<: *a\\n' > y; yq '.polluted, .a.polluted' y; printf '__proto__ = 1\\n[constructor]\\nprototype = 1' > t.toml; yq -p toml . t.toml`,
    `echo 'x' | sed 's/x/id/e; w /etc/z'; sed -n '1e id' y; sed --expression='r /etc/passwd' y`,
    "find . -exec node -e 'process.exit()' ';'; xargs -I{} sh -c 'constructor {}' < y; eval 'process.exit()'; $(constructor)",
    "globalThis; process; require fs; import os; Function; [[ -v constructor ]]; ((constructor++)); let __proto__=1; echo $((__proto__ + toString))",
    "alias __proto__=id; __proto__; function constructor { echo mine; }; constructor; hash; type __proto__ toString",
  ];
  for (const trick of tricks) {
    // This repeat is one that does not end.
    const { stdout, stderr } = await run(sandbox, trick, { timeoutMs: trick.includes("repeat(") ? 2_000 : 30_000 });
    expect(stdout.text + stderr.text, trick).not.toMatch(
      /uid=|root:x:|native code|node:internal|file:\/\/|\.mjs|node_modules/,
    );
  }
  expect(
    (await run(sandbox, "echo ${polluted-clean}; echo '{}' | jq -c '.polluted'; env | grep polluted")).stdout.text,
  ).toBe("clean\nnull\n");
});

test("variables of every name are only variables", async () => {
  await using sandboxes = await simulate();
  const sandbox = sandboxes.open();
  const names = [
    "__proto__",
    "constructor",
    "toString",
    "PATH",
    "HOME",
    "BASH_ENV",
    "ENV",
    "NODE_OPTIONS",
    "LD_PRELOAD",
    "IFS",
    "SHELLOPTS",
  ];
  for (const name of names) {
    const result = await run(sandbox, "/bin/echo fine", { env: JSON.parse(`{"${name}": "--require=/etc/passwd"}`) });
    expect(result.stdout.text.trim(), name).toMatch(/^(fine)?$/);
  }
  expect((await run(sandbox, "echo next")).stdout.text).toBe("next\n");
});

/** What code could try that has got out of just-bash and runs as JavaScript in the thread of a command. */
const HOSTILE = `
const attempts = {
  read: () => fs.readFileSync("/etc/passwd"),
  readOwner: () => fs.readFileSync(secret),
  list: () => fs.readdirSync("/"),
  write: () => fs.writeFileSync(secret, "x"),
  writeCode: () => fs.writeFileSync(code, "x"),
  link: () => fs.symlinkSync("/etc/passwd", tmp + "/link"),
  relativeLink: () => fs.symlinkSync("../../../secret.txt", tmp + "/link2"),
  hardLink: () => fs.linkSync("/etc/passwd", tmp + "/link3"),
  descriptor: () => fs.readFileSync(fs.openSync("/etc/passwd")),
  require: () => require(json),
  blob: () => fs.openAsBlob("/etc/passwd"),
  watch: () => fs.watch("/etc"),
  folder: () => fs.opendirSync("/"),
  copy: () => fs.cpSync("/etc/passwd", tmp + "/copy"),
  environmentFile: () => process.loadEnvFile(secret),
  heap: () => require("node:v8").writeHeapSnapshot(secret),
  replace: () => process.execve("/usr/bin/id", ["id"], {}),
  spawn: () => require("node:child_process").execSync("id"),
  fork: () => require("node:cluster").fork(),
  thread: () => new (require("node:worker_threads").Worker)("1", { eval: true }),
  freeThread: () => new (require("node:worker_threads").Worker)("1", { eval: true, execArgv: ["--permission", "--allow-fs-read=*"] }),
  signal: () => process.kill(process.ppid, 0),
  lowSignal: () => process._kill(process.ppid, 0),
  binding: () => process.binding("spawn_sync"),
  addon: () => process.dlopen({ exports: {} }, "/usr/lib/x.node"),
  inspector: () => { require("node:inspector").open(0); },
  wasi: () => new (require("node:wasi").WASI)({ version: "preview1", preopens: { "/": "/" } }),
  sqlite: () => new (require("node:sqlite").DatabaseSync)(secret),
  connect: () => require("node:net").connect(port, "127.0.0.1"),
  socketPath: () => require("node:net").connect("/tmp/some.sock"),
  tls: () => require("node:tls").connect(port, "127.0.0.1"),
  listen: () => require("node:net").createServer().listen(0),
  datagram: () => require("node:dgram").createSocket("udp4").send("x", port, "127.0.0.1"),
  resolve: () => require("node:dns").resolve("example.com", () => {}),
  lookup: () => require("node:dns").lookup("example.com", () => {}),
  importedLookup: () => lookup("example.com", () => {}),
  debug: () => process._debugProcess(process.pid),
  http: () => require("node:http").get("http://127.0.0.1:" + port),
};
const results = {};
const done = () => "done";
/* By the fence or the thread, and not since what was tried is not there. */
const REFUSALS = ["EPERM", "ERR_ACCESS_DENIED", "ERR_WORKER_UNSUPPORTED_OPERATION"];
const refusal = ({ code, cause, message }) => REFUSALS.includes(cause?.code ?? code) ? "refused" : code + " " + message;
for (const [name, attempt] of Object.entries(attempts)) {
  try { attempt(); results[name] = "done"; } catch (error) { results[name] = refusal(error); }
}
results.fetch = await fetch("http://127.0.0.1:" + port).then(done, refusal);
results.promise = await fs.promises.readFile("/etc/passwd").then(done, refusal);
results.importFile = await import(module).then(done, refusal);
results.importedDatabase = await import("node:sqlite").then(({ DatabaseSync }) => void new DatabaseSync(secret)).then(done, refusal);
results.webSocket = await new Promise((resolve) => {
  const socket = new WebSocket("ws://127.0.0.1:" + port);
  socket.onopen = () => resolve("done");
  socket.onerror = () => resolve("refused");
});
results.importedThread = await import("node:worker_threads").then(({ Worker }) => void new Worker("1", { eval: true })).then(done, refusal);
results.report = typeof process.report.getReport === "function" ? "done" : "refused";
results.variables = Object.keys(process.env).length === 0 ? "refused" : "done";
`;

test("code that got out of just-bash would still meet a fence: files, programs, threads, signals, network", async () => {
  const folder = await realpath(await mkdtemp(join(tmpdir(), "pincer-fence-")));
  await using server = createServer((_, response) => response.end("host"));
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  let isMet = false;
  server.on("connection", () => (isMet = true));
  const { port } = z.object({ port: z.number() }).parse(server.address());
  try {
    const simulated = await realpath(join(import.meta.dirname, "../../container/local/sandbox/simulated"));
    const [tmp, secret] = [join(folder, "tmp"), join(folder, "secret.txt")];
    const [json, module] = [join(folder, "secret.json"), join(folder, "secret.mjs")];
    await mkdir(tmp);
    await writeFile(secret, "host-secret");
    await writeFile(json, "{}");
    await writeFile(module, "");
    const known = JSON.stringify({ tmp, secret, json, module, port, code: join(simulated, "shell.mjs") });
    await writeFile(
      join(tmp, "thread.mjs"),
      `import fs from "node:fs"; import { lookup } from "node:dns"; import { createRequire } from "node:module"; import { parentPort } from "node:worker_threads";
       const require = createRequire(import.meta.url); const { tmp, secret, json, module, port, code } = ${known};
       const { closeFence } = await import(${JSON.stringify(join(simulated, "fence.mjs"))}); closeFence();
       process.on("uncaughtException", () => {});
       ${HOSTILE}
       parentPort.postMessage(results);`,
    );
    await writeFile(
      join(tmp, "main.mjs"),
      `import { Worker } from "node:worker_threads";
       const worker = new Worker(new URL("./thread.mjs", import.meta.url), { env: {}, stdout: true, stderr: true });
       worker.once("message", (results) => { console.log(JSON.stringify(results)); process.exit(); });
       worker.once("error", (error) => { console.error(error); process.exit(1); });`,
    );
    const { stdout } = await promisify(execFile)(
      process.execPath,
      [...permissionsFor([simulated], [tmp]), join(tmp, "main.mjs")],
      {
        env: {},
      },
    );
    const results = z.record(z.string(), z.string()).parse(JSON.parse(stdout));
    expect(Object.keys(results).length).toBeGreaterThan(30);
    expect(Object.entries(results).filter(([, result]) => result !== "refused")).toEqual([]);
    expect(isMet).toBe(false);
    expect(await readFile(secret, "utf8")).toBe("host-secret");
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
});

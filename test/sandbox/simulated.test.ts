import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { Sandboxes } from "../../container/local/sandbox/sandboxes.ts";
import { mapFiles } from "./map-files.ts";
import { type LocalSandboxes, run, runCode, startLocalSandboxes } from "./local-sandboxes.ts";

const MIB = 1024 * 1024;

async function simulate(limits: object = {}): Promise<LocalSandboxes> {
  return await startLocalSandboxes({ driver: "simulated", limits });
}

test("it is named, with the reason and what it cannot do, by the runtime and by status", async () => {
  await using sandboxes = await simulate();
  const headers = { authorization: `Bearer ${sandboxes.secret}` };
  const reason = "It was asked for by --driver simulated; leave that out for real sandboxes.";
  expect(await (await fetch(`${sandboxes.runtime.url}/health`, { headers })).json()).toEqual({
    status: "ok",
    driver: "simulated",
    reason,
  });
  const sandbox = sandboxes.open();
  expect(await sandbox.status()).toMatchObject({ driver: "simulated", state: "asleep" });
  await run(sandbox, "echo hello > file; mkdir folder; echo more > folder/file");
  expect(await sandbox.status()).toEqual({
    driver: "simulated",
    state: "running",
    uptimeMs: expect.any(Number),
    costUsd: 0,
    disk: { usedBytes: 11, limitBytes: expect.any(Number) },
    processCount: 0,
    notes: [
      expect.stringMatching(/just-bash.*native programs.*code contexts, terminals, ports or \*\.internal names/),
      expect.stringMatching(/no snapshots/),
      reason,
    ],
  });
});

test("code contexts, terminals and open inputs are refused in words, and programs are not found", async () => {
  await using sandboxes = await simulate();
  const sandbox = sandboxes.open();
  for (const language of ["python", "javascript", "typescript"] as const) {
    await expect(runCode(sandbox, "1", { language })).rejects.toMatchObject({
      code: "unavailable",
      message: expect.stringMatching(/^Code contexts are beyond the simulated shell\. .*--driver simulated/),
    });
  }
  for (const input of ["open", "terminal"] as const) {
    await expect(run(sandbox, "cat", { input })).rejects.toMatchObject({
      code: "unavailable",
      message: expect.stringMatching(/^Terminals and open inputs are beyond the simulated shell\./),
    });
  }
  for (const program of [
    "git",
    "node",
    "npm",
    "python3",
    "python",
    "pip",
    "sqlite3",
    "curl",
    "kill",
    "js-exec",
    "nohup",
  ]) {
    expect(await run(sandbox, `${program} --version`), program).toMatchObject({
      exitCode: 127,
      stdout: { text: "" },
      stderr: { text: expect.stringContaining(`${program}: command not found`) },
    });
  }
  expect(await sandbox.listContexts()).toEqual([]);
});

test("what a machine without Linux's namespaces has is enough: commands, files, /tmp and a reset", async () => {
  await using sandboxes = await simulate();
  const files = mapFiles();
  const sandbox = sandboxes.open({ files });
  await files.write("in.csv", "name,count\nb,2\na,1\n");
  const script = "tail -n +2 files/in.csv | sort | awk -F, '{ s += $2; print $1 } END { print s }' | tee files/out.txt";
  expect(await run(sandbox, script)).toMatchObject({ exitCode: 0, stdout: { text: "a\nb\n3\n" } });
  expect(new TextDecoder().decode(await sandbox.readFile("files/out.txt", 100))).toBe("a\nb\n3\n");
  await run(sandbox, "echo kept > /tmp/kept; echo '{\"a\": [1, 2]}' > data.json");
  expect((await run(sandbox, "cat /tmp/kept; jq -c '.a | add' data.json")).stdout.text).toBe("kept\n3\n");
  expect(
    (await run(sandbox, "echo x > /dev/null; cat /dev/null; cat < /dev/null; ls nothing 2>/dev/null")).stdout.text,
  ).toBe("");
  const copies =
    "cp data.json copy.json; cp data.json copy.json; ln copy.json link.json; echo more >> link.json; wc -l < link.json";
  expect(await run(sandbox, copies)).toMatchObject({ stdout: { text: "2\n" }, stderr: { text: "" } });
  const names =
    "mkdir -p tree/{a,b}; touch tree/{a,b}/{1..3}.txt; echo tree/*/2.txt; rm tree/a/*; shopt -s globstar; echo **/3.txt";
  expect((await run(sandbox, names)).stdout.text).toBe("tree/a/2.txt tree/b/2.txt\ntree/b/3.txt\n");
  await sandbox.reset();
  expect((await run(sandbox, "ls -A . /tmp; cat files/out.txt")).stdout.text).toBe(".:\nfiles\n\n/tmp:\na\nb\n3\n");
});

test("the folder of the caller's files cannot be removed or moved away", async () => {
  await using sandboxes = await simulate();
  const files = mapFiles();
  const sandbox = sandboxes.open({ files });
  await files.write("kept.txt", "kept\n");
  await run(sandbox, "mv files elsewhere; rmdir files; mv /workspace /elsewhere; rm -rf nothing files/nothing");
  await run(sandbox, "echo new > files/new.txt");
  expect(files.paths().toSorted()).toEqual(["kept.txt", "new.txt"]);
});

test("a command that is ended while it copies leaves nothing half-made among the caller's files", async () => {
  await using sandboxes = await simulate();
  const files = mapFiles();
  const sandbox = sandboxes.open({ files });
  await run(sandbox, "cd files; seq 1 500000 > a; cp a b");
  for (let ends = 0; ends < 12; ends++) {
    await run(sandbox, "cd files; while :; do cp a b; done", { timeoutMs: 250 + 17 * ends });
  }
  expect(files.paths().toSorted()).toEqual(["a", "b"]);
  expect((await files.stat("b")).etag).toBe((await files.stat("a")).etag);
});

test("commands run side by side, each with its own output", async () => {
  await using sandboxes = await simulate();
  const sandbox = sandboxes.open();
  const wait = (mine: number, other: number) =>
    `touch ${mine}; until [ -e ${other} ]; do sleep 0.05; done; echo ${mine}; echo e${mine} >&2`;
  // Each ends only while the other one runs.
  const both = await Promise.all([run(sandbox, wait(1, 2)), run(sandbox, wait(2, 1))]);
  expect(both.map(({ stdout, stderr }) => stdout.text + stderr.text)).toEqual(["1\ne1\n", "2\ne2\n"]);
});

test("a command that goes on after its call is a process, with its output at its end", async () => {
  await using sandboxes = await simulate();
  const sandbox = sandboxes.open();
  const begun = await run(sandbox, "until [ -e go ]; do sleep 0.05; done; echo over; exit 4", { waitMs: 0 });
  expect(begun).toMatchObject({ isRunning: true, stdout: { text: "" } });
  expect((await sandbox.status()).processCount).toBe(1);
  await sandbox.writeFile("go", new Uint8Array());
  const ended = await sandbox.readProcess(
    begun.processId,
    { after: { stdout: 0, stderr: 0 }, until: "end", waitMs: 20_000, maxChars: 1_000 },
    { signal: new AbortController().signal },
  );
  expect(ended).toMatchObject({ isRunning: false, exitCode: 4, stdout: { text: "over\n" } });
});

test.each([
  { loop: "a loop of the shell", script: "while :; do :; done" },
  { loop: "a loop of awk", script: "awk 'BEGIN { while (1) x++ }'" },
  { loop: "sleep", script: "sleep 600" },
])("$loop is ended at timeoutMs, and the next command works", async ({ script }) => {
  await using sandboxes = await simulate();
  const sandbox = sandboxes.open();
  const result = await run(sandbox, `${script}; echo survived > survived`, { timeoutMs: 1_500 });
  expect(result).toMatchObject({ hasTimedOut: true, exitCode: 137, signal: "SIGKILL" });
  expect((await run(sandbox, "ls; echo next")).stdout.text).toBe("files\nnext\n");
});

test("a cancelled call and a signal end the command at once", async () => {
  await using sandboxes = await simulate();
  const sandbox = sandboxes.open();
  const abort = new AbortController();
  const command = { command: "touch begun; while :; do :; done", timeoutMs: 60_000, waitMs: 60_000, maxChars: 100 };
  const call = sandbox.exec(command, { signal: abort.signal });
  await expect.poll(async () => await sandbox.readFile("begun", 0).catch(() => undefined)).toBeDefined();
  abort.abort();
  await expect(call).rejects.toMatchObject({ code: "cancelled" });
  const { processId } = await run(sandbox, "while :; do :; done", { waitMs: 0 });
  await sandbox.signalProcess(processId, "SIGTERM");
  await expect
    .poll(async () => (await sandbox.listProcesses())[0])
    .toMatchObject({ processId, isRunning: false, exitCode: 143, signal: "SIGTERM" });
  expect((await sandbox.status()).processCount).toBe(0);
});

test.each([
  { hog: "strings", script: "x=$(seq 1 100000); while :; do a[i++]=$x$i; done" },
  {
    hog: "awk",
    script: "awk 'BEGIN { while (1) a[i++] = i \"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\" }'",
  },
  { hog: "jq", script: "jq -n '[range(1e9)] | length'" },
])("memory used up by $hog ends that command alone", async ({ script }) => {
  await using sandboxes = await simulate({ memoryBytes: 400 * MIB });
  const sandbox = sandboxes.open();
  const other = run(sandbox, "until [ -e go ]; do sleep 0.05; done; echo spared", {
    timeoutMs: 60_000,
    waitMs: 60_000,
  });
  const result = await run(sandbox, script, { timeoutMs: 45_000, waitMs: 50_000 });
  expect(result.hasTimedOut).toBe(false);
  expect(result.exitCode).not.toBe(0);
  expect(result.stderr.text).toMatch(/more than 100 MB of memory|limit exceeded/);
  await sandbox.writeFile("go", new Uint8Array());
  expect((await other).stdout.text).toBe("spared\n");
});

test("a flood of output ends the command, and its record stays bounded", async () => {
  await using sandboxes = await simulate({ spoolBytes: MIB / 4 });
  const sandbox = sandboxes.open();
  const result = await run(
    sandbox,
    "while :; do echo xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx; done",
  );
  expect(result.exitCode).not.toBe(0);
  expect(result.stdout.totalBytes).toBeLessThan(MIB / 2);
  expect((await run(sandbox, "echo next")).stdout.text).toBe("next\n");
});

test("a workspace that is full says so to the command and to writeFile, and can be tidied up", async () => {
  await using sandboxes = await simulate({ diskBytes: 4 * MIB, diskFiles: 500 });
  const sandbox = sandboxes.open();
  const fill = "seq 1 100000 > part; for i in $(seq 1 50); do cat part > big$i; done";
  expect(await run(sandbox, fill)).toMatchObject({
    exitCode: 1,
    stderr: { text: expect.stringMatching(/ENOSPC|no space/i) },
  });
  const { disk } = await sandbox.status();
  expect(disk?.usedBytes).toBeLessThanOrEqual(4 * MIB);
  await expect(sandbox.writeFile("more", new Uint8Array(2 * MIB))).rejects.toMatchObject({ code: "limit_reached" });
  expect((await run(sandbox, "cp -r . /tmp/copy")).exitCode).not.toBe(0);
  expect((await run(sandbox, "rm -r big* part; echo room > file; cat file")).stdout.text).toBe("room\n");
  await sandbox.writeFile("more", new Uint8Array(2 * MIB));
  const many = await run(sandbox, "for i in $(seq 1 1000); do echo > file$i; done");
  expect(many).toMatchObject({ exitCode: 1, stderr: { text: expect.stringMatching(/ENOSPC|no space/i) } });
  expect((await run(sandbox, "rm file*; mkdir again && echo room")).stdout.text).toBe("room\n");
});

test("another caller's sandbox sees none of this one's files", async () => {
  await using sandboxes = await simulate();
  const [one, two] = [sandboxes.open({ id: "one" }), sandboxes.open({ id: "two" })];
  await run(one, "echo secret > secret; echo secret > /tmp/secret");
  const look = "ls -A . /tmp ..; cat secret /tmp/secret ../one/workspace/secret ../../one/workspace/secret";
  expect((await run(two, look)).stdout.text).not.toContain("secret");
});

test("memory that all commands take together ends all of them, and the next one works", async () => {
  await using sandboxes = await simulate({ memoryBytes: 300 * MIB });
  const sandbox = sandboxes.open();
  const hog = "x=$(seq 1 100000); while :; do a[i++]=$x$i; done";
  const limits = { timeoutMs: 50_000, waitMs: 50_000 };
  const results = await Promise.all(Array.from({ length: 6 }, async () => await run(sandbox, hog, limits)));
  for (const { exitCode, hasTimedOut } of results)
    expect({ exitCode, hasTimedOut }).toEqual({ exitCode: 137, hasTimedOut: false });
  const said = results.map(({ stderr }) => stderr.text).join("");
  expect(said).toContain("The sandbox used more than 300 MB of memory; its commands were ended.\n");
  expect((await run(sandbox, "echo next")).stdout.text).toBe("next\n");
});

test("on a system that is not Linux it stands in by itself", async () => {
  const { platform } = process;
  Object.defineProperty(process, "platform", { value: "darwin" });
  try {
    await using sandboxes = await startLocalSandboxes();
    const sandbox = sandboxes.open();
    expect((await run(sandbox, "echo simulated")).stdout.text).toBe("simulated\n");
    expect((await sandbox.status()).notes).toContainEqual(expect.stringMatching(/^bubblewrap.* needs Linux/));
  } finally {
    Object.defineProperty(process, "platform", { value: platform });
  }
});

test("a driver that this machine does not have is refused with the reason", async () => {
  const dataDir = await mkdtemp(join(tmpdir(), "pincer-sandbox-"));
  const path = process.env["PATH"];
  process.env["PATH"] = dataDir;
  try {
    await expect(Sandboxes.open({ dataDir, driver: "local", log: () => undefined })).rejects.toMatchObject({
      code: "unavailable",
      message: expect.stringMatching(/./),
    });
  } finally {
    process.env["PATH"] = path;
    await rm(dataDir, { recursive: true, force: true });
  }
});

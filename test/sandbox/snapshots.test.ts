import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import * as z from "zod";
import { createLocalWorkspaces } from "../../servers/sandbox/local-workspace.ts";
import { run, startLocalSandboxes } from "./local-sandboxes.ts";
import { type SnapshotPerson, type SnapshotSuite, startSnapshotSuite } from "./snapshot-suite.ts";

// What is killed in the middle has to take a while.
vi.setConfig({ testTimeout: 180_000 });

let suite: SnapshotSuite;

// A snapshot is never taken by itself: the test says when.
beforeAll(async () => (suite = await startSnapshotSuite({ after: "1h" })));
afterAll(async () => await suite[Symbol.asyncDispose]());

const LARGE = "head -c 40M /dev/urandom > large; sha256sum large > sum";

async function text({ remote }: SnapshotPerson, command: string): Promise<string> {
  const { stdout, stderr } = await run(remote.sandbox, command, { waitMs: 100_000, timeoutMs: 100_000 });
  return stdout.text + stderr.text;
}

async function problemOf(response: Response): Promise<string> {
  return z.object({ error: z.object({ code: z.string() }) }).parse(await response.json()).error.code;
}

async function until(isSo: () => Promise<boolean>): Promise<void> {
  for (let tries = 0; !(await isSo()); tries += 1) {
    if (tries === 5_000) throw new Error("It never came to pass.");
    await sleep(10);
  }
}

test("an unrestored sandbox runs nothing, shows and takes no file, and gives no snapshot, whoever asks", async () => {
  const person = suite.newPerson();
  const command = { command: "touch ran", timeoutMs: 1_000, waitMs: 1_000, maxChars: 100 };
  const code = { code: "1", language: "python", context: "x", timeoutMs: 1_000, maxChars: 100 };
  const files = { digest: "" };
  const post = async (route: string, body: object): Promise<string> =>
    await problemOf(await person.ask(route, { method: "POST", body: JSON.stringify(body) }));
  // The caller's files come first, and cannot be brought in either.
  expect(["unrestored", "stale_files"]).toContain(await post("exec", { command, files }));
  expect(["unrestored", "stale_files"]).toContain(await post("code", { code, files }));
  const begun = await person.ask("mount/begin", { method: "POST" });
  const { lease } = z.object({ lease: z.string() }).parse(await begun.json());
  expect(await post("exec", { command, files: { lease } })).toBe("unrestored");
  expect(await problemOf(await person.ask("file?path=ran&max=10"))).toBe("unrestored");
  expect(await problemOf(await person.ask("file?path=ran", { method: "PUT", body: "x" }))).toBe("unrestored");
  expect(await problemOf(await person.ask("snapshot", { method: "POST" }))).toBe("conflict");
  expect(await (await person.ask("snapshot/look")).json()).toEqual({ state: "unrestored" });
  expect(await text(person, "ls -A")).toBe("files\n");
});

test("half a restore and a damaged one leave it unrestored, and nothing of them behind", async () => {
  const person = suite.newPerson();
  await text(
    person,
    "mkdir a; head -c 1M /dev/urandom > a/one; head -c 1M /dev/urandom > b; cp b c; sha256sum a/one b > sum",
  );
  await person.remote.saveSnapshot();
  const [key = ""] = await person.keys();
  const snapshot = await person.read(key);
  await person.lose();
  const half = snapshot.subarray(0, snapshot.length / 2);
  const broken = new ReadableStream({
    start: (controller) => controller.enqueue(half),
    pull: async (controller) => {
      await sleep(500);
      controller.error(new Error("the connection broke"));
    },
  });
  const init = { method: "PUT", body: broken, duplex: "half" } as const;
  await expect(person.ask("snapshot", init)).rejects.toThrow("fetch failed");
  await until(async () => (await person.mark()) === "half");
  expect(await (await person.ask("snapshot/look")).json()).toEqual({ state: "unrestored" });
  const bad = new Uint8Array(snapshot);
  bad.fill(0, bad.length / 2, bad.length / 2 + 1_000);
  for (const body of [half, bad, new Uint8Array(100)]) {
    expect(await (await person.ask("snapshot", { method: "PUT", body })).json()).toEqual({ state: "damaged" });
    expect(await (await person.ask("snapshot/look")).json()).toEqual({ state: "unrestored" });
  }
  expect(await person.remote.saveSnapshot()).toBe(true);
  expect(await person.keys()).toHaveLength(1);
  expect(await text(person, "sha256sum -c sum; ls -A")).toBe("a/one: OK\nb: OK\na\nb\nc\nfiles\nsum\n");
  expect(await problemOf(await person.ask("snapshot", { method: "PUT", body: snapshot }))).toBe("conflict");
});

test("the last five are kept, and what is older is gone from the bucket", async () => {
  const person = suite.newPerson();
  for (let round = 0; round < 7; round += 1) {
    await text(person, `echo ${round} > round`);
    expect(await person.remote.saveSnapshot()).toBe(true);
  }
  expect(await person.keys()).toHaveLength(5);
  // Nothing has changed since.
  const before = await person.keys();
  expect(await person.remote.saveSnapshot()).toBe(true);
  expect(await person.keys()).toEqual(before);
  // A lost sandbox is what it was, and that is in a snapshot already.
  await person.lose();
  expect(await text(person, "cat round")).toBe("6\n");
  expect(await person.remote.saveSnapshot()).toBe(true);
  expect(await person.keys()).toEqual(before);
});

test("where the newest snapshot cannot be read, the one before comes back and the caller is told; none is deleted", async () => {
  const person = suite.newPerson();
  await text(person, "echo old > a");
  await person.remote.saveSnapshot();
  const [older = ""] = await person.keys();
  await text(person, "echo new > a");
  await person.remote.saveSnapshot();
  const newest = (await person.keys()).find((key) => key !== older) ?? "";
  const kept = await person.read(newest);
  await person.write(newest, new Uint8Array(kept.length));
  await person.lose();
  const { stdout, notes } = await run(person.remote.sandbox, "cat a");
  expect(stdout.text).toBe("old\n");
  expect(notes).toEqual([expect.stringMatching(/^The newest snapshot of this sandbox could not be read: /)]);
  expect((await person.remote.sandbox.status()).notes).toContainEqual(expect.stringContaining("could not be read"));
  expect(await person.keys()).toHaveLength(2);

  await person.remove([newest, older]);
  await person.lose();
  const refusal = { code: "unavailable", message: expect.stringContaining("sandbox_reset begins with an empty one") };
  await expect(run(person.remote.sandbox, "touch fresh")).rejects.toMatchObject(refusal);
  await expect(run(person.remote.sandbox, "touch fresh")).rejects.toMatchObject(refusal);
  await person.write(newest, kept);
  expect(await text(person, "cat a; ls -A")).toBe("new\na\nfiles\n");
  await person.remove([newest]);
  await person.lose();
  await person.remote.sandbox.reset();
  expect(await text(person, "ls -A")).toBe("files\n");
});

test.each(["runtime", "Worker"] as const)(
  "a %s that is killed in the middle of a snapshot loses none",
  async (which) => {
    let person = suite.newPerson();
    let whole: string | undefined;
    // A busy machine may look too late, when the snapshot is there: then another person's is cut.
    for (let isCut = false; !isCut; person = isCut ? person : suite.newPerson()) {
      await text(person, "echo before > state");
      await person.remote.saveSnapshot();
      [whole] = await person.keys();
      await text(person, `${LARGE}; echo after > state`);
      const saving = person.remote.saveSnapshot().catch(() => false);
      await until(async () => (await person.keys()).length > 1);
      await (which === "runtime" ? person.killRuntime() : person.killWorker());
      isCut = !(await saving);
    }
    expect(await person.keys()).toContain(whole);
    // Its sandbox is as it was; wiped now it would be what it was before.
    expect(await person.remote.saveSnapshot()).toBe(true);
    await person.lose();
    expect(await text(person, "sha256sum -c sum; cat state")).toBe("large: OK\nafter\n");
    // Two snapshots, and nothing of the one that was cut off.
    expect(new Set((await person.keys()).map((key) => key.split("/")[1])).size).toBe(2);
  },
);

test.each(["runtime", "Worker"] as const)(
  "a %s that is killed in the middle of a restore loses nothing",
  async (which) => {
    const person = suite.newPerson();
    await text(person, LARGE);
    await person.remote.saveSnapshot();
    const before = await person.keys();
    await person.lose();
    const cut = run(person.remote.sandbox, "touch too-early").then(
      () => "done",
      () => "failed",
    );
    await until(async () => (await person.mark()) === "half");
    await (which === "runtime" ? person.killRuntime() : person.killWorker());
    await cut;
    expect(await text(person, "sha256sum -c sum")).toBe("large: OK\n");
    expect(await person.keys()).toEqual(before);
  },
);

test("a Worker that is killed before a change is in a snapshot takes it when it is back", async () => {
  await using soon = await startSnapshotSuite({ after: "3s" });
  const person = soon.newPerson();
  await text(person, "echo kept > kept");
  await person.killWorker();
  await until(async () => (await person.keys()).length === 1);
  await person.lose();
  expect(await text(person, "cat kept")).toBe("kept\n");
});

const STRANGER = `
import { connect } from "node:net";
let got = 0;
connect("/run/snapshots.sock")
  .on("data", (bytes) => (got += bytes.length))
  .on("close", () => console.log("sent away with", got))
  .write("0".repeat(100));
for (let index = 0; index < 8; index += 1) connect("/run/snapshots.sock").write("0");
setTimeout(() => {}, 600_000);
`;

test("a program inside that connects where snapshots pass is given nothing, and keeps none from passing", async () => {
  const person = suite.newPerson();
  const begin = `cat > stranger.mjs <<'END'\n${STRANGER}\nEND\nnode stranger.mjs > .cache/said 2>&1 &`;
  await text(person, `${LARGE}; mkdir .cache; ${begin}`);
  await until(async () => (await text(person, "cat .cache/said")) === "sent away with 0\n");
  expect(await person.remote.saveSnapshot()).toBe(true);
  await person.lose();
  expect(await text(person, "sha256sum -c sum; ls -A")).toBe("large: OK\nfiles\nlarge\nstranger.mjs\nsum\n");
});

test("whoever looks at a sandbox again and again does not keep it awake", async () => {
  await using sandboxes = await startLocalSandboxes({ idleMs: 1_000 });
  await run(sandboxes.open({ id: "looked-at" }), "sleep 600 > /dev/null 2>&1 &");
  const { runtime, secret, logged } = sandboxes;
  const workspace = createLocalWorkspaces({ runtimeUrl: runtime.url, secret }, fetch)("looked-at");
  expect(await workspace.look()).toMatchObject({ state: "ready", isBusy: true, unreadable: 0 });
  await until(async () => {
    await workspace.look();
    return logged.some((line) => line.includes("nothing was asked of it"));
  });
});

test("what its user cannot read is said to be in no snapshot", async () => {
  const person = suite.newPerson();
  await text(person, "mkdir shut; touch shut/in a b; chmod 0 a shut");
  expect(await person.remote.saveSnapshot()).toBe(true);
  expect((await person.remote.sandbox.status()).notes).toContainEqual(expect.stringMatching(/^2 files or folders/));
  await person.lose();
  expect(await text(person, "ls")).toBe("b\nfiles\n");
});

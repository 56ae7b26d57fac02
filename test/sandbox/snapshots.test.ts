import { setTimeout as sleep } from "node:timers/promises";
import { expect, test, vi } from "vitest";
import * as z from "zod";
import { createLocalWorkspaces } from "../../servers/sandbox/local-workspace.ts";
import { run, startLocalSandboxes } from "./local-sandboxes.ts";
import { type SnapshotSuite, startSnapshotSuite } from "./snapshot-suite.ts";

// What is killed in the middle has to take a while.
vi.setConfig({ testTimeout: 180_000 });

/** Never by itself: the test says when. */
const BY_HAND = { after: "1h" };
const LARGE = "head -c 40M /dev/urandom > large; sha256sum large > sum";

async function text({ remote }: SnapshotSuite, command: string): Promise<string> {
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
  await using suite = await startSnapshotSuite(BY_HAND);
  const command = { command: "touch ran", timeoutMs: 1_000, waitMs: 1_000, maxChars: 100 };
  const code = { code: "1", language: "python", context: "x", timeoutMs: 1_000, maxChars: 100 };
  const files = { digest: "" };
  const post = async (route: string, body: object): Promise<string> =>
    await problemOf(await suite.ask(route, { method: "POST", body: JSON.stringify(body) }));
  // The caller's files come first, and cannot be brought in either.
  expect(["unrestored", "stale_files"]).toContain(await post("exec", { command, files }));
  expect(["unrestored", "stale_files"]).toContain(await post("code", { code, files }));
  const begun = await suite.ask("mount/begin", { method: "POST" });
  const { lease } = z.object({ lease: z.string() }).parse(await begun.json());
  expect(await post("exec", { command, files: { lease } })).toBe("unrestored");
  expect(await problemOf(await suite.ask("file?path=ran&max=10"))).toBe("unrestored");
  expect(await problemOf(await suite.ask("file?path=ran", { method: "PUT", body: "x" }))).toBe("unrestored");
  expect(await problemOf(await suite.ask("snapshot", { method: "POST" }))).toBe("conflict");
  expect(await (await suite.ask("snapshot/look")).json()).toEqual({ state: "unrestored" });
  expect(await text(suite, "ls -A")).toBe("files\n");
});

test("half a restore and a damaged one leave it unrestored, and nothing of them behind", async () => {
  await using suite = await startSnapshotSuite(BY_HAND);
  await text(
    suite,
    "mkdir a; head -c 1M /dev/urandom > a/one; head -c 1M /dev/urandom > b; cp b c; sha256sum a/one b > sum",
  );
  await suite.remote.saveSnapshot();
  const [key = ""] = await suite.keys();
  const snapshot = await suite.read(key);
  await suite.lose();
  const half = snapshot.subarray(0, snapshot.length / 2);
  const broken = new ReadableStream({
    start: (controller) => controller.enqueue(half),
    pull: async (controller) => {
      await sleep(500);
      controller.error(new Error("the connection broke"));
    },
  });
  const init = { method: "PUT", body: broken, duplex: "half" } as const;
  await expect(suite.ask("snapshot", init)).rejects.toThrow("fetch failed");
  await until(async () => (await suite.mark()) === "half");
  expect(await (await suite.ask("snapshot/look")).json()).toEqual({ state: "unrestored" });
  const bad = new Uint8Array(snapshot);
  bad.fill(0, bad.length / 2, bad.length / 2 + 1_000);
  for (const body of [half, bad, new Uint8Array(100)]) {
    expect(await (await suite.ask("snapshot", { method: "PUT", body })).json()).toEqual({ state: "damaged" });
    expect(await (await suite.ask("snapshot/look")).json()).toEqual({ state: "unrestored" });
  }
  expect(await suite.remote.saveSnapshot()).toBe(true);
  expect(await suite.keys()).toHaveLength(1);
  expect(await text(suite, "sha256sum -c sum; ls -A")).toBe("a/one: OK\nb: OK\na\nb\nc\nfiles\nsum\n");
  expect(await problemOf(await suite.ask("snapshot", { method: "PUT", body: snapshot }))).toBe("conflict");
});

test("the last five are kept, and what is older is gone from the bucket", async () => {
  await using suite = await startSnapshotSuite(BY_HAND);
  for (let round = 0; round < 7; round += 1) {
    await text(suite, `echo ${round} > round`);
    expect(await suite.remote.saveSnapshot()).toBe(true);
  }
  expect(await suite.keys()).toHaveLength(5);
  // Nothing has changed since.
  const before = await suite.keys();
  expect(await suite.remote.saveSnapshot()).toBe(true);
  expect(await suite.keys()).toEqual(before);
  // A lost sandbox is what it was, and that is in a snapshot already.
  await suite.lose();
  expect(await text(suite, "cat round")).toBe("6\n");
  expect(await suite.remote.saveSnapshot()).toBe(true);
  expect(await suite.keys()).toEqual(before);
});

test("where the newest snapshot cannot be read, the one before comes back and the caller is told; none is deleted", async () => {
  await using suite = await startSnapshotSuite(BY_HAND);
  await text(suite, "echo old > a");
  await suite.remote.saveSnapshot();
  const [older = ""] = await suite.keys();
  await text(suite, "echo new > a");
  await suite.remote.saveSnapshot();
  const newest = (await suite.keys()).find((key) => key !== older) ?? "";
  const kept = await suite.read(newest);
  await suite.write(newest, new Uint8Array(kept.length));
  await suite.lose();
  const { stdout, notes } = await run(suite.remote.sandbox, "cat a");
  expect(stdout.text).toBe("old\n");
  expect(notes).toEqual([expect.stringMatching(/^The newest snapshot of this sandbox could not be read: /)]);
  expect((await suite.remote.sandbox.status()).notes).toContainEqual(expect.stringContaining("could not be read"));
  expect(await suite.keys()).toHaveLength(2);

  await suite.remove([newest, older]);
  await suite.lose();
  const refusal = { code: "unavailable", message: expect.stringContaining("sandbox_reset begins with an empty one") };
  await expect(run(suite.remote.sandbox, "touch fresh")).rejects.toMatchObject(refusal);
  await expect(run(suite.remote.sandbox, "touch fresh")).rejects.toMatchObject(refusal);
  await suite.write(newest, kept);
  expect(await text(suite, "cat a; ls -A")).toBe("new\na\nfiles\n");
  await suite.remove([newest]);
  await suite.lose();
  await suite.remote.sandbox.reset();
  expect(await text(suite, "ls -A")).toBe("files\n");
});

// A busy machine may look too late, when the snapshot is there.
test.each(["runtime", "Worker"] as const)(
  "a %s that is killed in the middle of a snapshot loses none",
  { retry: 1 },
  async (which) => {
    await using suite = await startSnapshotSuite(BY_HAND);
    await text(suite, "echo before > state");
    await suite.remote.saveSnapshot();
    const [whole = ""] = await suite.keys();
    await text(suite, `${LARGE}; echo after > state`);
    const saving = suite.remote.saveSnapshot().catch(() => false);
    await until(async () => (await suite.keys()).length > 1);
    await (which === "runtime" ? suite.killRuntime() : suite.killWorker());
    expect(await saving).toBe(false);
    expect(await suite.keys()).toContain(whole);
    // Its sandbox is as it was; wiped now it would be what it was before.
    expect(await suite.remote.saveSnapshot()).toBe(true);
    await suite.lose();
    expect(await text(suite, "sha256sum -c sum; cat state")).toBe("large: OK\nafter\n");
    // Two snapshots, and nothing of the one that was cut off.
    expect(new Set((await suite.keys()).map((key) => key.split("/")[1])).size).toBe(2);
  },
);

test.each(["runtime", "Worker"] as const)(
  "a %s that is killed in the middle of a restore loses nothing",
  async (which) => {
    await using suite = await startSnapshotSuite(BY_HAND);
    await text(suite, LARGE);
    await suite.remote.saveSnapshot();
    const before = await suite.keys();
    await suite.lose();
    const cut = run(suite.remote.sandbox, "touch too-early").then(
      () => "done",
      () => "failed",
    );
    await until(async () => (await suite.mark()) === "half");
    await (which === "runtime" ? suite.killRuntime() : suite.killWorker());
    await cut;
    expect(await text(suite, "sha256sum -c sum")).toBe("large: OK\n");
    expect(await suite.keys()).toEqual(before);
  },
);

test("a Worker that is killed before a change is in a snapshot takes it when it is back", async () => {
  await using suite = await startSnapshotSuite({ after: "3s" });
  await text(suite, "echo kept > kept");
  await suite.killWorker();
  await until(async () => (await suite.keys()).length === 1);
  await suite.lose();
  expect(await text(suite, "cat kept")).toBe("kept\n");
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
  await using suite = await startSnapshotSuite(BY_HAND);
  const begin = `cat > stranger.mjs <<'END'\n${STRANGER}\nEND\nnode stranger.mjs > .cache/said 2>&1 &`;
  await text(suite, `${LARGE}; mkdir .cache; ${begin}`);
  await until(async () => (await text(suite, "cat .cache/said")) === "sent away with 0\n");
  expect(await suite.remote.saveSnapshot()).toBe(true);
  await suite.lose();
  expect(await text(suite, "sha256sum -c sum; ls -A")).toBe("large: OK\nfiles\nlarge\nstranger.mjs\nsum\n");
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
  await using suite = await startSnapshotSuite(BY_HAND);
  await text(suite, "mkdir shut; touch shut/in a b; chmod 0 a shut");
  expect(await suite.remote.saveSnapshot()).toBe(true);
  expect((await suite.remote.sandbox.status()).notes).toContainEqual(expect.stringMatching(/^2 files or folders/));
  await suite.lose();
  expect(await text(suite, "ls")).toBe("b\nfiles\n");
});

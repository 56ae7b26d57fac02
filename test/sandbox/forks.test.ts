import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import type { RemoteSandbox } from "../container/remote-sandbox.ts";
import { run } from "./local-sandboxes.ts";
import { type SnapshotPerson, type SnapshotSuite, startSnapshotSuite } from "./snapshot-suite.ts";

// What is killed in the middle has to take a while.
vi.setConfig({ testTimeout: 180_000 });

let suite: SnapshotSuite;

// Snapshots are never taken by themselves.
beforeAll(async () => (suite = await startSnapshotSuite({ after: "1h" })));
afterAll(async () => await suite[Symbol.asyncDispose]());

/** Three parts of a snapshot. */
const LARGE = "head -c 20M /dev/urandom > large; sha256sum large > sum";

async function text({ sandbox }: RemoteSandbox, command: string): Promise<string> {
  const { stdout, stderr } = await run(sandbox, command, { waitMs: 100_000, timeoutMs: 100_000 });
  return stdout.text + stderr.text;
}

async function until(isSo: () => Promise<boolean>): Promise<void> {
  for (let tries = 0; !(await isSo()); tries += 1) {
    if (tries === 5_000) throw new Error("It never came to pass.");
    await sleep(10);
  }
}

async function keysOf(person: SnapshotPerson, { id }: RemoteSandbox): Promise<string[]> {
  return (await person.keys()).filter((key) => key.startsWith(`${id}/`));
}

/** By how many parts there are then of the source's snapshot and of the copy. */
test.each([
  ["runtime", "while the source is saved", 1, 0],
  ["Worker", "while the source is saved", 1, 0],
  ["Worker", "while its snapshot is copied", 3, 1],
  ["runtime", "when that is over", 3, 3],
  ["Worker", "when that is over", 3, 3],
] as const)("a %s that is killed %s leaves the target as it was or the whole copy", async (which, _, saved, copied) => {
  const person = suite.newPerson();
  const { remote: source, copy } = person;
  await text(copy, "echo old > state");
  await text(source, `${LARGE}; echo new > state`);
  const forked = source.sandbox.fork(copy.id).then(
    () => "forked",
    () => "failed",
  );
  await until(
    async () => (await keysOf(person, source)).length >= saved && (await keysOf(person, copy)).length >= copied,
  );
  await (which === "runtime" ? person.killRuntime() : person.killWorker());
  const outcome = await forked;
  const look = "cat state; [[ ! -e sum ]] || sha256sum -c sum; ls";
  const whole = "new\nlarge: OK\nfiles\nlarge\nstate\nsum\n";
  expect([whole, ...(outcome === "forked" ? [] : ["old\nfiles\nstate\n"])]).toContain(await text(copy, look));
  expect(await text(source, "sha256sum -c sum && cat state")).toBe("large: OK\nnew\n");

  await source.sandbox.fork(copy.id);
  expect(await text(copy, look)).toBe(whole);
  for (const { sandbox } of [source, copy]) await sandbox.discard();
  expect([await person.keys(), await person.folders()]).toEqual([[], []]);
});

test.each(["runtime", "Worker"] as const)(
  "a %s that is killed while a copy is filled for the first time fills it anew, and nothing sees half of it",
  async (which) => {
    const person = suite.newPerson();
    const { remote: source, copy } = person;
    await text(source, `${LARGE}; mkdir end; echo kept > end/file`);
    await source.sandbox.fork(copy.id);
    const cut = text(copy, "touch too-early").catch(() => "");
    await until(async () => (await person.mark(copy)) === "half");
    await (which === "runtime" ? person.killRuntime() : person.killWorker());
    await cut;
    expect(await text(copy, "sha256sum -c sum; cat end/file")).toBe("large: OK\nkept\n");
  },
);

test.each(["runtime", "Worker"] as const)("a discard in which the %s is killed can be made again", async (which) => {
  const person = suite.newPerson();
  const { remote: source } = person;
  await text(source, LARGE);
  expect(await source.saveSnapshot()).toBe(true);
  const cut = source.sandbox.discard().catch(() => undefined);
  await until(async () => (await person.folders()).every((name) => name !== source.id));
  await (which === "runtime" ? person.killRuntime() : person.killWorker());
  await cut;
  // Nothing of it comes back.
  expect(await text(source, "ls -A")).toBe("files\n");
  await source.sandbox.discard();
  expect([await person.keys(), await person.folders()]).toEqual([[], []]);
});

test("a source that is discarded while it is copied breaks the copy, and the target stays what it was", async () => {
  const person = suite.newPerson();
  const { remote: source, copy } = person;
  await text(copy, "echo old > state");
  await text(source, `${LARGE}; echo new > state`);
  const forked = source.sandbox.fork(copy.id).then(
    () => "forked",
    (error: unknown) => error,
  );
  await until(async () => (await keysOf(person, copy)).length > 0);
  await source.sandbox.discard();
  const outcome = await forked;
  if (outcome !== "forked") expect(outcome).toMatchObject({ code: "conflict" });
  expect(await text(copy, "cat state")).toBe(outcome === "forked" ? "new\n" : "old\n");
});

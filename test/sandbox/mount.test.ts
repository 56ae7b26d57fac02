import { appendFile, rm, utimes, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { expect, test } from "vitest";
import { createDriverWithoutSnapshots } from "../support/no-snapshots.ts";
import type { CommandResult, Sandbox } from "../../servers/sandbox/driver.ts";
import type { MountedFiles } from "../../servers/files/store.ts";
import { run, runCode, startLocalSandboxes } from "./local-sandboxes.ts";
import { mapFiles } from "./map-files.ts";

const MIB = 1024 * 1024;

async function textOf(files: MountedFiles, path: string): Promise<string> {
  return await new Response((await files.read(path)).body).text();
}

/** Runs a command, and `act` after it began and before it goes on. */
async function during(sandbox: Sandbox, command: string, act: () => Promise<unknown>): Promise<CommandResult> {
  const running = run(sandbox, `touch /workspace/begun; until [[ -e /workspace/go ]]; do sleep 0.02; done; ${command}`);
  await until(async () => (await sandbox.readFile("begun", 0).catch(() => undefined)) !== undefined);
  await act();
  await sandbox.writeFile("go", new Uint8Array());
  const result = await running;
  await run(sandbox, "rm /workspace/begun /workspace/go");
  return result;
}

/** Has a process that a command left behind write to one of the files once that command's call has returned. */
async function writeBehind(sandbox: Sandbox, path: string, word: string): Promise<void> {
  const wait = "until [[ -e /workspace/go ]]; do sleep 0.02; done";
  await run(sandbox, `(${wait}; echo ${word} > files/${path}; rm go; touch done) >/dev/null 2>&1 &`);
  await sandbox.writeFile("go", new Uint8Array());
  await until(async () => (await sandbox.readFile("done", 0).catch(() => undefined)) !== undefined);
}

async function until(isSo: () => Promise<boolean>): Promise<void> {
  while (!(await isSo())) await sleep(20);
}

test("where nothing changed, one list and one request are all", async () => {
  await using sandboxes = await startLocalSandboxes();
  const files = mapFiles();
  const asked: string[] = [];
  const driver = createDriverWithoutSnapshots(
    { runtimeUrl: sandboxes.runtime.url, secret: sandboxes.secret },
    async (url, init) => {
      asked.push(new URL(url).pathname.split("/").slice(3).join("/"));
      return await fetch(url, { ...init, ...(init?.body instanceof ReadableStream && { duplex: "half" }) });
    },
  );
  const sandbox = driver.open("quiet", files);
  await files.write("a.txt", "a");
  await run(sandbox, "cat files/a.txt > files/b.txt");
  await sleep(50);
  await run(sandbox, "true");
  asked.length = 0;
  files.lists = 0;
  expect((await run(sandbox, "cat files/*")).stdout.text).toBe("aa");
  expect(asked).toEqual(["exec"]);
  expect(files.lists).toBe(1);
});

test("both sides changed: the files' version keeps the name, the sandbox's is beside it, and it is said", async () => {
  await using sandboxes = await startLocalSandboxes();
  const files = mapFiles();
  const sandbox = sandboxes.open({ files });
  await files.write("notes/plan.md", "one\n");
  await writeBehind(sandbox, "notes/plan.md", "sandbox");
  await files.write("notes/plan.md", "person\n");
  const result = await run(sandbox, "cat files/notes/plan.md; ls files/notes");
  expect(result.stdout.text).toMatch(/^person\nplan \(conflict \d{4}-\d\d-\d\d \d\d-\d\d-\d\d\)\.md\nplan\.md\n$/);
  expect(result.notes).toEqual([
    expect.stringMatching(/plan\.md changed in the sandbox and in your files; .* is now notes\/plan \(conflict/),
  ]);
  const kept = files.paths().find((path) => path.includes("conflict")) ?? "";
  expect([await textOf(files, "notes/plan.md"), await textOf(files, kept)]).toEqual(["person\n", "sandbox\n"]);
});

test("a file that changes in the files while a command changes it is kept twice", async () => {
  await using sandboxes = await startLocalSandboxes();
  const files = mapFiles();
  const sandbox = sandboxes.open({ files });
  await files.write("shared.txt", "one\n");
  const result = await during(sandbox, "echo sandbox >> files/shared.txt; echo new > files/new.txt", async () => {
    await files.write("shared.txt", "person\n");
    await files.write("new.txt", "person's new\n");
  });
  expect(result.notes).toHaveLength(2);
  expect(files.paths()).toEqual([
    expect.stringMatching(/^new \(conflict/),
    "new.txt",
    expect.stringMatching(/^shared \(conflict/),
    "shared.txt",
  ]);
  expect(await textOf(files, files.paths()[2] ?? "")).toBe("one\nsandbox\n");
  expect((await run(sandbox, "cat files/shared.txt files/new.txt")).stdout.text).toBe("person\nperson's new\n");
});

test("what a background process writes while the files' version is on its way in is kept beside it", async () => {
  await using sandboxes = await startLocalSandboxes();
  const files = mapFiles();
  const sandbox = sandboxes.open({ files });
  await files.write("a.txt", "one\n");
  const writer = "until [[ -e go ]]; do sleep 0.02; done; echo sandbox | tee files/a.txt files/new.txt; touch done";
  await run(sandbox, `(${writer}) >/dev/null 2>&1 &`);
  for (const path of ["a.txt", "new.txt"]) await files.write(path, "person\n");
  const { read } = files;
  // By then it is known what has to come.
  files.read = async (path) => {
    await sandbox.writeFile("go", new Uint8Array());
    await until(async () => (await sandbox.readFile("done", 0).catch(() => undefined)) !== undefined);
    return await read(path);
  };
  const { notes } = await run(sandbox, "true");
  files.read = read;
  expect(notes?.toSorted()).toEqual([
    expect.stringMatching(/a\.txt changed in the sandbox and in your files; .* is now a \(conflict/),
    expect.stringMatching(/new\.txt changed in the sandbox and in your files; .* is now new \(conflict/),
  ]);
  const texts = await Promise.all(files.paths().map(async (path) => `${path}: ${await textOf(files, path)}`));
  expect(texts).toEqual([
    expect.stringMatching(/^a \(conflict .*\)\.txt: sandbox\n$/),
    "a.txt: person\n",
    expect.stringMatching(/^new \(conflict .*\)\.txt: sandbox\n$/),
    "new.txt: person\n",
  ]);
});

test("what a background process writes while removed files are on their way out is kept", async () => {
  await using sandboxes = await startLocalSandboxes();
  const files = mapFiles();
  const sandbox = sandboxes.open({ files });
  const paths = Array.from({ length: 100 }, (_, index) => `f${100 + index}`);
  for (const path of paths) await files.write(path, "one\n");
  const writer = "until [[ ! -e files/f100 ]]; do :; done; echo sandbox > files/f199; touch done";
  await run(sandbox, `(${writer}) >/dev/null 2>&1 &`);
  for (const path of paths) await files.remove(path);
  await run(sandbox, "true");
  // Else it may not have come to write yet.
  await until(async () => (await sandbox.readFile("done", 0).catch(() => undefined)) !== undefined);
  await run(sandbox, "true");
  expect(files.paths()).toEqual(["f199"]);
  expect(await textOf(files, "f199")).toBe("sandbox\n");
});

test.each([
  ["a name as long as a disk takes", `${"n".repeat(251)}.txt`],
  ["a name of long characters", `${"\u{1f600}".repeat(62)}.tar.gz`],
  ["a path as long as files take", `${"folder/".repeat(128)}x.y`],
])("both versions of %s are kept", async (_, path) => {
  await using sandboxes = await startLocalSandboxes();
  const files = mapFiles();
  const sandbox = sandboxes.open({ files });
  await files.write(path, "one\n");
  await writeBehind(sandbox, path, "sandbox");
  await files.write(path, "person\n");
  expect((await run(sandbox, `cat files/${path}`)).stdout.text).toBe("person\n");
  await during(sandbox, `echo again >> files/${path}`, async () => await files.write(path, "person's again\n"));
  const texts = await Promise.all(files.paths().map(async (name) => await textOf(files, name)));
  expect(texts.toSorted()).toEqual(["person\nagain\n", "person's again\n", "sandbox\n"]);
});

test("removed on one side and changed on the other: the change is kept", async () => {
  await using sandboxes = await startLocalSandboxes();
  const files = mapFiles();
  const sandbox = sandboxes.open({ files });
  for (const path of ["a.txt", "b.txt", "c.txt"]) await files.write(path, "one\n");
  await during(sandbox, "rm files/a.txt files/c.txt; echo two > files/b.txt", async () => {
    await files.write("a.txt", "changed\n");
    await files.remove("b.txt");
    await files.remove("c.txt");
  });
  expect(files.paths()).toEqual(["a.txt", "b.txt"]);
  expect((await run(sandbox, "cd files; tail -n 9 *")).stdout.text).toBe(
    "==> a.txt <==\nchanged\n\n==> b.txt <==\ntwo\n",
  );
});

test("a file that changes at the moment at which its removal is brought out is kept", async () => {
  await using sandboxes = await startLocalSandboxes();
  const files = mapFiles();
  const stat: MountedFiles["stat"] = async (path) => {
    const info = await files.stat(path);
    await files.write(path, "person\n");
    return info;
  };
  const sandbox = sandboxes.open({ files: { ...files, stat } });
  await files.write("a.txt", "one\n");
  await run(sandbox, "rm files/a.txt");
  expect(await textOf(files, "a.txt")).toBe("person\n");
  expect((await run(sandbox, "cat files/a.txt")).stdout.text).toBe("person\n");
});

test("what a background process writes is in the files after the next call", async () => {
  await using sandboxes = await startLocalSandboxes();
  const files = mapFiles();
  const sandbox = sandboxes.open({ files });
  await writeBehind(sandbox, "late.txt", "late");
  expect(files.paths()).toEqual([]);
  await runCode(sandbox, "1");
  expect(await textOf(files, "late.txt")).toBe("late\n");
});

test("parallel commands bring all their files out, each of them whole", async () => {
  await using sandboxes = await startLocalSandboxes();
  const files = mapFiles();
  const sandbox = sandboxes.open({ files });
  const count = 30;
  const results = await Promise.all(
    Array.from(
      { length: count },
      async (_, index) =>
        await run(
          sandbox,
          `mkdir -p files/d${index % 3}; seq ${index} ${index + 999} > files/d${index % 3}/${index}.txt`,
        ),
    ),
  );
  expect(results.map((result) => result.exitCode)).toEqual(results.map(() => 0));
  expect(results.flatMap((result) => result.notes ?? [])).toEqual([]);
  expect(files.paths()).toHaveLength(count);
  expect((await textOf(files, "d2/29.txt")).split("\n").slice(-3)).toEqual(["1027", "1028", ""]);
});

test("a file that is only touched, or written with the same bytes, is not written to the files again", async () => {
  await using sandboxes = await startLocalSandboxes();
  const files = mapFiles();
  const sandbox = sandboxes.open({ files });
  const { modifiedAt } = await files.write("same.txt", "same\n");
  await run(sandbox, "touch files/same.txt");
  await run(sandbox, "echo same > files/same.txt");
  await run(sandbox, "chmod +x files/same.txt; mv files/same.txt x; cp x files/same.txt");
  expect((await files.stat("same.txt")).modifiedAt).toBe(modifiedAt);
});

test("a change that keeps size and time is seen all the same", async () => {
  await using sandboxes = await startLocalSandboxes();
  const files = mapFiles();
  const sandbox = sandboxes.open({ files });
  await files.write("sly.txt", "one\n");
  await run(sandbox, "touch -r files/sly.txt /tmp/time; echo two > files/sly.txt; touch -r /tmp/time files/sly.txt");
  expect(await textOf(files, "sly.txt")).toBe("two\n");
  for (const word of ["aaa", "bbb", "ccc", "ddd"]) {
    await run(sandbox, `echo ${word} > files/sly.txt`);
    expect(await textOf(files, "sly.txt")).toBe(`${word}\n`);
  }
});

test("what cannot be a file is left out, and what is too large is said", async () => {
  await using sandboxes = await startLocalSandboxes();
  const files = mapFiles();
  const sandbox = sandboxes.open({ files });
  await files.write("folder", "a file");
  await files.write("folder/below.txt", "below a file");
  const before = await run(sandbox, "ls files");
  expect(before.stdout.text).toBe("folder\n");
  expect(before.notes).toEqual([expect.stringMatching(/names that no disk takes: folder\/below\.txt/)]);
  const result = await run(
    sandbox,
    "cd files; truncate -s 101M large.bin; ln -s folder link; mkfifo pipe; touch $'bad\\nname' 'back\\slash'; echo ok > ok.txt; mkdir empty",
  );
  expect(result.notes).toEqual([
    expect.stringMatching(/over 100 MB: large\.bin/),
    expect.stringMatching(/2 links, devices/),
    expect.stringMatching(/2 names that files cannot have/),
  ]);
  expect(files.paths()).toEqual(["folder", "folder/below.txt", "ok.txt"]);
});

test("a file that grows too large inside stays as it was in the files", async () => {
  await using sandboxes = await startLocalSandboxes();
  const files = mapFiles();
  const sandbox = sandboxes.open({ files });
  await files.write("grows.bin", "small");
  await run(sandbox, "truncate -s 101M files/grows.bin");
  expect(await textOf(files, "grows.bin")).toBe("small");
  await run(sandbox, "rm files/grows.bin");
  expect(files.paths()).toEqual(["grows.bin"]);
});

test("a file becomes a folder, and a folder a file", async () => {
  await using sandboxes = await startLocalSandboxes();
  const files = mapFiles();
  const sandbox = sandboxes.open({ files });
  await files.write("a", "file");
  await files.write("b/c", "below");
  await run(sandbox, "cd files; rm -r a b; mkdir a; echo in > a/x; echo file > b");
  expect(files.paths()).toEqual(["a/x", "b"]);
  await files.remove("a/x");
  await files.remove("b");
  await files.write("a", "file again");
  await files.write("b/d/e", "deep");
  expect((await run(sandbox, "cat files/a files/b/d/e")).stdout.text).toBe("file againdeep");
});

test("what finds no room is not in the files, which is said with its reason, and comes when there is some", async () => {
  await using sandboxes = await startLocalSandboxes();
  const files = mapFiles();
  const sandbox = sandboxes.open({ files });
  files.roomBytes = 3;
  const { notes } = await run(
    sandbox,
    "cd files; echo long > a.txt; echo long > b.txt; echo long > c.txt; echo > d.txt",
  );
  expect(files.paths()).toEqual(["d.txt"]);
  expect(notes).toEqual([
    expect.stringMatching(/^Not kept in your files: There is no room for [abc]\.txt\.$/),
    expect.stringMatching(/^Nor is there room for [abc]\.txt, [abc]\.txt\.$/),
  ]);
  files.roomBytes = Infinity;
  expect((await run(sandbox, "cat files/a.txt")).notes).toBeUndefined();
  expect(files.paths()).toEqual(["a.txt", "b.txt", "c.txt", "d.txt"]);
});

test("the folder itself cannot be removed, and removing all in it removes all in the files", async () => {
  await using sandboxes = await startLocalSandboxes();
  const files = mapFiles();
  const sandbox = sandboxes.open({ files });
  await files.write("a/b/c.txt", "x");
  const result = await run(
    sandbox,
    "rm -rf /workspace/files; mv /workspace/files /workspace/gone; ls -d /workspace/files",
  );
  expect(result.stdout.text).toBe("/workspace/files\n");
  expect(files.paths()).toEqual([]);
});

test.each([
  { disk: "a disk of its own", hasDiskImages: true },
  { disk: "the machine's folders", hasDiskImages: false },
])(
  "after a restart with $disk only differences move, and a lost or broken state never removes files",
  async (options) => {
    const files = mapFiles();
    await using first = await startLocalSandboxes({ hasDiskImages: options.hasDiskImages });
    await files.write("a.txt", "a\n");
    await files.write("b.txt", "b\n");
    await run(first.open({ id: "again", files }), "echo c > files/c.txt; echo w > w.txt");
    await first.runtime.close();
    const folder = join(first.dataDir, "sandboxes/again");

    await using second = await startLocalSandboxes({ dataDir: first.dataDir, hasDiskImages: options.hasDiskImages });
    expect((await run(second.open({ id: "again", files }), "cat files/* w.txt; rm files/b.txt")).stdout.text).toBe(
      "a\nb\nc\nw\n",
    );
    expect(files.paths()).toEqual(["a.txt", "c.txt"]);
    await second.runtime.close();

    await writeFile(join(folder, "manifest.json"), "{ broken");
    await using third = await startLocalSandboxes({ dataDir: first.dataDir, hasDiskImages: options.hasDiskImages });
    expect(await run(third.open({ id: "again", files }), "ls files")).toMatchObject({
      stdout: { text: "a.txt\nc.txt\n" },
    });
    expect(files.paths()).toEqual(["a.txt", "c.txt"]);
    await third.runtime.close();

    for (const name of ["files", "disk.img"]) await rm(join(folder, name), { recursive: true, force: true });
    await using fourth = await startLocalSandboxes({ dataDir: first.dataDir, hasDiskImages: options.hasDiskImages });
    expect((await run(fourth.open({ id: "again", files }), "ls files")).stdout.text).toBe("a.txt\nc.txt\n");
    expect(files.paths()).toEqual(["a.txt", "c.txt"]);
  },
);

test("large files move whole", async () => {
  await using sandboxes = await startLocalSandboxes();
  const files = mapFiles();
  const sandbox = sandboxes.open({ files });
  await files.write("in.bin", new Uint8Array(90 * MIB).fill(7));
  const result = await run(
    sandbox,
    "md5sum < files/in.bin; head -c 90M /dev/urandom > files/out.bin; md5sum < files/out.bin",
  );
  const [incoming, outgoing] = result.stdout.text.split("\n").map((line) => line.split(" ")[0]);
  expect((await files.stat("in.bin")).etag).toBe(incoming);
  expect((await files.stat("out.bin")).etag).toBe(outgoing);
});

test("readFile and writeFile below /workspace/files act on the files themselves", async () => {
  await using sandboxes = await startLocalSandboxes();
  const files = mapFiles();
  const sandbox = sandboxes.open({ files });
  await files.write("a.txt", "from the files");
  expect(new TextDecoder().decode(await sandbox.readFile("files/a.txt", 100))).toBe("from the files");
  await sandbox.writeFile("/workspace/files/new/b.txt", new TextEncoder().encode("from writeFile"));
  expect(await textOf(files, "new/b.txt")).toBe("from writeFile");
});

test("files that a person puts into the folder on the machine are brought out as well", async () => {
  await using sandboxes = await startLocalSandboxes({ hasDiskImages: false });
  const files = mapFiles();
  const sandbox = sandboxes.open({ id: "handmade", files });
  await run(sandbox, "echo one > files/a.txt");
  const path = join(sandboxes.dataDir, "sandboxes/handmade/files/a.txt");
  await appendFile(path, "two\n");
  await utimes(path, new Date(0), new Date(0));
  await run(sandbox, "true");
  expect(await textOf(files, "a.txt")).toBe("one\ntwo\n");
});

test("files beyond the limit are left out, which is said, and none is removed for it", async () => {
  await using sandboxes = await startLocalSandboxes({ limits: { mountedFiles: 50 } });
  const files = mapFiles();
  const sandbox = sandboxes.open({ files });
  for (let index = 0; index < 55; index++) await files.write(`f${String(index).padStart(2, "0")}`, "x");
  const result = await run(sandbox, "ls files | wc -l; rm files/f00");
  expect(result.stdout.text).toBe("50\n");
  expect(result.notes).toEqual(["Only the first 50 of your 55 files are in /workspace/files."]);
  expect(files.paths()).toHaveLength(54);
  // They are seen first, so that of the others none is.
  const more = await run(sandbox, "cd files; for i in $(seq 60); do echo new > a$i; done");
  expect(more.notes?.join()).toMatch(/Only the first 50 files in \/workspace\/files/);
  expect(files.paths().filter((path) => path.startsWith("f"))).toHaveLength(54);
});

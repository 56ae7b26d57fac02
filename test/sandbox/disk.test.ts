import { execFile } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readdir, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { describe, expect, test } from "vitest";
import { createDriverWithoutSnapshots } from "../support/no-snapshots.ts";
import { run, runCode, startLocalSandboxes } from "./local-sandboxes.ts";
import { mapFiles } from "./map-files.ts";
import { startRuntimeChild } from "./runtime-child.ts";

const MIB = 1024 * 1024;
const NO_ROOM = /No space left on device/;
const bytesOf = (text: string): Uint8Array => new TextEncoder().encode(text);

/** Images of that data folder which some loop device still holds. */
async function heldImages(dataDir: string): Promise<string[]> {
  // Not every PATH holds it.
  const env = { PATH: `${process.env["PATH"]}:/usr/sbin:/sbin` };
  const options = ["--list", "--noheadings", "--output", "BACK-FILE"];
  const { stdout } = await promisify(execFile)("losetup", options, { env });
  return stdout.split("\n").filter((line) => line.includes(dataDir));
}

describe.skipIf(process.getuid?.() !== 0)("a disk of its own, which only root can mount", () => {
  test("who fills it is told by the kernel, keeps what else there is, and can delete and go on", async () => {
    await using sandboxes = await startLocalSandboxes({ limits: { diskBytes: 200 * MIB } });
    const files = mapFiles();
    const sandbox = sandboxes.open({ id: "filler", files });
    await run(sandbox, "echo kept > kept; nohup sleep 600 >/dev/null 2>&1 &");
    await runCode(sandbox, "kept = 1");
    const filled = await run(sandbox, "for i in $(seq 60); do head -c 50M /dev/zero > big$i || exit 7; done");
    expect(filled).toMatchObject({ exitCode: 7, stderr: { text: expect.stringMatching(NO_ROOM) } });
    expect(filled.notes).toBeUndefined();
    const { disk, notes } = await sandbox.status();
    expect(notes).toEqual([]);
    expect(disk?.limitBytes).toBeLessThanOrEqual(200 * MIB);
    expect(disk?.usedBytes).toBeGreaterThan(150 * MIB);
    expect((await stat(join(sandboxes.dataDir, "sandboxes/filler/disk.img"))).blocks * 512).toBeLessThanOrEqual(
      201 * MIB,
    );
    // Full: commands and code run, reading and deleting work, writing is refused in words.
    const still = await run(sandbox, "cat kept; ps -eo args= | grep -c '^sleep 600'; echo more > more; echo $?");
    expect(still).toMatchObject({ stdout: { text: "kept\n1\n1\n" }, stderr: { text: expect.stringMatching(NO_ROOM) } });
    expect((await runCode(sandbox, "kept")).results).toEqual([{ text: "1" }]);
    await expect(sandbox.writeFile("large", new Uint8Array(5 * MIB))).rejects.toMatchObject({ code: "limit_reached" });
    await files.write("new.bin", "x".repeat(5 * MIB));
    expect((await run(sandbox, "cat kept")).notes?.join()).toMatch(/new\.bin could not be put into \/workspace\/files/);
    expect(files.paths()).toEqual(["new.bin"]);
    await run(sandbox, "rm big*");
    await sandbox.writeFile("large", new Uint8Array(5 * MIB));
    expect((await run(sandbox, "ls -A; stat -c %s large")).stdout.text).toBe("files\nkept\nlarge\nmore\n5242880\n");
  });

  test("it is let go when its sandbox sleeps, and what was on it is there again", async () => {
    await using sandboxes = await startLocalSandboxes();
    const sandbox = sandboxes.open({ id: "sleeper" });
    await run(sandbox, "echo kept > kept; echo mounted > files/mounted");
    expect(await heldImages(sandboxes.dataDir)).toHaveLength(1);
    await sandbox.sleep();
    await expect.poll(async () => await heldImages(sandboxes.dataDir)).toEqual([]);
    expect(await sandbox.status()).toMatchObject({ state: "asleep", notes: [] });
    expect((await run(sandbox, "cat kept files/mounted; id -u; stat -c %U .")).stdout.text).toBe(
      "kept\nmounted\n1000\nuser\n",
    );
    expect(await readdir(join(sandboxes.dataDir, "sandboxes/sleeper"))).not.toContain("workspace");
  });

  test("sandboxes that die again and again, while they write, lose neither the disk nor its content", async () => {
    await using sandboxes = await startLocalSandboxes();
    const sandbox = sandboxes.open();
    for (let round = 0; round < 8; round++) {
      await run(sandbox, `echo ${round} >> rounds; (head -c 200M /dev/zero > big &); kill -9 $PPID`);
    }
    expect((await run(sandbox, "cat rounds | wc -l; rm big; echo ok")).stdout.text).toBe("8\nok\n");
    expect(await heldImages(sandboxes.dataDir)).toHaveLength(1);
  });

  test("a runtime that is killed leaves nothing mounted, and its data folder can be deleted", async () => {
    const dataDir = await mkdtemp(join(tmpdir(), "pincer-sandbox-"));
    const secret = "s".repeat(40);
    const { child, url } = await startRuntimeChild({ dataDir, secret });
    try {
      const sandbox = createDriverWithoutSnapshots({ runtimeUrl: url, secret }, fetch).open("x", mapFiles());
      await run(sandbox, "echo kept > kept; nohup head -c 1G /dev/zero > big &");
      expect(await heldImages(dataDir)).toHaveLength(1);
    } finally {
      child.kill("SIGKILL");
      await once(child, "exit");
    }
    await expect.poll(async () => await heldImages(dataDir)).toEqual([]);
    await rm(dataDir, { recursive: true });
    await expect(stat(dataDir)).rejects.toThrow(/ENOENT/);
  });

  test("a workspace that was made without one keeps its content, and is watched", async () => {
    const dataDir = await mkdtemp(join(tmpdir(), "pincer-sandbox-"));
    try {
      {
        await using before = await startLocalSandboxes({ dataDir, hasDiskImages: false });
        await run(before.open({ id: "old" }), "echo kept > kept");
      }
      await using sandboxes = await startLocalSandboxes({ dataDir });
      const sandbox = sandboxes.open({ id: "old" });
      expect((await run(sandbox, "cat kept")).stdout.text).toBe("kept\n");
      expect((await sandbox.status()).notes).toEqual([expect.stringMatching(/four times a second/)]);
      await sandbox.reset();
      expect((await run(sandbox, "ls -A")).stdout.text).toBe("files\n");
    } finally {
      await rm(dataDir, { recursive: true, force: true });
    }
  });

  test("many sandboxes at once each get their own", async () => {
    await using sandboxes = await startLocalSandboxes();
    const said = await Promise.all(
      Array.from({ length: 20 }, async (_, index) => {
        const sandbox = sandboxes.open();
        await run(sandbox, `echo ${index} > mine`);
        return (await run(sandbox, "cat mine; ls")).stdout.text;
      }),
    );
    expect(said).toEqual(said.map((_, index) => `${index}\nfiles\nmine\n`));
    expect(await heldImages(sandboxes.dataDir)).toHaveLength(20);
  });

  test("a full disk can be reset, and files that were mounted on it come again", async () => {
    await using sandboxes = await startLocalSandboxes({ limits: { diskBytes: 64 * MIB } });
    const files = mapFiles();
    const sandbox = sandboxes.open({ files });
    await files.write("kept.txt", "kept");
    await run(sandbox, "head -c 100M /dev/zero > big");
    await sandbox.reset();
    await sandbox.writeFile("new", bytesOf("new"));
    expect((await run(sandbox, "ls; cat files/kept.txt")).stdout.text).toBe("files\nnew\nkept");
  });
});

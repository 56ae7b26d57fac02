import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { describeExhaustion } from "../support/sandbox-faults.ts";
import { run, startLocalSandboxes } from "./local-sandboxes.ts";
import { type ServedSandboxes, serveSandboxes } from "./served-sandboxes.ts";

const MIB = 1024 * 1024;

/** Root gets the kernel's accounting, an ordinary user the runtime's own; both have to hold. */
describe.each([{ hasCgroups: true }, { hasCgroups: false }])("limits, with cgroups: $hasCgroups", ({ hasCgroups }) => {
  let served: ServedSandboxes;
  beforeAll(async () => {
    const sizes = { memoryBytes: 512 * MIB, diskBytes: 200 * MIB, tmpBytes: 64 * MIB, maxProcesses: 200 };
    served = await serveSandboxes({ hasCgroups, limits: sizes });
  });
  afterAll(async () => await served[Symbol.asyncDispose]());
  describeExhaustion(
    "local driver",
    { open: async () => await Promise.resolve(served.open()) },
    {
      ...{ maxProcesses: 200, memoryBytes: 512 * MIB },
      // Only root can mount a disk of its own.
      disk: process.getuid?.() === 0 ? { folder: "/workspace", bytes: 200 * MIB } : { folder: "/tmp", bytes: 64 * MIB },
    },
  );

  test("a workspace without a disk of its own that grows past its limit is stopped, and can be tidied up", async () => {
    const limits = { diskBytes: 200 * MIB };
    await using sandboxes = await startLocalSandboxes({ hasCgroups, hasDiskImages: false, limits });
    const sandbox = sandboxes.open({ id: "filler" });
    const filler = "for i in $(seq 60); do head -c 50M /dev/zero > /workspace/big$i; sleep 0.05; done";
    const result = await run(sandbox, filler, { timeoutMs: 50_000, waitMs: 50_000 });
    expect(result).toMatchObject({
      signal: "SIGKILL",
      notes: [expect.stringMatching(/grew past 200 MB.*Delete files/)],
    });
    const folder = join(sandboxes.dataDir, "sandboxes/filler/workspace");
    const sizes = await Promise.all((await readdir(folder)).map(async (name) => (await stat(join(folder, name))).size));
    expect(sizes.reduce((sum, size) => sum + size, 0)).toBeLessThan(2_000 * MIB);
    expect((await run(sandbox, "rm /workspace/big*; ls /workspace")).stdout.text).toBe("files\n");
  });
});

test("one file, /tmp, /dev/shm and /run each end at their size", async () => {
  await using sandboxes = await startLocalSandboxes({ limits: { fileBytes: 20 * MIB, tmpBytes: 10 * MIB } });
  const sandbox = sandboxes.open();
  expect((await run(sandbox, "head -c 30M /dev/zero > /workspace/big")).exitCode).not.toBe(0);
  for (const folder of ["/tmp", "/dev/shm", "/run"]) {
    const filled = await run(sandbox, `head -c 19M /dev/zero > ${folder}/big`);
    expect(filled.stderr.text).toContain("No space left on device");
  }
  const elsewhere = await run(
    sandbox,
    "for f in / /dev /etc /usr /opt/node /opt/pincer /var; do touch $f/new 2>/dev/null && echo $f; done",
  );
  expect(elsewhere.stdout.text).toBe("");
  expect((await run(sandbox, "truncate -s 1T /workspace/sparse")).exitCode).not.toBe(0);
});

// Two hundred are a case of the soak.
test("fifty commands at once neither mix nor fail", async () => {
  await using sandboxes = await startLocalSandboxes();
  const sandbox = sandboxes.open();
  const results = await Promise.all(
    Array.from(
      { length: 50 },
      async (_, index) => await run(sandbox, `echo ${index}; cat >&2`, { stdin: `in ${index}` }),
    ),
  );
  expect(results.map(({ exitCode, stdout, stderr }) => [exitCode, stdout.text, stderr.text])).toEqual(
    results.map((_, index) => [0, `${index}\n`, `in ${index}`]),
  );
});

test("stored outputs are bounded: those of the oldest commands go first", async () => {
  await using sandboxes = await startLocalSandboxes({ limits: { spoolBytes: 4 * MIB, totalSpoolBytes: 16 * MIB } });
  const sandbox = sandboxes.open({ id: "spooler" });
  const ids: string[] = [];
  for (let index = 0; index < 6; index++) ids.push((await run(sandbox, "head -c 10M /dev/zero")).processId);
  await expect(sandbox.readOutput(ids[0] ?? "", "stdout")).rejects.toMatchObject({ code: "not_found" });
  expect((await sandbox.readOutput(ids.at(-1) ?? "", "stdout")).sizeBytes).toBe(4 * MIB);
  const folder = join(sandboxes.dataDir, "sandboxes/spooler/spool");
  const sizes = await Promise.all((await readdir(folder)).map(async (name) => (await stat(join(folder, name))).size));
  expect(sizes.reduce((sum, size) => sum + size, 0)).toBeLessThanOrEqual(16 * MIB);
});

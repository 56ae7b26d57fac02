import { readdir } from "node:fs/promises";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type ToolClient, connectOfficial, textOf } from "../support/mcp-clients.ts";
import { memoryMb, pick, processTree } from "../support/process-tree.ts";
import { type OwnSuite, startSuite } from "../support/suite.ts";

let suite: OwnSuite;
let client: ToolClient;

beforeAll(async () => {
  suite = await startSuite();
  client = await connectOfficial(new URL("/mcp", suite.url), await suite.token(), "modern");
});

afterAll(async () => {
  await client[Symbol.asyncDispose]();
  await suite[Symbol.asyncDispose]();
});

async function exec(input: Record<string, unknown>): Promise<Record<string, unknown>> {
  const answer = await client.callTool("sandbox_exec", input);
  if (answer.isError) throw new Error(textOf(answer));
  return answer.structuredContent ?? {};
}

/** The process ids of the suite's parts whose command line matches. */
async function parts(pattern: RegExp): Promise<readonly number[]> {
  return await pick(await processTree(suite.process.pid ?? 0), pattern);
}

async function openFiles(): Promise<number> {
  const lists = await Promise.all(
    [...(await parts(WORKER)), ...(await parts(RUNTIME))].map(async (pid) => await readdir(`/proc/${pid}/fd`)),
  );
  return lists.flat().length;
}

const WORKER = /\/workerd /;
const RUNTIME = /\/runtime\.ts/;

test("two hundred commands at once neither hang nor mix up their output", async () => {
  const results = await Promise.all(
    Array.from({ length: 200 }, async (_, index) => {
      const command = `for i in $(seq 20); do echo out-${index}; echo err-${index} >&2; sleep 0.0$((RANDOM % 9)); done`;
      return await exec({ command, wait_ms: 50_000 });
    }),
  );
  for (const [index, result] of results.entries()) {
    expect(result).toMatchObject({
      exit_code: 0,
      stdout: `out-${index}\n`.repeat(20),
      stderr: `err-${index}\n`.repeat(20),
    });
  }
});

test("ten gigabytes of output, a gigabyte at a time, take no more memory than one does", async () => {
  await exec({ command: "true" });
  const [worker, runtime] = [await memoryMb(await parts(WORKER)), await memoryMb(await parts(RUNTIME))];
  for (let round = 0; round < 10; round += 1) {
    const command = "head -c 1G /dev/zero | tr '\\0' x";
    expect(await exec({ command, wait_ms: 50_000, timeout_ms: 50_000 })).toMatchObject({ exit_code: 0 });
  }
  expect((await memoryMb(await parts(RUNTIME))) - runtime).toBeLessThan(200);
  expect((await memoryMb(await parts(WORKER))) - worker).toBeLessThan(400);
});

test("five thousand commands leave neither memory nor processes nor open files behind", async () => {
  const runMany = async (count: number): Promise<void> => {
    for (let index = 0; index < count; index += 1)
      expect(await exec({ command: "echo $RANDOM" })).toMatchObject({ exit_code: 0 });
  };
  await runMany(1_000);
  // Of the Worker's memory nothing is said: workerd's grows with its requests on this machine, bare too.
  const before = await memoryMb(await parts(RUNTIME));
  const processesBefore = (await processTree(suite.process.pid ?? 0)).length;
  const filesBefore = await openFiles();
  await runMany(4_000);
  expect((await memoryMb(await parts(RUNTIME))) - before).toBeLessThan(100);
  expect((await processTree(suite.process.pid ?? 0)).length).toBeLessThanOrEqual(processesBefore + 2);
  expect(await openFiles()).toBeLessThanOrEqual(filesBefore + 20);
});

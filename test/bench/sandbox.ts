import path from "node:path";
import { prepareBareJail } from "./bare-jail.ts";
import { measureContainer } from "./container.ts";
import { startDesktopCommander } from "./desktop-commander.ts";
import { measure } from "./load.ts";
import { type Door, EXEC_TRUE, RUN_SUM, call, send } from "./mcp-requests.ts";
import { mostMemory } from "../support/most-memory.ts";
import { memoryMb, pick, processTree } from "../support/process-tree.ts";
import { startWholeSuite } from "./servers.ts";
import { measureSnapshots } from "./snapshots.ts";
import { type Row, describe, of, versus } from "./table.ts";

/** Kept from run to run. */
const CACHE = path.resolve(import.meta.dirname, "../../.pincer/cache/desktop-commander");

const PARALLEL = 16;
const SLEEP_ONE = call("sandbox_exec", { command: "sleep 1" }, `"exit_code":0`);
const ONE_GIGABYTE = call(
  "sandbox_exec",
  { command: "head -c 1G /dev/zero | tr '\\0' x", wait_ms: 50_000 },
  `"exit_code":0`,
);
const CONTEXTS = 50;

/** Sandbox and interpreter through the whole suite. */
export async function measureSandbox(dataDir: string): Promise<Row[]> {
  await using started = await startWholeSuite(dataDir);
  const { door: suite, launcher } = started;
  if (launcher === undefined) throw new Error("The suite has no process.");
  const rows = await compareCommands(suite);
  rows.push(await runCode(suite), await sleepInParallel(suite));
  rows.push(...(await printGigabyte(suite, launcher)), ...(await keepContexts(suite, launcher)));
  rows.push(...(await measureSnapshots()), ...(await measureContainer()));
  return rows;
}

async function compareCommands(suite: Door): Promise<Row[]> {
  await using jail = await prepareBareJail();
  await using commander = await startDesktopCommander(CACHE, (line) => console.log(line));
  const measured = await measure(
    [
      { name: "bwrap", run: async () => await jail.run() },
      { name: "exec", run: async () => void (await send(suite, "modern", EXEC_TRUE)) },
      { name: "commander", run: async () => await commander.execTrue() },
    ],
    { clients: 1, rounds: 6, perRound: 20 },
  );
  const own = of(measured, "exec");
  return [
    { ...versus("sandbox_exec true, warm, against a bare bwrap", own, of(measured, "bwrap")), target: 2 },
    { ...versus("  against Desktop Commander's start_process true", own, of(measured, "commander")), target: 0.15 },
  ];
}

async function runCode(suite: Door): Promise<Row> {
  const measured = await measure([{ name: "run", run: async () => void (await send(suite, "modern", RUN_SUM)) }], {
    ...{ clients: 1, rounds: 6, perRound: 30 },
  });
  const own = of(measured, "run");
  return { what: "interpreter_run 1+1, warm", measured: describe(own), value: own.p50Ms, unit: " ms", target: 15 };
}

async function sleepInParallel(suite: Door): Promise<Row> {
  const startedMs = performance.now();
  await Promise.all(Array.from({ length: PARALLEL }, async () => await send(suite, "modern", SLEEP_ONE)));
  const seconds = (performance.now() - startedMs) / 1_000;
  return { what: `${PARALLEL} times sleep 1 at once, until the last ends`, value: seconds, unit: " s", target: 1.3 };
}

/** How much more memory the Worker and the runtime hold while a command prints without end. */
async function printGigabyte(suite: Door, launcher: number): Promise<Row[]> {
  const tree = await processTree(launcher);
  const parts = [
    ["Worker", await pick(tree, /\/workerd /)],
    ["sandbox runtime", await pick(tree, /\/runtime\.ts/)],
  ] as const;
  let seconds = Number.NaN;
  const grown = await mostMemory(
    parts.map(([, pids]) => pids),
    async () => {
      const startedMs = performance.now();
      await send(suite, "modern", ONE_GIGABYTE);
      seconds = (performance.now() - startedMs) / 1_000;
    },
  );
  return parts.map(([name], index) => ({
    what: `1 GB of output in ${seconds.toFixed(1)} s: more memory in the ${name}`,
    value: grown[index] ?? Number.NaN,
    unit: " MB",
    target: 100,
  }));
}

async function keepContexts(suite: Door, launcher: number): Promise<Row[]> {
  const rows: Row[] = [];
  for (const [language, code] of [
    ["python", "import os; x = 1"],
    ["javascript", "const x = 1"],
  ] as const) {
    const sandboxPids = async (): Promise<readonly number[]> =>
      await pick(await processTree(launcher), /\/opt\/pincer\//);
    const before = await memoryMb(await sandboxPids());
    for (let index = 0; index < CONTEXTS; index += 1) {
      const context = `bench-${language}-${index}`;
      await send(suite, "modern", call("interpreter_run", { language, code, context }, `"content"`));
    }
    const each = ((await memoryMb(await sandboxPids())) - before) / CONTEXTS;
    rows.push({ what: `${CONTEXTS} idle ${language} contexts, each`, value: each, unit: " MB", target: 50 });
    await send(suite, "modern", call("sandbox_reset", {}, `"reset":true`));
  }
  return rows;
}

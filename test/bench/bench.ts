import { mkdtemp, rm } from "node:fs/promises";
import { cpus, loadavg, tmpdir } from "node:os";
import path from "node:path";
import type { Era } from "../support/mcp-clients.ts";
import { measureBrowser } from "./browser.ts";
import { measurePeople } from "./browser-people.ts";
import { measureDelegate } from "./delegate.ts";
import { measureFiles } from "./files.ts";
import { type LoadOptions, type Task, measure } from "./load.ts";
import {
  type Door,
  LIST_FILES,
  LIST_TOOLS,
  type McpRequest,
  REFUSED_CALL,
  REVISIONS,
  listTools,
  send,
} from "./mcp-requests.ts";
import { measureGuard } from "./guard.ts";
import { measureInside } from "./inside.ts";
import { measureOwner } from "./owner.ts";
import { measurePreview } from "./preview.ts";
import { measureSandbox } from "./sandbox.ts";
import { startBareNode, startBareWorker, startWholeSuite } from "./servers.ts";
import { checkStartup, countTokens, timeWarmStart } from "./sizes.ts";
import { measureStore } from "./store.ts";
import { type Row, misses, of, renderTable, versus } from "./table.ts";

/**
 * `npm run bench`: how fast and how large Pincer is, against its targets, in one table. A benchmark, not a test: run
 * it on a machine that does nothing else.
 */

const LOADS: readonly LoadOptions[] = [
  { clients: 1, rounds: 12, perRound: 50 },
  { clients: 16, rounds: 12, perRound: 160 },
];

const REQUESTS: readonly { readonly name: string; readonly asked: McpRequest }[] = [
  { name: "tools/list", asked: LIST_TOOLS },
  { name: "tools/call", asked: REFUSED_CALL },
];

interface Doors {
  readonly worker: Door;
  readonly suite: Door;
  readonly example: Door;
  readonly floor: Door;
}

/** What can be measured alone, by `npm run bench -- NAME`, in the order of the table. */
const PARTS: Readonly<Record<string, (dataDir: string) => Promise<Row[]>>> = {
  calls: measureCalls,
  guard: measureGuard,
  files: measureFiles,
  sandbox: measureSandbox,
  preview: measurePreview,
  browser: async (dataDir) => [...(await measureBrowser(dataDir)), ...(await measurePeople())],
  inside: measureInside,
  delegate: measureDelegate,
  store: measureStore,
  owner: measureOwner,
  starts: measureStarts,
};

async function main(): Promise<void> {
  const named = process.argv.slice(2).filter((word) => !word.startsWith("--"));
  const unknown = named.filter((name) => PARTS[name] === undefined);
  if (unknown.length > 0)
    throw new Error(`There is no ${unknown.join(", ")}; name some of ${Object.keys(PARTS).join(", ")}.`);
  const [core] = cpus();
  console.log(`${cpus().length} cores, ${core?.model}, load ${loadavg()[0]?.toFixed(1)}, Node ${process.version}`);
  const dataDir = await mkdtemp(path.join(tmpdir(), "pincer-bench-"));
  try {
    const rows: Row[] = [];
    for (const [name, measurePart] of Object.entries(PARTS)) {
      if (named.length === 0 || named.includes(name)) rows.push(...(await measurePart(dataDir)));
    }
    console.log(`\n${renderTable(rows)}\n\n${NOTES}`);
    if (rows.some(misses)) process.exitCode = 1;
  } finally {
    await rm(dataDir, { recursive: true, force: true });
  }
}

async function measureCalls(dataDir: string): Promise<Row[]> {
  await using suite = await startWholeSuite(dataDir);
  await using worker = await startBareWorker();
  const tools = await listTools(worker.door);
  await using bare = await startBareNode(JSON.stringify({ tools }));
  const doors = { worker: worker.door, suite: suite.door, example: bare.example, floor: bare.floor };
  const rows: Row[] = [];
  for (const load of LOADS) rows.push(...(await compareServers(doors, load)));
  rows.push(await compareStorage(doors), tokenRow(tools));
  return rows;
}

async function measureStarts(dataDir: string): Promise<Row[]> {
  const readyS = (await timeWarmStart(dataDir)) / 1_000;
  const { gzKib, activeMs } = await checkStartup();
  return [
    { what: "npm start to ready, warm", value: readyS, unit: " s", target: 6 },
    { what: "bundle, gz", value: gzKib, unit: " KB", target: 700 },
    { what: "Worker start-up, processor time (wrangler check startup)", value: activeMs, unit: " ms" },
  ];
}

/** Guarded Pincer against the unguarded SDK server, and, with no target, against the least which that SDK can do. */
async function compareServers({ worker, suite, example, floor }: Doors, load: LoadOptions): Promise<Row[]> {
  const rows: Row[] = [];
  for (const { name, asked } of REQUESTS) {
    const task = (taskName: string, door: Door, era: Era): Task => ({
      name: taskName,
      run: async () => void (await send(door, era, asked)),
    });
    const measured = await measure(
      [
        task("example", example, "legacy"),
        task("worker modern", worker, "modern"),
        task("floor", floor, "legacy"),
        task("worker legacy", worker, "legacy"),
        task("suite modern", suite, "modern"),
        task("suite legacy", suite, "legacy"),
      ],
      load,
    );
    const clients = load.clients === 1 ? "1 client" : `${load.clients} clients`;
    for (const era of ["modern", "legacy"] as const) {
      const what = `${name}, ${clients}, ${REVISIONS[era]}`;
      const own = of(measured, `worker ${era}`);
      rows.push({ ...versus(what, own, of(measured, "example")), target: 1 });
      rows.push({ ...versus("  through npm start", of(measured, `suite ${era}`), of(measured, "example")), target: 1 });
      rows.push(versus("  against the SDK's floor", own, of(measured, "floor")));
    }
  }
  return rows;
}

async function compareStorage({ worker, example }: Doors): Promise<Row> {
  const measured = await measure(
    [
      { name: "node", run: async () => void (await send(example, "legacy", LIST_FILES)) },
      { name: "worker", run: async () => void (await send(worker, "modern", LIST_FILES)) },
    ],
    { clients: 1, rounds: 6, perRound: 50 },
  );
  return versus("files_list: R2's local stand-in against readdir", of(measured, "worker"), of(measured, "node"));
}

function tokenRow(tools: readonly unknown[]): Row {
  return {
    what: `tool list, ${tools.length} tools, o200k tokens`,
    measured: "",
    value: countTokens(JSON.stringify(tools)),
    target: 4_600,
  };
}

const NOTES = `Times are p50 (p95) of whole HTTP requests on kept-alive connections, interleaved. Pincer is guarded: a personal
access token is checked, and each call leaves its audit and cost rows. It is measured against an unguarded Node server
on @modelcontextprotocol/sdk 1 with the same tools, stateless, in JSON, written as that SDK's example is, on its Express
app; the floor is the least that SDK can do, on node:http alone. tools/call is a files_read whose path is refused: no storage
on either side. The browsers are one Chrome: Pincer's in bubblewrap and behind its egress proxy, playwright-mcp's without
either, and on stdio. The store is measured inside workerd on R2's local stand-in, twenty calls in a request, without
sign-in or protocol before it.`;

await main();

import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { DatabaseSync } from "node:sqlite";
import { Miniflare, convertV4MiniflareOptions } from "miniflare";
import * as z from "zod";
import { quickenR2 } from "../../container/local/worker-host/r2-stand-in.ts";
import { bundleWorker } from "../support/bundle-worker.ts";
import { type Latencies, measure, post } from "./load.ts";
import type { Asked } from "./store-worker.ts";
import { type Row, of, versus } from "./table.ts";

const KILOBYTE = "x".repeat(1_023) + "\n";
/** In one request, so that the request itself does not count. */
const TIMES = 20;
const LOAD = { clients: 1, rounds: 6, perRound: 4 };
const MANY_FILES = 100_000;
const FEW_FILES = 100;
/** In buckets of their own: Miniflare's R2 looks through what is before and after a folder too. */
const FEW = ["FEW_FILES", "few"] as const;
const MANY = ["FILES", "many"] as const;
/** As many as R2 gives at once with their types. */
const PAGE = 100;
const answerSchema = z.object({ bytes: z.int() });

interface BenchedStore extends AsyncDisposable {
  /** Throws where what came or went has not that many bytes, or files. */
  ask(asked: Asked, bytes: number): Promise<void>;
}

/** The store of files in workerd beside the binding that it stands on, without anything before it. */
export async function measureStore(): Promise<Row[]> {
  const stateDir = await mkdtemp(path.join(tmpdir(), "pincer-bench-"));
  try {
    const rows: Row[] = [];
    {
      await using store = await startStore(stateDir);
      rows.push(...(await compareWithBucket(store)));
      for (const [bucket, folder] of [FEW, MANY]) {
        await store.ask({ do: "write", bucket, paths: [`${folder}/0`], content: KILOBYTE }, KILOBYTE.length);
      }
    }
    // With puts, a hundred thousand files take minutes.
    await multiplyFile(stateDir, `${FEW[1]}/0`, FEW_FILES);
    await multiplyFile(stateDir, `${MANY[1]}/0`, MANY_FILES);
    await using store = await startStore(stateDir);
    rows.push(await compareFolders(store));
    return rows;
  } finally {
    await rm(stateDir, { recursive: true, force: true });
  }
}

async function compareWithBucket(store: BenchedStore): Promise<Row[]> {
  let written = 0;
  const newPaths = (): string[] => Array.from({ length: TIMES }, () => `new/${(written += 1)}`);
  const oldPaths = Array.from({ length: TIMES }, (_, index) => `old/${index}`);
  const bytes = TIMES * KILOBYTE.length;
  const write = async (how: "write" | "write raw", paths: string[]): Promise<void> =>
    await store.ask({ do: how, bucket: "FILES", paths, content: KILOBYTE }, bytes);
  await write("write", oldPaths);
  const read = async (how: "read" | "read raw"): Promise<void> =>
    await store.ask({ do: how, bucket: "FILES", path: "old/0", times: TIMES }, bytes);
  const measured = await measure(
    [
      { name: "read", run: async () => await read("read") },
      { name: "get", run: async () => await read("read raw") },
      { name: "write", run: async () => await write("write", newPaths()) },
      { name: "put", run: async () => await write("write raw", newPaths()) },
      { name: "overwrite", run: async () => await write("write", oldPaths) },
      { name: "put over", run: async () => await write("write raw", oldPaths) },
    ],
    LOAD,
  );
  const row = (what: string, own: string, raw: string): Row => versus(what, each(measured, own), each(measured, raw));
  return [
    { ...row("1 KB read from the store, against env.FILES.get", "read", "get"), target: 2 },
    { ...row("1 KB written to a new file, against env.FILES.put", "write", "put"), target: 2 },
    row("1 KB written over a file, whose old version is kept", "overwrite", "put over"),
  ];
}

async function compareFolders(store: BenchedStore): Promise<Row> {
  const list = async ([bucket, folder]: typeof FEW | typeof MANY, files: number): Promise<void> =>
    await store.ask({ do: "list", bucket, folder, limit: PAGE, times: TIMES }, TIMES * files);
  const measured = await measure(
    [
      { name: "many", run: async () => await list(MANY, PAGE) },
      { name: "few", run: async () => await list(FEW, FEW_FILES) },
    ],
    LOAD,
  );
  const what = `a page of a folder of ${MANY_FILES.toLocaleString("en")} files, against one of ${FEW_FILES}`;
  return { ...versus(what, each(measured, "many"), each(measured, "few")), target: 3 };
}

/** Of one of the many in a request. */
function each(measured: ReadonlyMap<string, Latencies>, name: string): Latencies {
  const { p50Ms, p95Ms } = of(measured, name);
  return { p50Ms: p50Ms / TIMES, p95Ms: p95Ms / TIMES };
}

async function startStore(stateDir: string): Promise<BenchedStore> {
  quickenR2();
  const miniflare = new Miniflare(
    convertV4MiniflareOptions({
      modules: true,
      script: await bundleWorker(path.join(import.meta.dirname, "store-worker.ts")),
      compatibilityDate: "2026-11-01",
      compatibilityFlags: ["nodejs_compat"],
      bindings: {
        PUBLIC_URL: "http://localhost:8717",
        IDENTITY: "local",
        LOCAL_SIGN_IN_CODE: "WXYZ-2345",
        LOCAL_ADMIN_SECRET: "a".repeat(40),
        SIGNING_SECRET: "s".repeat(40),
        SANDBOX_DRIVER: "container",
      },
      r2Buckets: ["FILES", "FEW_FILES"],
      durableObjects: {
        ACCOUNT: { className: "Account", useSQLite: true },
        DIRECTORY: { className: "Directory", useSQLite: true },
      },
      resourcePersistencePath: stateDir,
      cf: false,
      port: 0,
    }),
  );
  const url = await miniflare.ready;
  return {
    ask: async (asked, bytes) => {
      const { status, text } = await post({ url, headers: {}, body: JSON.stringify(asked) });
      if (status !== 200 || answerSchema.parse(JSON.parse(text)).bytes !== bytes) {
        throw new Error(`${asked.do} was answered with ${status}: ${text.slice(0, 300)}`);
      }
    },
    [Symbol.asyncDispose]: async () => await miniflare.dispose(),
  };
}

/** Makes of the one file in a folder as many as are to be in it, which share its content, while nobody has them open. */
async function multiplyFile(stateDir: string, file: string, count: number): Promise<void> {
  const objects = path.join(stateDir, "r2/miniflare-R2BucketObject");
  const names = (await readdir(objects)).filter((name) => name.endsWith(".sqlite"));
  let made = 0;
  for (const name of names) {
    using database = new DatabaseSync(path.join(objects, name));
    if (database.prepare("SELECT 1 FROM sqlite_master WHERE name = '_mf_objects'").get() === undefined) continue;
    const columns = database.prepare("SELECT name FROM pragma_table_info('_mf_objects') WHERE name != 'key'").all();
    const others = columns.map((column) => String(column["name"])).join(", ");
    const { changes } = database
      .prepare(
        `WITH RECURSIVE numbers(number) AS (SELECT 1 UNION ALL SELECT number + 1 FROM numbers WHERE number < ?)
         INSERT INTO _mf_objects (key, ${others})
         SELECT substr(key, 1, length(key) - 1) || number, ${others} FROM _mf_objects, numbers WHERE key LIKE '%/' || ?`,
      )
      .run(count - 1, file);
    made += Number(changes);
  }
  if (made !== count - 1) throw new Error(`${made} files were made of ${file}: Miniflare keeps R2 in another way now.`);
}

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import type { Plugin } from "esbuild";
import { Miniflare, convertV4MiniflareOptions } from "miniflare";
import * as z from "zod";
import { bundleWorker } from "../support/bundle-worker.ts";
import { dayOf } from "../../servers/account/figures.ts";
import { bundle } from "./guard.ts";
import { type Task, measure, post } from "./load.ts";
import { type Door, REFUSED_CALL, send } from "./mcp-requests.ts";
import { type Size, fill } from "./owner-fill.ts";
import type { OwnerAsked } from "./owner-worker.ts";
import { startBareWorker } from "./servers.ts";
import { type Row, describe, of, versus } from "./table.ts";

const LARGE: Size = { name: "large", calls: 1_000_000, people: 10_000 };
const SMALL: Size = { name: "small", calls: 10_000, people: 100 };
const MAX_MS = 300;
const MAX_TIMES_SMALL = 3;
const MAX_RECORDING_MS = 0.3;
const DAY_MS = 24 * 60 * 60 * 1_000;
const answerSchema = z.object({ rows: z.int(), ids: z.array(z.string()).default([]) });

/** What the owner's side costs callers, and how fast it answers whoever looks, with much behind it. */
export async function measureOwner(): Promise<Row[]> {
  return [await compareRecording(), ...(await askMuch())];
}

/** A call that leaves its rows beside one that leaves none. */
async function compareRecording(): Promise<Row> {
  await using recorded = await startBareWorker(await bundle());
  await using unrecorded = await startBareWorker(await bundle(withoutRecorder));
  const task = (name: string, door: Door): Task => ({
    name,
    run: async () => void (await send(door, "modern", REFUSED_CALL)),
  });
  const measured = await measure([task("recorded", recorded.door), task("unrecorded", unrecorded.door)], {
    ...{ clients: 1, rounds: 24, perRound: 50 },
  });
  const [own, other] = [of(measured, "recorded"), of(measured, "unrecorded")];
  return {
    what: "what recording adds to a call",
    ...{ measured: describe(own), against: describe(other), unit: " ms" },
    ...{ value: Math.max(0, own.p50Ms - other.p50Ms), target: MAX_RECORDING_MS },
  };
}

const withoutRecorder: Plugin = {
  name: "without recorder",
  setup: ({ onLoad }) => {
    onLoad({ filter: /account\/books\.ts$/ }, () => ({
      contents: "export const createRecorder = () => () => undefined;",
      loader: "ts",
    }));
  },
};

/** Those that show what there is much of. */
const PAGES = [
  ...["/account", "/account/usage", "/account/audit", "/account/audit?text=nowhere", "/account/limits"],
  ...["/admin", "/admin/people", "/admin/usage", "/admin/audit", "/admin/limits", "/admin/cost"],
];

/** As much as accounts and the directory read. */
const SETTINGS = {
  PUBLIC_URL: "http://localhost:8717",
  IDENTITY: "local",
  LOCAL_SIGN_IN_CODE: "WXYZ-2345",
  LOCAL_ADMIN_SECRET: "a".repeat(40),
  SIGNING_SECRET: "s".repeat(40),
  SANDBOX_DRIVER: "container",
};

type Question = OwnerAsked extends infer Asked ? (Asked extends OwnerAsked ? Omit<Asked, "of"> : never) : never;

function questions(nowMs: number): readonly (readonly [what: string, asked: Question, rows: number])[] {
  const [month] = dayOf(nowMs - 31 * DAY_MS).match(/^\d{4}-\d{2}/) ?? [""];
  const [year = 0, number = 0] = month.split("-").map(Number);
  const whole = { fromDay: `${month}-01`, toDay: dayOf(Date.UTC(year, number, 0)) };
  const today = { fromDay: dayOf(nowMs), toDay: dayOf(nowMs) };
  const thirty = { fromDay: dayOf(nowMs - 29 * DAY_MS), toDay: dayOf(nowMs) };
  return [
    ["a person's 30 days by day", { do: "usage", query: { ...thirty, by: "day" } }, 30],
    ["a person's 30 days by tool", { do: "usage", query: { ...thirty, by: "tool" } }, 38],
    ["a person's newest 100 calls", { do: "audit", query: { limit: 100 } }, 100],
    ["  those that failed", { do: "audit", query: { outcome: "failed", limit: 100 } }, 100],
    ["  those of one server", { do: "audit", query: { tool: "files_", limit: 100 } }, 100],
    ["  those of one run", { do: "audit", query: { runId: "run-3", limit: 100 } }, 10],
    ["  a search that finds nothing", { do: "audit", query: { text: "nowhere", limit: 100 } }, 0],
    ["what a person has", { do: "things" }, 0],
    ["a page of people", { do: "people", query: { limit: 50 } }, 50],
    ["  those with a word in their names", { do: "people", query: { query: "body-9", limit: 10 } }, 10],
    ["everybody's 30 days by day", { do: "everybody", query: { ...thirty, by: "day" } }, 30],
    ["everybody's 30 days by tool", { do: "everybody", query: { ...thirty, by: "tool" } }, 38],
    ["a month's dearest people", { do: "everybody", query: { ...whole, by: "person" } }, 100],
    ["a month's dearest clients", { do: "everybody", query: { ...whole, by: "client" } }, 100],
    ["a day's dearest people", { do: "everybody", query: { ...today, by: "person" } }, 100],
    ["the dearest people of any 30 days", { do: "everybody", query: { ...thirty, by: "person" } }, 100],
    ...PAGES.map((page) => [`the page ${page}`, { do: "page", path: page }, 1] as const),
  ];
}

async function askMuch(): Promise<Row[]> {
  const stateDir = await mkdtemp(path.join(tmpdir(), "pincer-bench-"));
  const nowMs = Date.now();
  try {
    const ids = new Map<Size, readonly string[]>();
    {
      await using books = await startBooks(stateDir);
      for (const size of [LARGE, SMALL]) ids.set(size, await books.ask({ do: "open", of: size.name }, 0));
    }
    for (const [size, databases] of ids) await fill(stateDir, databases, size, nowMs);
    await using books = await startBooks(stateDir);
    const rows: Row[] = [];
    for (const [what, asked, count] of questions(nowMs)) {
      const task = ({ name }: Size): Task => ({
        name,
        run: async () => void (await books.ask({ ...asked, of: name }, count)),
      });
      const measured = await measure([task(LARGE), task(SMALL)], { clients: 1, rounds: 5, perRound: 5 });
      const [large, small] = [of(measured, LARGE.name), of(measured, SMALL.name)];
      rows.push({ what, measured: describe(large), value: large.p50Ms, unit: " ms", target: MAX_MS });
      rows.push({ ...versus("    against a hundredth of it", large, small), target: MAX_TIMES_SMALL });
    }
    return rows;
  } finally {
    await rm(stateDir, { recursive: true, force: true });
  }
}

async function startBooks(
  stateDir: string,
): Promise<AsyncDisposable & { ask(asked: OwnerAsked, rows: number): Promise<readonly string[]> }> {
  const miniflare = new Miniflare(
    convertV4MiniflareOptions({
      modules: true,
      script: await bundleWorker(path.join(import.meta.dirname, "owner-worker.ts")),
      compatibilityDate: "2026-11-01",
      compatibilityFlags: ["nodejs_compat"],
      bindings: { ...SETTINGS },
      r2Buckets: ["FILES"],
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
    ask: async (asked, rows) => {
      const { status, text } = await post({ url, headers: {}, body: JSON.stringify(asked) });
      const answer = status === 200 ? answerSchema.parse(JSON.parse(text)) : undefined;
      if (answer?.rows === rows) return answer.ids;
      throw new Error(`${JSON.stringify(asked)} was answered with ${status}: ${text.slice(0, 300)}`);
    },
    [Symbol.asyncDispose]: async () => await miniflare.dispose(),
  };
}

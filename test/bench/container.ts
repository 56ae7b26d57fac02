import { startEngineWorker, whyNoEngine } from "../container/engine.ts";
import { remoteSandbox } from "../container/remote-sandbox.ts";
import { measure } from "./load.ts";
import { type Row, of, versus } from "./table.ts";

const LOAD = { clients: 1, rounds: 6, perRound: 20 };
const TARGET = 1.3;
const TRUE = { command: "true", timeoutMs: 30_000, waitMs: 30_000, maxChars: 1_000 };

/** Commands in containers, where there is an engine for them; else the reason why they are not in the table. */
export async function measureContainer(): Promise<Row[]> {
  const reason = whyNoEngine();
  if (reason !== undefined) {
    console.log(`Not in the table: a command in a container, against the SDK's own exec; ${reason}.`);
    return [];
  }
  console.log("Building the container's image, which takes minutes for the first time.");
  await using worker = await startEngineWorker();
  return await compareExecs(worker.url);
}

/** Pincer's `exec` and the SDK's through the same test Worker, each in a container of its own that is awake. */
async function compareExecs(url: string): Promise<Row[]> {
  const { sandbox } = remoteSandbox(url, `bench${crypto.randomUUID().replaceAll("-", "")}`);
  const measured = await measure(
    [
      { name: "own", run: async () => expectZero(await sandbox.exec(TRUE, { signal: new AbortController().signal })) },
      { name: "sdk", run: async () => await sdkExec(new URL("/sdk-exec", url)) },
      { name: "sessionless", run: async () => await sdkExec(new URL("/sdk-exec-without-session", url)) },
    ],
    LOAD,
  );
  const own = of(measured, "own");
  return [
    { ...versus("true in a container, warm, against the SDK's own exec", own, of(measured, "sdk")), target: TARGET },
    { ...versus("  against the same without its session", own, of(measured, "sessionless")), target: TARGET },
  ];
}

async function sdkExec(url: URL): Promise<void> {
  const body = new FormData();
  body.set("call", JSON.stringify(TRUE));
  const answer = await fetch(url, { method: "POST", body });
  if (!answer.ok) throw new Error(`The test Worker answered ${answer.status}.`);
  expectZero(await answer.json());
}

function expectZero(result: unknown): void {
  const isZero = typeof result === "object" && result !== null && "exitCode" in result && result.exitCode === 0;
  if (!isZero) throw new Error(`It ended as ${JSON.stringify(result).slice(0, 500)}.`);
}

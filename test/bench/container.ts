import { startEngineWorker, whyNoEngine } from "../container/engine.ts";
import { measure } from "./load.ts";
import { type Row, of, versus } from "./table.ts";

const LOAD = { clients: 1, rounds: 6, perRound: 20 };
const TARGET = 1.3;

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
  const exec = (path: string) => async (): Promise<void> => {
    const answer = await fetch(new URL(path, url), { method: "POST" });
    if (!answer.ok) throw new Error(`The test Worker answered ${answer.status}.`);
    expectZero(await answer.json());
  };
  const measured = await measure(
    [
      { name: "own", run: exec("/exec") },
      { name: "sdk", run: exec("/sdk-exec") },
      { name: "sessionless", run: exec("/sdk-exec-without-session") },
    ],
    LOAD,
  );
  const own = of(measured, "own");
  return [
    { ...versus("true in a container, warm, against the SDK's own exec", own, of(measured, "sdk")), target: TARGET },
    { ...versus("  against the same without its session", own, of(measured, "sessionless")), target: TARGET },
  ];
}

function expectZero(result: unknown): void {
  const isZero = typeof result === "object" && result !== null && "exitCode" in result && result.exitCode === 0;
  if (!isZero) throw new Error(`It ended as ${JSON.stringify(result).slice(0, 500)}.`);
}

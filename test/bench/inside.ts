import * as z from "zod";
import { startBrowserSuite } from "../browser/browser-suite.ts";
import { connectOfficial } from "../support/mcp-clients.ts";
import { serveBenchPage } from "./browser-page.ts";
import { summarize } from "./load.ts";
import { startWholeSuite } from "./servers.ts";
import { type Row, versus } from "./table.ts";

/** Of both suites: how quick a Chrome is goes by where its processes come to lie, for as long as it runs. */
const STARTS = 4;
const ROUNDS = 4;
/** Clocks in the Worker tell milliseconds: as many round trips are timed together. */
const TRIPS = 100;
/** Of both, right before. */
const WARM_UP_TRIPS = 1_000;

/** Asks a page something so often, twice: the first time warms up. Prints how many milliseconds the second took. */
const PROGRAM = `
  const made = await fetch("http://browser.internal/json/new?about:blank", { method: "PUT" });
  const { id, webSocketDebuggerUrl } = await made.json();
  const socket = new WebSocket(webSocketDebuggerUrl);
  await new Promise((resolve, reject) => { socket.onopen = resolve; socket.onerror = reject; });
  const ask = (id) => new Promise((resolve) => {
    socket.onmessage = ({ data }) => { if (JSON.parse(data).result?.result.value === 2) resolve(); };
    socket.send(JSON.stringify({ id, method: "Runtime.evaluate", params: { expression: "1 + 1" } }));
  });
  for (let id = 1; id <= ${WARM_UP_TRIPS}; id += 1) await ask(id);
  const startedMs = performance.now();
  for (let id = 1; id <= ${TRIPS}; id += 1) await ask(id);
  console.log(performance.now() - startedMs);
  socket.close();
  await fetch("http://browser.internal/json/close/" + id);
`;

/**
 * What a program in the sandbox waits for an answer of Chrome, by way of the proxy, the Worker and the browser's
 * session, beside what a Worker waits on a connection of its own.
 */
export async function measureInside(dataDir: string): Promise<Row[]> {
  const [inside, own]: [number[], number[]] = [[], []];
  for (let start = 0; start < STARTS; start += 1) {
    for (const round of await measureRounds(dataDir)) {
      inside.push(round.insideMs / TRIPS);
      own.push(round.ownMs / TRIPS);
    }
  }
  const what = "CDP round trip of a program in the sandbox, against a Worker's";
  return [{ ...versus(what, summarize(inside), summarize(own)), target: 1.5 }];
}

async function measureRounds(dataDir: string): Promise<{ readonly insideMs: number; readonly ownMs: number }[]> {
  await using site = await serveBenchPage();
  await using suite = await startWholeSuite(dataDir, ["--allow-host", site.host]);
  await using worker = await startBrowserSuite([site.host]);
  await using person = worker.person();
  await person.read("browser_open", { url: site.origin });
  await using client = await connectOfficial(suite.door.mcpUrl, suite.door.token ?? "", "modern");
  await client.callTool("sandbox_write", { path: "/workspace/trips.mjs", content: PROGRAM });
  const rounds = [];
  for (let round = 0; round <= ROUNDS; round += 1) {
    await person.roundTrips(WARM_UP_TRIPS);
    const ownMs = await person.roundTrips(TRIPS);
    const { structuredContent } = await client.callTool("sandbox_exec", { command: "node trips.mjs", wait_ms: 40_000 });
    const { stdout, stderr } = z.object({ stdout: z.string(), stderr: z.string() }).parse(structuredContent);
    if (stderr !== "") throw new Error(`The program in the sandbox failed: ${stderr}`);
    rounds.push({ insideMs: Number(stdout), ownMs });
  }
  return rounds.slice(1);
}

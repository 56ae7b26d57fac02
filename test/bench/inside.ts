import * as z from "zod";
import { startBrowserSuite } from "../browser/browser-suite.ts";
import { openSocket } from "../browser/devtools-socket.ts";
import { serveBenchPage } from "./browser-page.ts";
import { summarize } from "./load.ts";
import { type Row, versus } from "./table.ts";

const ROUNDS = 20;
/** Clocks in the Worker tell milliseconds: as many round trips are timed together. */
const TRIPS = 100;
const COMMAND = "Runtime.evaluate";
const PARAMS = { expression: "1 + 1" };

/**
 * What a program that speaks Chrome's own protocol waits for an answer, by way of a proxy as that of a sandbox, the
 * Worker and the session, beside what the Worker itself waits on a connection of its own to the same Chrome.
 */
export async function measureInside(): Promise<Row[]> {
  await using site = await serveBenchPage();
  await using suite = await startBrowserSuite([site.host]);
  await using person = suite.person();
  const origin = await person.openDoor();
  const made = await fetch(`${origin}/json/new?${encodeURIComponent(site.origin)}`, { method: "PUT" });
  const page = z.object({ webSocketDebuggerUrl: z.string() }).parse(await made.json());
  const program = await openSocket(page.webSocketDebuggerUrl);
  const own: number[] = [];
  const worker: number[] = [];
  for (let round = 0; round <= ROUNDS; round += 1) {
    const workerMs = await person.roundTrips(TRIPS);
    const startedMs = performance.now();
    for (let trip = 0; trip < TRIPS; trip += 1) {
      const { error } = await program.ask(COMMAND, PARAMS);
      if (error !== undefined) throw new Error(error.message);
    }
    const programMs = performance.now() - startedMs;
    // The first warms up.
    if (round === 0) continue;
    own.push(programMs / TRIPS);
    worker.push(workerMs / TRIPS);
  }
  program.close();
  const what = "CDP round trip of a program inside, against the Worker's own";
  return [{ ...versus(what, summarize(own), summarize(worker)), target: 1.5 }];
}

import { randomInt } from "node:crypto";
import { createServer } from "node:net";
import { LaunchProblem } from "./problem.ts";

/** Where a suite listens: this machine alone, under each of its loopback addresses. */
export interface Listening {
  readonly port: number;
  /** `[::1]` in brackets. */
  readonly addresses: readonly string[];
}

const ATTEMPTS = 50;
/** Below those that systems hand out by themselves: nothing takes one between the trial and the Worker's start. */
const QUIET_PORTS = [20_000, 32_000] as const;

/** Finds out that the port, or with 0 some port, is free on every loopback address that this machine has. */
export async function findPort(wanted: number): Promise<Listening> {
  for (let attempt = 1; attempt <= ATTEMPTS; attempt += 1) {
    const port = wanted === 0 ? randomInt(...QUIET_PORTS) : wanted;
    const ipv4 = await tryPort("127.0.0.1", port);
    const ipv6 = await tryPort("::1", port);
    if (ipv4 === "free" && ipv6 === "free") return { port, addresses: ["127.0.0.1", "[::1]"] };
    // Any other failure on ::1 means that this machine has none.
    if (ipv4 === "free" && ipv6 !== "EADDRINUSE") return { port, addresses: ["127.0.0.1"] };
    if (wanted !== 0) throw new LaunchProblem(refusal(wanted, ipv4 === "free" ? ipv6 : ipv4));
  }
  throw new LaunchProblem(refusal(wanted, "EADDRINUSE"));
}

function refusal(wanted: number, code: string): string {
  if (code === "EACCES") return `Port ${wanted} is kept for the administrator; choose one above 1023 with --port N.`;
  return wanted === 0
    ? "No port is free on this machine; end a program that listens, and run this again."
    : `Port ${wanted} is taken by another program; choose another with --port N, or --port 0 for any free one.`;
}

/** `free`, or the code of the error. */
async function tryPort(host: string, port: number): Promise<string> {
  const server = createServer();
  return await new Promise((resolve) => {
    server.once("error", (error) => {
      resolve("code" in error && typeof error.code === "string" ? error.code : "unknown");
    });
    server.listen({ host, port, exclusive: true }, () => server.close(() => resolve("free")));
  });
}

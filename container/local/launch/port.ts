import { createServer } from "node:net";
import { LaunchProblem } from "./problem.ts";

/** Where a suite listens: this machine alone, under each of its loopback addresses. */
export interface Listening {
  readonly port: number;
  /** `[::1]` in brackets. */
  readonly addresses: readonly string[];
}

const ATTEMPTS = 20;

/** Finds out that the port, or with 0 some port, is free on every loopback address that this machine has. */
export async function findPort(wanted: number): Promise<Listening> {
  for (let attempt = 1; attempt <= ATTEMPTS; attempt += 1) {
    const ipv4 = await tryPort("127.0.0.1", wanted);
    if (!ipv4.free) throw new LaunchProblem(refusal(wanted, ipv4.code));
    const ipv6 = await tryPort("::1", ipv4.port);
    if (ipv6.free) return { port: ipv4.port, addresses: ["127.0.0.1", "[::1]"] };
    if (ipv6.code !== "EADDRINUSE") return { port: ipv4.port, addresses: ["127.0.0.1"] };
    if (wanted !== 0) throw new LaunchProblem(refusal(wanted, ipv6.code));
  }
  throw new LaunchProblem(refusal(wanted, "EADDRINUSE"));
}

function refusal(wanted: number, code: string): string {
  if (code === "EACCES") return `Port ${wanted} is kept for the administrator; choose one above 1023 with --port N.`;
  return wanted === 0
    ? "No port is free on this machine; end a program that listens, and run this again."
    : `Port ${wanted} is taken by another program; choose another with --port N, or --port 0 for any free one.`;
}

type Trial = { readonly free: true; readonly port: number } | { readonly free: false; readonly code: string };

async function tryPort(host: string, port: number): Promise<Trial> {
  const server = createServer();
  return await new Promise((resolve) => {
    server.once("error", (error) => {
      resolve({ free: false, code: "code" in error && typeof error.code === "string" ? error.code : "unknown" });
    });
    server.listen({ host, port, exclusive: true }, () => {
      const address = server.address();
      server.close(() =>
        resolve({ free: true, port: typeof address === "object" && address !== null ? address.port : port }),
      );
    });
  });
}

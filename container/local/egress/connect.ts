import { lookup } from "node:dns/promises";
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { addressKind, normalizeAddress } from "../../../servers/shared/ip-address.ts";
import {
  checkAddress,
  checkTarget,
  isListed,
  normalizeHost,
  type NetworkPolicy,
} from "../../../servers/shared/network-policy.ts";

export interface EgressRules {
  readonly policy: NetworkPolicy;
  /** `browser`: all that is public, and `allowedHosts`. `sandbox`: `allowedHosts` alone. */
  readonly mode: "browser" | "sandbox";
  /** Every address of a name. */
  readonly resolve: (name: string) => Promise<readonly string[]>;
  /** Opens a connection to a checked address. */
  readonly dial: (address: string, port: number) => Socket;
}

export type Connection =
  | { readonly outcome: "connected"; readonly socket: Socket }
  | { readonly outcome: "refused" | "unreachable"; readonly reason: string };

const RESOLVE_TIMEOUT_MS = 10_000;
const DIAL_TIMEOUT_MS = 8_000;
const MAX_DIALS = 4;

/** The system's resolver, `/etc/hosts` included. */
export async function resolveWithSystem(name: string): Promise<readonly string[]> {
  return (await lookup(name, { all: true })).map(({ address }) => address);
}

export function dialTcp(address: string, port: number): Socket {
  return connect({ host: address, port, noDelay: true });
}

/**
 * Connects to a host that the policy opens. The name is resolved once, every address that it has is checked, and
 * the connection goes to one of exactly these: what the name answers a moment later does not matter. One closed
 * address refuses the whole name.
 */
export async function connectTo(hostname: string, port: number, rules: EgressRules): Promise<Connection> {
  const host = normalizeHost(hostname);
  if (host === undefined) return refused("That is not a host and a port; give one such as example.com:443.");
  if (rules.mode === "sandbox" && !isListed(host, port, rules.policy)) {
    return refused(
      `The sandbox may not reach ${host}:${port}; to open it, start Pincer with --allow-host ${host}:${port}.`,
    );
  }
  const target = checkTarget(host, port, rules.policy);
  if (!target.allowed) return refused(target.reason);
  const addresses = await addressesOf(host, rules);
  for (const address of addresses) {
    const verdict = checkAddress(address, port, rules.policy, host);
    if (!verdict.allowed) return refused(verdict.reason);
  }
  return dialFirst(host, addresses, port, rules);
}

/** Connects to the suite itself, for a share link whose path the caller has checked. */
export async function connectToSuite(rules: EgressRules): Promise<Connection> {
  const suite = new URL(rules.policy.suiteOrigin);
  const host = normalizeHost(suite.hostname);
  const addresses = host === undefined ? [] : await addressesOf(host, rules);
  const loopback = addresses.filter((address) => addressKind(normalizeAddress(address) ?? "0.0.0.0") === "loopback");
  return dialFirst(suite.hostname, loopback, Number(suite.port === "" ? 80 : suite.port), rules);
}

async function addressesOf(host: string, rules: EgressRules): Promise<readonly string[]> {
  if (normalizeAddress(host) !== undefined) return [host];
  const timeout = AbortSignal.timeout(RESOLVE_TIMEOUT_MS);
  const expired = once(timeout, "abort").then(() => []);
  return Promise.race([rules.resolve(host).catch(() => []), expired]);
}

async function dialFirst(
  host: string,
  addresses: readonly string[],
  port: number,
  rules: EgressRules,
): Promise<Connection> {
  if (addresses.length === 0) return unreachable(`${host} has no address; check its spelling.`);
  for (const address of addresses.slice(0, MAX_DIALS)) {
    const socket = await dialOne(address, port, rules);
    if (socket !== undefined) return { outcome: "connected", socket };
  }
  return unreachable(`${host}:${port} does not answer; check that it is running.`);
}

async function dialOne(address: string, port: number, rules: EgressRules): Promise<Socket | undefined> {
  const socket = rules.dial(address, port);
  // Whoever gets the socket learns of its failure by `close`; between two listeners nobody may be there to catch it.
  socket.on("error", () => {});
  try {
    await once(socket, "connect", { signal: AbortSignal.timeout(DIAL_TIMEOUT_MS) });
    return socket;
  } catch {
    socket.destroy();
    return undefined;
  }
}

function refused(reason: string): Connection {
  return { outcome: "refused", reason };
}

function unreachable(reason: string): Connection {
  return { outcome: "unreachable", reason };
}

import type { Socket } from "node:net";
import type { NetworkPolicy } from "../../servers/shared/network-policy.ts";

export interface EgressOptions extends NetworkPolicy {
  /** `browser`: all that is public, and `allowedHosts`. `sandbox`: `allowedHosts` alone. */
  readonly mode: "browser" | "sandbox";
  /**
   * Where the proxy listens: a unix socket in a folder of its user alone, so that nobody else on the machine can use
   * it. At most 100 bytes long. It is mounted into the sandbox that may use it.
   */
  readonly socketPath: string;
  /** One line per request that was refused or failed: method, host, port and verdict; never a path or query. */
  readonly log: (line: string) => void;
  /** Every address of a name; the system's resolver unless a test says otherwise. */
  readonly resolve?: (name: string) => Promise<readonly string[]>;
  /** Opens a connection to a checked address. */
  readonly dial?: (address: string, port: number) => Socket;
}

export interface EgressProxy {
  readonly socketPath: string;
  /** Ends every connection and removes the socket. */
  close(): Promise<void>;
}

/**
 * An HTTP forward proxy (absolute-form requests, `CONNECT`, WebSockets through either) that resolves names itself,
 * checks every address and connects to exactly what it checked, so that DNS rebinding loses.
 */
export async function startEgressProxy(_options: EgressOptions): Promise<EgressProxy> {
  throw new Error("being written");
}

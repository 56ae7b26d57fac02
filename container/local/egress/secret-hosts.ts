import { once } from "node:events";
import type { IncomingMessage } from "node:http";
import { isIP, type Socket } from "node:net";
import type { Duplex } from "node:stream";
import { connect, createSecureContext, getCACertificates, type SecureContext, TLSSocket } from "node:tls";
import { normalizeHost, parseHostAndPort } from "../../../servers/shared/network-policy.ts";
import { findHost, type HostSecrets } from "../../../servers/shared/sandbox-secrets.ts";
import { connectTo, type Connection, type EgressRules } from "./connect.ts";

/**
 * Hosts whose requests carry secrets. The proxy ends the sandbox's TLS for them itself, adds the headers, and speaks
 * TLS of its own to the host that `CONNECT` named, which must prove who it is.
 */
export interface SecretHosts {
  /** PEM: the authorities that this machine trusts, and the one that answers for these hosts inside. */
  readonly caBundle: string;
  find(host: string, port: number): SecretHost | undefined;
  /**
   * Ends the client's TLS; `head` is what of it has arrived. A client that asks for another host, or is silent, gets
   * no answer.
   */
  terminate(client: Duplex, head: Uint8Array, secretHost: SecretHost, onFailed: () => void): TLSSocket;
  connect(secretHost: SecretHost, rules: EgressRules): Promise<Connection>;
}

export interface SecretHost extends HostSecrets {
  /** Host and, where it is not 443, port: what a request's `Host` says. */
  readonly authority: string;
  readonly identity: SecureContext;
}

const HTTP_ONLY = ["http/1.1"];

/** `roots` are the authorities that a host's certificate may come from, PEM. */
export async function prepareSecretHosts(
  secrets: readonly HostSecrets[],
  {
    roots = machineRoots(),
    handshakeMs,
  }: { readonly roots?: readonly string[] | undefined; readonly handshakeMs: number },
): Promise<SecretHosts> {
  // It takes long to load, which nobody waits for who has no secrets.
  const { createAuthority } = await import("./authority.ts");
  const authority = await createAuthority("Pincer egress proxy");
  const hosts = await Promise.all(
    secrets.map(async (each): Promise<SecretHost> => {
      const name = each.host.includes(":") ? `[${each.host}]` : each.host;
      return {
        ...each,
        authority: each.port === 443 ? name : `${name}:${each.port}`,
        identity: createSecureContext(await authority.issue(each.host)),
      };
    }),
  );
  const trust = createSecureContext({ ca: [...roots] });
  return {
    caBundle: [...roots, authority.certificate].map((pem) => `${pem.trim()}\n`).join(""),
    find: (host, port) => findHost(host, port, hosts),
    terminate: (client, head, secretHost, onFailed) => {
      const socket = terminateTls(client, head, secretHost);
      let isOpen = false;
      const timer = setTimeout(() => socket.destroy(), handshakeMs);
      socket.once("secure", () => {
        isOpen = true;
        clearTimeout(timer);
      });
      socket.once("close", () => {
        clearTimeout(timer);
        if (!isOpen) onFailed();
      });
      return socket;
    },
    connect: async (secretHost, rules) => {
      const connection = await connectTo(secretHost.host, secretHost.port, rules);
      if (connection.outcome !== "connected") return connection;
      return await startTls(connection.socket, secretHost, { trust, handshakeMs });
    },
  };
}

function terminateTls(client: Duplex, head: Uint8Array, { host, identity }: SecretHost): TLSSocket {
  client.unshift(head);
  return new TLSSocket(client, {
    isServer: true,
    secureContext: identity,
    ALPNProtocols: HTTP_ONLY,
    SNICallback: (name, done) => done(normalizeHost(name) === host ? null : new Error("Another host was asked for.")),
  });
}

/**
 * Why a request that came through a tunnel to that host may not carry its secrets: it says that it is for another
 * host, its body may end elsewhere than this proxy believes, or the answer would show its headers.
 */
export function refusalInTunnel(request: IncomingMessage, { host, port, authority }: SecretHost): string | undefined {
  const named = request.headersDistinct["host"] ?? [];
  const asked = parseHostAndPort(named[0] ?? "");
  if (named.length !== 1 || asked?.host !== host || (asked.port ?? 443) !== port) {
    return `This tunnel leads to ${authority} alone; name it in the Host header.`;
  }
  if (request.url?.startsWith("/") !== true) return `This tunnel leads to ${authority} itself; ask it for a path.`;
  const encoding = request.headers["transfer-encoding"];
  if (encoding !== undefined && encoding.toLowerCase() !== "chunked") return "A body may be chunked and nothing else.";
  return request.method === "TRACE" ? "TRACE shows what was sent; use GET." : undefined;
}

interface Handshake {
  readonly trust: SecureContext;
  readonly handshakeMs: number;
}

async function startTls(
  underneath: Socket,
  { host, authority }: SecretHost,
  { trust, handshakeMs }: Handshake,
): Promise<Connection> {
  const socket = connect({
    socket: underneath,
    host,
    servername: isIP(host) === 0 ? host : "",
    secureContext: trust,
    rejectUnauthorized: true,
    ALPNProtocols: HTTP_ONLY,
  });
  socket.on("error", () => {});
  try {
    await once(socket, "secureConnect", { signal: AbortSignal.timeout(handshakeMs) });
    return { outcome: "connected", socket };
  } catch {
    socket.destroy();
    underneath.destroy();
    return {
      outcome: "unreachable",
      reason: `${authority} did not prove who it is, so that nothing was sent; check its certificate.`,
    };
  }
}

/** Of Node, of NODE_EXTRA_CA_CERTS and of the system. */
function machineRoots(): readonly string[] {
  return [...new Set([...getCACertificates("default"), ...getCACertificates("system")].map((pem) => pem.trim()))];
}

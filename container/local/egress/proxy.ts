import { once } from "node:events";
import { chmod, mkdir, rm } from "node:fs/promises";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { Socket } from "node:net";
import { dirname } from "node:path";
import type { Duplex } from "node:stream";
import { insideHost } from "../../../servers/shared/inside-hosts.ts";
import { checkUrl, isLocalPreview, isSuite, type NetworkPolicy } from "../../../servers/shared/network-policy.ts";
import type { HostSecrets } from "../../../servers/shared/sandbox-secrets.ts";
import { connectTo, connectToSuite, dialTcp, resolveWithSystem, type Connection, type EgressRules } from "./connect.ts";
import { answer, forward, forwardUpgrade, MAX_HEADER_BYTES } from "./forward.ts";
import { type Sender, insideTarget } from "./inside.ts";
import { pipeBothWays } from "./pipe-both-ways.ts";
import { RequestTurns } from "./request-turns.ts";
import { MAX_CONNECTIONS, createSandboxDoor } from "./sandbox-door.ts";
import { type SecretHost, type SecretHosts, prepareSecretHosts, refusalInTunnel } from "./secret-hosts.ts";

export interface EgressOptions extends NetworkPolicy, Pick<EgressRules, "mode"> {
  /**
   * Where the proxy listens: a unix socket in a folder of its user alone, so that nobody else on the machine can use
   * it. At most 100 bytes long. It is mounted into the browser's sandbox; what other sandboxes have comes as
   * `createSandboxDoor` says.
   */
  readonly socketPath: string;
  /** One line for each request that was refused or failed: method, host, port and verdict; never a path or query. */
  readonly log: (line: string) => void;
  /** What the sandbox's requests carry; the browser's never carry any. */
  readonly secrets?: readonly HostSecrets[];
  /** What the Worker knows requests from sandboxes by; without it the names that exist only inside lead nowhere. */
  readonly insideSecret?: string;
  /** PEM of the authorities that may vouch for hosts with secrets: this machine's unless a test says otherwise. */
  readonly roots?: readonly string[];
  /** The system's resolver unless a test says otherwise. */
  readonly resolve?: EgressRules["resolve"];
  readonly dial?: EgressRules["dial"];
  readonly timeouts?: Partial<EgressTimeouts>;
}

export interface EgressTimeouts {
  /** For a request's head to arrive. */
  readonly headersMs: number;
  /** Without a byte in either direction: a tunnel, a WebSocket, an answer that is awaited. */
  readonly idleMs: number;
}

export interface EgressProxy {
  readonly socketPath: string;
  /** PEM: what programs must trust to reach hosts with secrets; nothing where there are none. */
  readonly caBundle?: string;
  /** Ends every connection and removes the socket. */
  close(): Promise<void>;
}

const MAX_SOCKET_PATH_BYTES = 100;

/**
 * An HTTP forward proxy (absolute-form requests, `CONNECT`, WebSockets through either) that resolves names itself,
 * checks every address and connects to exactly what it checked, so that DNS rebinding loses. It keeps nothing, and
 * reads no TLS but that of the sandbox to hosts with secrets.
 */
export async function startEgressProxy(options: EgressOptions): Promise<EgressProxy> {
  const { socketPath, log, mode } = options;
  if (new TextEncoder().encode(socketPath).length > MAX_SOCKET_PATH_BYTES) {
    throw new Error(
      `The egress socket's path is longer than ${MAX_SOCKET_PATH_BYTES} bytes; choose a shorter --data folder.`,
    );
  }
  const timeouts: EgressTimeouts = { headersMs: 10_000, idleMs: 600_000, ...options.timeouts };
  const rules: EgressRules = {
    policy: { allowedHosts: options.allowedHosts, suiteOrigin: options.suiteOrigin },
    mode,
    resolve: options.resolve ?? resolveWithSystem,
    dial: options.dial ?? dialTcp,
  };
  const { secrets = [], roots, insideSecret } = options;
  const secretHosts =
    mode === "sandbox" && secrets.length > 0
      ? await prepareSecretHosts(secrets, { roots, handshakeMs: timeouts.headersMs })
      : undefined;
  /** What has come out of a tunnel to a host with secrets, and which host that is. */
  const tunnels = new WeakMap<Duplex, SecretHost>();
  /** What has come out of a tunnel to a name that exists only inside: each one more would leave its listeners behind. */
  const insideTunnels = new WeakSet<Duplex>();
  /** What has come out of a tunnel to a preview of this suite, and its host: WebSockets of the browser come so. */
  const previewTunnels = new WeakMap<Duplex, string>();
  /** Which sandbox a connection comes from. */
  const senders = new WeakMap<Duplex, Sender>();
  const open = new Set<Duplex>();
  const server = createServer({
    maxHeaderSize: MAX_HEADER_BYTES,
    headersTimeout: timeouts.headersMs,
    connectionsCheckingInterval: Math.min(1_000, timeouts.headersMs),
    shouldUpgradeCallback: (request) => request.headers.upgrade?.toLowerCase() === "websocket",
  });
  const track = (socket: Duplex): void => {
    open.add(socket);
    socket.once("close", () => open.delete(socket));
  };
  server.on("connection", track);
  const admit = (socket: Socket, sender: Sender): void => {
    senders.set(socket, sender);
    server.emit("connection", socket);
  };
  const door = mode === "sandbox" ? createSandboxDoor({ lineMs: timeouts.headersMs, track, admit }) : server;
  // A server that is handed its connections would not look after slow heads.
  if (door !== server) server.emit("listening");
  door.maxConnections = MAX_CONNECTIONS;

  const note = (method: string, target: string, verdict: string) =>
    log(`egress ${mode}: ${verdict} ${method} ${target}`);

  const findRoute = async (request: IncomingMessage): Promise<Route> => {
    const secretHost = tunnels.get(request.socket);
    if (secretHosts !== undefined && secretHost !== undefined) {
      return await routeInTunnel(request, secretHost, secretHosts, rules);
    }
    const sender = senders.get(request.socket);
    const inside =
      sender === undefined || insideSecret === undefined ? undefined : insideTarget(request, sender, insideSecret);
    if (inside === undefined)
      return await routeOf(askedUrl(request, previewTunnels.get(request.socket)), request, rules);
    return { ...inside, target: inside.host, connection: await connectToSuite(rules) };
  };

  const turns = new RequestTurns();

  const onRequest = async (request: IncomingMessage, response: ServerResponse) => {
    if (!(await turns.take(request, response))) return;
    const route = await findRoute(request);
    if (route.connection.outcome === "connected") {
      forward(request, response, { ...route, socket: route.connection.socket, idleMs: timeouts.idleMs });
      return;
    }
    note(request.method ?? "", route.target, route.connection.outcome);
    const headers = { "content-type": "text/plain; charset=utf-8", "cache-control": "no-store" };
    response.writeHead(statusFor(route.connection), headers).end(`${route.connection.reason}\n`);
    request.resume();
  };

  const onConnect = async (request: IncomingMessage, client: Duplex, head: Uint8Array) => {
    if (tunnels.has(client) || insideTunnels.has(client) || previewTunnels.has(client)) {
      answer(client, 403, "There is no proxy in a tunnel; open another one.");
      return;
    }
    const [, host = "", port = ""] = /^(.+):(\d{1,5})$/.exec(request.url ?? "") ?? [];
    if (insideSecret !== undefined && senders.has(client) && insideHost(host, Number(port)) !== undefined) {
      client.write("HTTP/1.1 200 Connection Established\r\n\r\n");
      client.unshift(head);
      insideTunnels.add(client);
      // What comes out of the tunnel may ask for no more than what comes without one.
      server.emit("connection", client);
      return;
    }
    if (mode === "browser" && isLocalPreview(host, Number(port), rules.policy)) {
      client.write("HTTP/1.1 200 Connection Established\r\n\r\n");
      client.unshift(head);
      previewTunnels.set(client, `${host}:${port}`);
      server.emit("connection", client);
      return;
    }
    const secretHost = secretHosts?.find(host, Number(port));
    if (secretHosts !== undefined && secretHost !== undefined) {
      client.write("HTTP/1.1 200 Connection Established\r\n\r\n");
      const onFailed = () => note("TLS", secretHost.authority, "failed");
      const tunnel = secretHosts.terminate(client, head, secretHost, onFailed);
      tunnels.set(tunnel, secretHost);
      server.emit("connection", tunnel);
      return;
    }
    const connection = await connectTo(host, Number(port), rules);
    if (connection.outcome === "connected") {
      client.write("HTTP/1.1 200 Connection Established\r\n\r\n");
      connection.socket.write(head);
      pipeBothWays(client, connection.socket, timeouts.idleMs);
      return;
    }
    note("CONNECT", printable(request.url), connection.outcome);
    answer(client, statusFor(connection), connection.reason);
  };

  const onUpgrade = async (request: IncomingMessage, client: Duplex, head: Uint8Array) => {
    const route = await findRoute(request);
    if (route.connection.outcome === "connected") {
      forwardUpgrade(request, client, head, { ...route, socket: route.connection.socket, idleMs: timeouts.idleMs });
      return;
    }
    note("upgrade", route.target, route.connection.outcome);
    answer(client, statusFor(route.connection), route.connection.reason);
  };

  // A defect of ours costs one connection, not the proxy.
  server.on("request", (request, response) => {
    onRequest(request, response).catch(() => response.destroy());
  });
  server.on("connect", (request, client, head) => {
    client.on("error", () => client.destroy());
    onConnect(request, client, head).catch(() => client.destroy());
  });
  server.on("upgrade", (request, client, head) => {
    client.on("error", () => client.destroy());
    onUpgrade(request, client, head).catch(() => client.destroy());
  });
  server.on("clientError", (error: NodeJS.ErrnoException, client) => {
    const status = error.code === "HPE_HEADER_OVERFLOW" ? 431 : error.code === "ERR_HTTP_REQUEST_TIMEOUT" ? 408 : 400;
    answer(client, status, "This is not a request that a proxy understands.");
  });

  await mkdir(dirname(socketPath), { recursive: true, mode: 0o700 });
  await rm(socketPath, { force: true });
  door.listen(socketPath);
  await once(door, "listening");
  await chmod(socketPath, 0o600);

  return {
    socketPath,
    ...(secretHosts !== undefined && { caBundle: secretHosts.caBundle }),
    close: async () => {
      const closed = once(door, "close");
      door.close();
      server.close();
      for (const socket of open) socket.destroy();
      await closed;
    },
  };
}

function statusFor(failed: Exclude<Connection, { readonly outcome: "connected" }>): number {
  return failed.outcome === "refused" ? 403 : 502;
}

interface Route {
  /** Host and port, fit for the log. */
  readonly target: string;
  /** What goes into `Host`. */
  readonly host: string;
  /** Path and query as the URL parser wrote them: what was checked is what is asked for. */
  readonly path: string;
  /** The host's secrets. */
  readonly added?: Readonly<Record<string, string>>;
  readonly connection: Connection;
}

/** What is asked for; in a tunnel to a preview a path of that preview, and nothing else. */
function askedUrl({ url: asked = "", headersDistinct }: IncomingMessage, preview: string | undefined): string {
  if (preview === undefined) return asked;
  const isOfPreview = asked.startsWith("/") && headersDistinct["host"]?.join(",") === preview;
  return isOfPreview ? `http://${preview}${asked}` : "";
}

async function routeOf(asked: string, request: IncomingMessage, rules: EgressRules): Promise<Route> {
  const url = URL.canParse(asked) ? new URL(asked) : undefined;
  const refuse = (reason: string): Route => ({
    target: url === undefined ? printable(asked) : url.host,
    host: "",
    path: "",
    connection: { outcome: "refused", reason },
  });
  if (url === undefined || !["http:", "ws:"].includes(url.protocol)) {
    return refuse("This is a proxy; ask it for http:// URLs, and for everything else with CONNECT.");
  }
  const verdict = checkUrl(url.href, rules.policy);
  if (!verdict.allowed) return refuse(verdict.reason);
  const path = `${url.pathname}${url.search}`;
  const port = url.port === "" ? 80 : Number(url.port);
  if (!isSuite(url.hostname, port, rules.policy)) {
    return { target: url.host, host: url.host, path, connection: await connectTo(url.hostname, port, rules) };
  }
  if (rules.mode === "browser" && isLocalPreview(url.hostname, port, rules.policy)) {
    return { target: url.host, host: url.host, path, connection: await connectToSuite(rules) };
  }
  const isRead = ["GET", "HEAD"].includes(request.method ?? "") && request.headers.upgrade === undefined;
  if (rules.mode !== "browser" || !isRead) return refuse("Share links can only be read, and only by the browser.");
  const { host } = new URL(rules.policy.suiteOrigin);
  return { target: host, host, path, connection: await connectToSuite(rules) };
}

async function routeInTunnel(
  request: IncomingMessage,
  secretHost: SecretHost,
  secretHosts: SecretHosts,
  rules: EgressRules,
): Promise<Route> {
  const { authority: host, headers: added } = secretHost;
  const reason = refusalInTunnel(request, secretHost);
  const connection: Connection =
    reason === undefined ? await secretHosts.connect(secretHost, rules) : { outcome: "refused", reason };
  return { target: host, host, path: request.url ?? "/", added, connection };
}

/** Host and port where the target is one; nothing that could forge a log line. */
function printable(target: string | undefined): string {
  return target !== undefined && /^[\w.:[\]-]{1,200}$/.test(target) ? target : "an unreadable target";
}

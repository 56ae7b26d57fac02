import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import {
  createServer,
  request,
  type ClientRequest,
  type IncomingMessage,
  type RequestListener,
  type Server,
} from "node:http";
import { createServer as createTlsServer } from "node:https";
import { connect, type AddressInfo, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startEgressProxy, type EgressOptions, type EgressProxy } from "../../container/local/egress/proxy.ts";

/** A server on a free loopback port that remembers what it was asked. */
export interface LoopbackServer extends AsyncDisposable {
  readonly server: Server;
  readonly port: number;
  readonly seen: IncomingMessage[];
}

/** By https where there is a certificate. */
export async function serve(
  listener: RequestListener,
  certificate?: { readonly cert: string; readonly key: string },
  address = "127.0.0.1",
): Promise<LoopbackServer> {
  const seen: IncomingMessage[] = [];
  const take: RequestListener = (incoming, response) => {
    seen.push(incoming);
    listener(incoming, response);
  };
  const server = certificate === undefined ? createServer(take) : createTlsServer(certificate, take);
  server.listen(0, address);
  await once(server, "listening");
  return {
    server,
    port: portOf(server.address()),
    seen,
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      server.close();
    },
  };
}

/** One that nobody listens at a moment later, for a client that has to be told where to listen. */
export async function freePort(): Promise<number> {
  await using server = await serve((_request, response) => response.end());
  return server.port;
}

export function portOf(address: string | AddressInfo | null): number {
  if (address === null || typeof address === "string") throw new Error("The server listens on no port.");
  return address.port;
}

/** With what each connection to it has to begin. */
type TestedProxy = EgressProxy & { readonly beginning: string };

/** A running proxy whose outside world is a table of names and a table of addresses. */
export interface TestProxy extends AsyncDisposable {
  readonly proxy: TestedProxy;
  readonly resolved: string[];
  /** Every `address:port` that the proxy connected to. */
  readonly dialled: string[];
  readonly logged: string[];
}

export async function startTestProxy(
  options: Partial<EgressOptions> & {
    /** The answers that a name gives, one list a query; the last one stays. */
    readonly names?: Readonly<Record<string, readonly (readonly string[])[]>>;
    /** Which loopback port stands for an `address:port` of the world outside. */
    readonly world?: Readonly<Record<string, number>>;
  },
): Promise<TestProxy> {
  const { names = {}, world = {}, ...given } = options;
  const folder = await mkdtemp(join(tmpdir(), "egress-"));
  const resolved: string[] = [];
  const dialled: string[] = [];
  const logged: string[] = [];
  const proxy = await startEgressProxy({
    allowedHosts: [],
    suiteOrigin: "http://localhost:8717",
    mode: "browser",
    socketPath: join(folder, "egress.sock"),
    log: (line) => logged.push(line),
    resolve: async (name) => {
      const answers = names[name] ?? [];
      const answer = answers[Math.min(resolved.filter((earlier) => earlier === name).length, answers.length - 1)];
      resolved.push(name);
      if (answer === undefined) throw new Error(`ENOTFOUND ${name}`);
      return answer;
    },
    dial: (address, port) => {
      dialled.push(`${address}:${port}`);
      return connect({ host: "127.0.0.1", port: world[`${address}:${port}`] ?? port });
    },
    ...given,
  });
  return {
    proxy: { ...proxy, beginning: given.mode === "sandbox" ? `${TESTED_SANDBOX} 80\n` : "" },
    resolved,
    dialled,
    logged,
    [Symbol.asyncDispose]: async () => {
      await proxy.close();
      await rm(folder, { recursive: true });
    },
  };
}

export interface ProxyAnswer {
  readonly status: number;
  readonly headers: IncomingMessage["headers"];
  readonly body: string;
}

/** The sandbox that connections are said to come from. */
const TESTED_SANDBOX = "owner-main";

/** As the runtime connects to it where it is for sandboxes. */
export function connectToProxy({ socketPath, beginning }: TestedProxy): Socket {
  const socket = connect(socketPath);
  if (beginning !== "") socket.write(beginning);
  return socket;
}

/** Asks the proxy for an absolute URL. */
export async function askProxy(
  proxy: TestedProxy,
  url: string,
  {
    method = "GET",
    headers = {},
    body = "",
  }: { method?: string; headers?: Record<string, string>; body?: string } = {},
): Promise<ProxyAnswer> {
  const asked = request({
    createConnection: () => connectToProxy(proxy),
    path: url,
    method,
    headers: { host: "ignored.test", ...headers },
  });
  asked.end(body);
  return await answerTo(asked);
}

export async function answerTo(asked: ClientRequest): Promise<ProxyAnswer> {
  const response = await new Promise<IncomingMessage>((resolve, reject) => {
    asked.once("response", resolve).once("error", reject);
  });
  return { status: response.statusCode ?? 0, headers: response.headers, body: await textOf(response) };
}

/** Opens a tunnel; `head` is the proxy's answer up to its empty line, and what else it sent. */
export async function openTunnel(
  proxy: TestedProxy,
  target: string,
): Promise<{ readonly socket: Socket; readonly head: string }> {
  const socket = connectToProxy(proxy);
  socket.write(`CONNECT ${target} HTTP/1.1\r\nHost: ${target}\r\n\r\n`);
  return { socket, head: await readUntil(socket, "\r\n\r\n") };
}

/** What a socket says until `mark` has come or it ends. */
export async function readUntil(socket: Socket, mark: string): Promise<string> {
  let text = "";
  const take = (chunk: unknown) => {
    text += String(chunk);
    if (text.includes(mark)) socket.emit("marked");
  };
  socket.on("data", take);
  await Promise.race([once(socket, "marked"), once(socket, "close")]);
  socket.off("data", take);
  return text;
}

async function textOf(response: IncomingMessage): Promise<string> {
  let text = "";
  for await (const chunk of response) text += String(chunk);
  return text;
}

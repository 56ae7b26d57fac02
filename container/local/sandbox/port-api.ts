import { type ClientRequest, type IncomingMessage, type ServerResponse, request as httpRequest } from "node:http";
import type { Duplex } from "node:stream";
import { pipeline } from "node:stream/promises";
import { VISITORS } from "../../../servers/sandbox/local-ports.ts";
import { MAX_HEAD_BYTES, PORT_STATE, PORT_UNTIL, type PortState } from "../../../servers/sandbox/port-answer.ts";
import { AgentRefusal } from "./agent-link.ts";
import { sendProblem } from "./http.ts";
import type { LocalSandbox } from "./sandbox.ts";
import type { Sandboxes } from "./sandboxes.ts";

/** A request for what listens inside: whose sandbox, which port, and the path that it is asked for. */
export interface PortTarget {
  readonly id: string;
  readonly port: number;
  readonly path: string;
}

const MAX_TIMER_MS = 2 ** 31 - 1;

export function readPortTarget(url = ""): PortTarget | undefined {
  const [, id, port, path] = /^\/sandboxes\/([a-z0-9][\w-]{0,127})\/ports\/(\d{1,5})(\/.*)$/.exec(url) ?? [];
  return id === undefined || path === undefined ? undefined : { id, port: Number(port), path };
}

/** Passes a request on that has passed the gate, and its answer back. */
export async function servePort(
  request: IncomingMessage,
  response: ServerResponse,
  target: PortTarget,
  sandboxes: Sandboxes,
): Promise<void> {
  const timer = setTimeout(() => response.destroy(), millisecondsUntil(request));
  try {
    const sandbox = await sandboxes.get(target.id);
    await sandbox.use(async () => {
      const inner = await connect(request, target, sandbox);
      if (typeof inner === "string") return void response.writeHead(502, { [PORT_STATE]: inner }).end();
      response.on("close", () => inner.destroy());
      request.on("error", () => inner.destroy());
      request.pipe(inner);
      const answer = await answerOf(inner);
      if (answer === undefined || !beginAnswer(response, answer)) {
        return void response.writeHead(502, "Bad Gateway", { [PORT_STATE]: "garbled" }).end();
      }
      await pipeline(answer, response).catch(() => response.destroy());
      inner.destroy();
    });
  } catch (error) {
    sendProblem(response, error);
  } finally {
    clearTimeout(timer);
    // What is still on its way of a request that was answered early would stand in the way of the next one.
    request.unpipe().resume();
  }
}

/** The same where the visitor wants a WebSocket. */
export async function upgradePort(
  request: IncomingMessage,
  socket: Duplex,
  target: PortTarget,
  sandboxes: Sandboxes,
): Promise<void> {
  socket.on("error", () => socket.destroy());
  try {
    const sandbox = await sandboxes.get(target.id);
    await sandbox.use(async () => {
      const inner = await connect(request, target, sandbox);
      if (typeof inner === "string") return void socket.end(headOf(502, "Bad Gateway", [PORT_STATE, inner]));
      socket.on("close", () => inner.destroy());
      inner.end();
      const upgraded = await upgradeOf(inner);
      if (upgraded === undefined) return void socket.end(headOf(502, "Bad Gateway", [PORT_STATE, "garbled"]));
      const { answer, connection } = upgraded;
      socket.write(
        headOf(answer.statusCode ?? 502, answer.statusMessage ?? "", headersOf(answer, upgraded.isUpgraded)),
      );
      const timer = setTimeout(() => socket.destroy(), millisecondsUntil(request));
      await (
        connection === undefined
          ? pipeline(answer, socket)
          : Promise.all([pipeline(socket, connection), pipeline(connection, socket)])
      ).catch(() => undefined);
      clearTimeout(timer);
      for (const one of [socket, connection, inner]) one?.destroy();
    });
  } catch {
    socket.destroy();
  }
}

/** A request to what listens, without its body; or why there is none. */
async function connect(
  request: IncomingMessage,
  { port, path }: PortTarget,
  sandbox: LocalSandbox,
): Promise<ClientRequest | Exclude<PortState, "answered">> {
  const connection = await sandbox.dial(port).catch((error: unknown) => {
    if (error instanceof AgentRefusal) return error.code === "EMFILE" ? ("busy" as const) : ("closed" as const);
    throw error;
  });
  if (connection === undefined) return "asleep";
  if (typeof connection === "string") return connection;
  const inner = httpRequest({
    createConnection: () => connection,
    method: request.method ?? "GET",
    path,
    headers: headersFor(request, port),
    maxHeaderSize: MAX_HEAD_BYTES,
  });
  // Whoever waits for its answer hears of it; after that the answer tells.
  inner.on("error", () => undefined);
  // A request that became a WebSocket is over, and its connection is not.
  let isUpgraded = false;
  inner.prependListener("upgrade", () => (isUpgraded = true));
  inner.on("close", () => isUpgraded || connection.destroy());
  return inner;
}

/** Nothing where what listens speaks no HTTP, or ends before it has answered. */
async function answerOf(inner: ClientRequest): Promise<IncomingMessage | undefined> {
  return await new Promise((resolve) => {
    inner.once("response", resolve);
    inner.once("upgrade", (_answer, connection) => {
      connection.destroy();
      resolve(undefined);
    });
    inner.once("close", () => resolve(undefined));
  });
}

/** Whether it could: Node reads a status and bytes that it does not write. */
function beginAnswer(response: ServerResponse, answer: IncomingMessage): boolean {
  try {
    response.writeHead(answer.statusCode ?? 0, answer.statusMessage ?? "", headersOf(answer));
  } catch {
    return false;
  }
  response.flushHeaders();
  return true;
}

interface Upgraded {
  readonly answer: IncomingMessage;
  readonly isUpgraded: boolean;
  readonly connection?: Duplex;
}

async function upgradeOf(inner: ClientRequest): Promise<Upgraded | undefined> {
  return await new Promise((resolve) => {
    inner.once("upgrade", (answer, connection, head) => {
      if (head.length > 0) connection.unshift(head);
      resolve({ answer, connection, isUpgraded: true });
    });
    inner.once("response", (answer) => resolve({ answer, isUpgraded: false }));
    inner.once("close", () => resolve(undefined));
  });
}

const OUR_HEADERS: ReadonlySet<string> = new Set(["host", "authorization", "origin", PORT_UNTIL, "connection"]);

/**
 * As the visitor sent them: what would mean something to the runtime itself comes under other names. To close is ours:
 * a server that is asked to does it while it is still sent a body that it has refused, and its answer is lost.
 */
function headersFor({ rawHeaders, headers: { upgrade } }: IncomingMessage, port: number): readonly string[] {
  const headers = ["Host", `localhost:${port}`, "Connection", upgrade === undefined ? "keep-alive" : "Upgrade"];
  for (let at = 0; at + 1 < rawHeaders.length; at += 2) {
    const [name = "", value = ""] = rawHeaders.slice(at, at + 2);
    const lower = name.toLowerCase();
    if (lower.startsWith(VISITORS)) headers.push(name.slice(VISITORS.length), value);
    else if (!OUR_HEADERS.has(lower)) headers.push(name, value);
  }
  return headers;
}

const HOP_BY_HOP: ReadonlySet<string> = new Set([
  ...["connection", "keep-alive", "proxy-connection", "proxy-authenticate", "te", "trailer", "transfer-encoding"],
  PORT_STATE,
]);

function headersOf({ rawHeaders }: IncomingMessage, isUpgraded = false): string[] {
  const headers: string[] = [PORT_STATE, "answered", ...(isUpgraded ? ["Connection", "Upgrade"] : [])];
  for (let at = 0; at + 1 < rawHeaders.length; at += 2) {
    const [name = "", value = ""] = rawHeaders.slice(at, at + 2);
    if (!HOP_BY_HOP.has(name.toLowerCase()) && (isUpgraded || name.toLowerCase() !== "upgrade"))
      headers.push(name, value);
  }
  return headers;
}

function headOf(status: number, message: string, headers: readonly string[]): Uint8Array {
  const lines = [`HTTP/1.1 ${status} ${message}`];
  for (let at = 0; at + 1 < headers.length; at += 2) lines.push(`${headers[at]}: ${headers[at + 1]}`);
  if (status !== 101) lines.push("Connection: close");
  return Uint8Array.from(`${lines.join("\r\n")}\r\n\r\n`, (char) => char.charCodeAt(0) & 0xff);
}

function millisecondsUntil({ headers }: IncomingMessage): number {
  const untilMs = Number(headers[PORT_UNTIL]);
  return Number.isFinite(untilMs) ? Math.min(Math.max(0, untilMs - Date.now()), MAX_TIMER_MS) : MAX_TIMER_MS;
}

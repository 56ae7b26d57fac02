import { CONTAINER_PORT, PORT_STATE, PORT_UNTIL, type PortState } from "../servers/sandbox/port-answer.ts";

/** More than one browser opens, and less than what takes this object's memory. */
const MAX_OPEN = 512;
/** Nobody says how much of what was sent waits for a slow reader: what sends as much in so long a time floods it. */
const FLOOD_BYTES = 64 * 1024 * 1024;
const FLOOD_MS = 10_000;
const MAX_TIMER_MS = 2 ** 31 - 1;

type Outlet = Pick<Container, "running" | "getTcpPort">;

interface Use {
  readonly port: number;
  readonly isSocket: boolean;
  /** Ends it when its visitor's time is over. */
  readonly timer: ReturnType<typeof setTimeout>;
  readonly end: () => void;
}

/**
 * What comes from outside for servers in one container. Past the SDK's `containerFetch`, which starts what does not run
 * and waits. A request that is under way keeps the container awake; a WebSocket does so with each message.
 */
export class ContainerPorts {
  readonly #container: () => Outlet | undefined;
  readonly #noteUse: () => void;
  readonly #open = new Set<Use>();

  constructor(container: () => Outlet | undefined, noteUse: () => void) {
    this.#container = container;
    this.#noteUse = noteUse;
  }

  /** Whether a request is under way. */
  get isInUse(): boolean {
    return [...this.#open].some(({ isSocket }) => !isSocket);
  }

  hangUp(port: number): void {
    for (const use of this.#open) if (use.port === port) use.end();
  }

  /** Nothing for a request that names no port. */
  async fetch(request: Request): Promise<Response | undefined> {
    const port = Number(request.headers.get(CONTAINER_PORT));
    if (port === 0) return undefined;
    const container = this.#container();
    if (container?.running !== true) return said("asleep");
    if (this.#open.size >= MAX_OPEN) return said("busy");
    const abort = new AbortController();
    const untilMs = Number(request.headers.get(PORT_UNTIL));
    const use = this.#begin(port, request.headers.get("Upgrade") !== null, untilMs, () => abort.abort());
    const { pathname, search } = new URL(request.url);
    const { method, body } = request;
    try {
      const answer = await container.getTcpPort(port).fetch(`http://localhost:${port}${pathname}${search}`, {
        ...{ method, body, headers: without(request.headers, [CONTAINER_PORT, PORT_UNTIL]) },
        signal: AbortSignal.any([request.signal, abort.signal]),
        redirect: "manual",
        encodeResponseBody: "manual",
      });
      return answer.webSocket === null
        ? this.#handBack(answer, use, abort.signal)
        : this.#relay(answer, answer.webSocket, use, untilMs);
    } catch (failure) {
      this.#finish(use);
      return said(isNobodyThere(failure) ? "closed" : "garbled");
    }
  }

  #begin(port: number, isSocket: boolean, untilMs: number, end: () => void): Use {
    const use = { port, isSocket, timer: setTimeout(end, millisecondsUntil(untilMs)), end };
    this.#open.add(use);
    this.#noteUse();
    return use;
  }

  #finish(use: Use): void {
    clearTimeout(use.timer);
    if (this.#open.delete(use)) this.#noteUse();
  }

  #handBack(answer: Response, use: Use, signal: AbortSignal): Response {
    const init = { status: answer.status, statusText: answer.statusText, headers: answered(answer.headers) };
    if (answer.body === null) {
      this.#finish(use);
      return new Response(null, init);
    }
    const { readable, writable } = new IdentityTransformStream();
    void answer.body
      .pipeTo(writable, { signal })
      .catch(() => undefined)
      .finally(() => this.#finish(use));
    return new Response(readable, { ...init, encodeBody: "manual" });
  }

  #relay(answer: Response, inside: WebSocket, use: Use, untilMs: number): Response {
    const { 0: visitor, 1: outside } = new WebSocketPair();
    const close = (code: number, reason: string): void => {
      clearTimeout(timer);
      this.#open.delete(socket);
      for (const end of [inside, outside]) closeQuietly(end, code, reason);
    };
    clearTimeout(use.timer);
    const timer = setTimeout(() => close(1008, "Open the preview again."), millisecondsUntil(untilMs));
    const socket = { ...use, timer, isSocket: true, end: () => close(1008, "The preview was withdrawn.") };
    this.#open.delete(use);
    this.#open.add(socket);
    for (const [from, to] of [
      [inside, outside],
      [outside, inside],
    ] as const) {
      const isFlood = floodGauge();
      from.binaryType = "arraybuffer";
      from.accept();
      from.addEventListener("message", ({ data }) => {
        if (typeof data !== "string" && !(data instanceof ArrayBuffer)) return;
        this.#noteUse();
        if (isFlood(typeof data === "string" ? data.length : data.byteLength)) close(1013, "That is too much at once.");
        else to.send(data);
      });
      from.addEventListener("close", ({ code, reason }) => close(code, reason));
      from.addEventListener("error", () => close(1011, ""));
    }
    return new Response(null, { status: 101, webSocket: visitor, headers: answered(answer.headers) });
  }
}

function millisecondsUntil(untilMs: number): number {
  return Math.min(untilMs - Date.now(), MAX_TIMER_MS);
}

/** Whether so many bytes more are too many, by what came before in the last seconds. */
function floodGauge(): (bytes: number) => boolean {
  let beganMs = 0;
  let sum = 0;
  return (bytes) => {
    if (Date.now() - beganMs > FLOOD_MS) [beganMs, sum] = [Date.now(), 0];
    sum += bytes;
    return sum > FLOOD_BYTES;
  };
}

/** Codes that say how a connection ended are not for sending (RFC 6455 §7.4.1). */
function closeQuietly(socket: WebSocket, code: number, reason: string): void {
  try {
    socket.close([1004, 1005, 1006, 1015].includes(code) ? 1000 : code, reason);
  } catch {
    // It is closed.
  }
}

function isNobodyThere(failure: unknown): boolean {
  return /not listening|refused/i.test(String(failure));
}

function answered(headers: Headers): Headers {
  const own = without(headers, [PORT_STATE]);
  own.set(PORT_STATE, "answered");
  return own;
}

function without(headers: Headers, names: readonly string[]): Headers {
  const rest = new Headers(headers);
  for (const name of names) rest.delete(name);
  return rest;
}

function said(state: PortState): Response {
  return new Response(null, { status: 502, headers: { [PORT_STATE]: state } });
}

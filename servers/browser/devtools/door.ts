import { ToolError } from "../../shared/errors.ts";
import { DEFAULT_HANDLE } from "../../shared/handles.ts";
import type { NetworkPolicy } from "../../shared/network-policy.ts";
import { type Chrome, KEEP_ALIVE_MS } from "../chrome/chrome.ts";
import type { Keeper } from "../chrome/keeper.ts";
import { type Outcome, valueOf } from "../session.ts";
import { DevToolsClient } from "./client.ts";
import { judge } from "./command-filter.ts";
import { type DayLimits, browserIn, limitsOf, refusal } from "./crossing.ts";

const MAX_CLIENTS = 16;
/** How often it is looked whether clients may go on. */
const LOOK_EVERY_MS = 30_000;

export interface DoorParts {
  readonly keeper: Keeper;
  readonly policy: NetworkPolicy;
  /** The Chrome, in its turn among the calls. */
  readonly start: () => Promise<Outcome<Chrome>>;
  /** Why its person may not go on. */
  readonly whyOver: (limits: DayLimits) => Promise<string | undefined>;
}

/** Where programs that speak Chrome's own protocol come in: what Chrome serves at its debugging port. */
export class DevToolsDoor {
  readonly #parts: DoorParts;
  readonly #clients = new Map<DevToolsClient, DayLimits>();
  /** Those who have no session yet. */
  #comingIn = 0;
  #timer: ReturnType<typeof setInterval> | undefined;

  constructor(parts: DoorParts) {
    this.#parts = parts;
  }

  /** When one of those who are here last said something. */
  get usedAtMs(): number {
    return Math.max(0, ...[...this.#clients.keys()].map(({ usedAtMs }) => usedAtMs));
  }

  async fetch(request: Request): Promise<Response> {
    try {
      return await this.#answer(request);
    } catch (failure) {
      if (failure instanceof ToolError) return refusal(failure);
      throw failure;
    }
  }

  async #answer(request: Request): Promise<Response> {
    const url = new URL(request.url);
    const [kind = "", what = "list", id = ""] = url.pathname.split("/").filter((part) => part !== "");
    const isSocket = request.headers.get("Upgrade")?.toLowerCase() === "websocket";
    if (kind === "devtools" && (what === "browser" || what === "page")) {
      if (!isSocket) throw new ToolError("invalid_input", "Open a WebSocket there.");
      return await this.#connect(what === "page" ? id : undefined, limitsOf(request));
    }
    if (kind !== "json") throw new ToolError("not_found", "Ask for /json/version, /json/list or /json/new.");
    switch (what) {
      case "version":
        return Response.json(await this.#version(url));
      case "list":
        return Response.json(await this.#list(url));
      case "new":
        // As Chrome has it: no link and no picture of a page asks by PUT.
        if (request.method !== "PUT") throw new ToolError("invalid_input", "Use PUT to open a page.");
        return Response.json(await this.#open(url));
      case "activate":
      case "close":
        return await this.#do(what, id);
      default:
        throw new ToolError("not_found", "Ask for /json/version, /json/list or /json/new.");
    }
  }

  async #chrome(): Promise<Chrome> {
    return this.#parts.keeper.alive ?? valueOf(await this.#parts.start());
  }

  async #version(url: URL): Promise<object> {
    const { control } = await this.#chrome();
    const { product, protocolVersion, revision, userAgent, jsVersion } = await control.send("Browser.getVersion");
    return {
      Browser: product,
      "Protocol-Version": protocolVersion,
      "User-Agent": userAgent,
      "V8-Version": jsVersion,
      "WebKit-Version": `537.36 (${revision})`,
      webSocketDebuggerUrl: `ws://${url.host}/devtools/browser/${browserIn(url)}`,
    };
  }

  async #list(url: URL): Promise<object[]> {
    const { control, tabs } = await this.#chrome();
    const { targetInfos } = await control.send("Target.getTargets");
    const shown = targetInfos.filter(({ targetId }) => !tabs.isAside(targetId));
    return shown.map((target) => describe(target, url));
  }

  async #open(url: URL): Promise<object> {
    const chrome = await this.#chrome();
    const verdict = judge("Target.createTarget", { url: urlToOpen(url) }, this.#parts.policy);
    if ("refuse" in verdict) throw new ToolError("forbidden", verdict.refuse);
    const done = chrome.tabs.expectGuest();
    try {
      const { targetId } = await chrome.control.send("Target.createTarget", { url: urlToOpen(url) });
      const { targetInfo } = await chrome.control.send("Target.getTargetInfo", { targetId });
      return describe(targetInfo, url);
    } finally {
      done();
    }
  }

  async #do(what: "activate" | "close", targetId: string): Promise<Response> {
    const { control, tabs } = await this.#chrome();
    if (tabs.isAside(targetId)) throw noTarget();
    const asked = what === "close" ? "Target.closeTarget" : "Target.activateTarget";
    await control.send(asked, { targetId }).catch((cause: unknown) => {
      throw noTarget(cause);
    });
    return new Response(what === "close" ? "Target is closing" : "Target activated");
  }

  async #connect(targetId: string | undefined, limits: DayLimits): Promise<Response> {
    if (this.#clients.size + this.#comingIn >= MAX_CLIENTS) {
      throw new ToolError("limit_reached", `${MAX_CLIENTS} programs are connected; disconnect one of them.`);
    }
    this.#comingIn += 1;
    try {
      return await this.#letIn(targetId, limits);
    } finally {
      this.#comingIn -= 1;
    }
  }

  async #letIn(targetId: string | undefined, limits: DayLimits): Promise<Response> {
    const chrome = await this.#chrome();
    const sessionId = await newSession(chrome, targetId);
    const { 0: theirs, 1: socket } = new WebSocketPair();
    socket.accept();
    const client = new DevToolsClient({
      ...{ socket, chrome, sessionId, policy: this.#parts.policy },
      onOver: () => this.#onOver(client),
    });
    this.#clients.set(client, limits);
    this.#timer ??= setInterval(() => void this.lookAfter(), LOOK_EVERY_MS);
    this.#parts.keeper.store();
    return new Response(null, { status: 101, webSocket: theirs });
  }

  /** Ends who has been silent for as long as an unused browser lasts, and everybody once their person may not go on. */
  async lookAfter(): Promise<void> {
    const nowMs = Date.now();
    for (const [client, limits] of this.#clients) {
      if (nowMs - client.usedAtMs >= KEEP_ALIVE_MS) {
        client.end({ code: 1001, reason: "Nothing was said for ten minutes." });
        continue;
      }
      // Who cannot be asked now is asked again.
      const reason = await this.#parts.whyOver(limits).catch(() => undefined);
      if (reason !== undefined) client.end({ code: 1008, reason });
    }
    // What finds the browser again after an eviction says when it was used.
    if (nowMs - this.usedAtMs < LOOK_EVERY_MS) this.#parts.keeper.store();
  }

  #onOver(client: DevToolsClient): void {
    this.#clients.delete(client);
    this.#parts.keeper.store();
    if (this.#clients.size > 0) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
  }
}

async function newSession({ control, tabs }: Chrome, targetId: string | undefined): Promise<string> {
  if (targetId === undefined) return (await control.send("Target.attachToBrowserTarget")).sessionId;
  if (tabs.isAside(targetId)) throw noTarget();
  const attached = control.send("Target.attachToTarget", { targetId, flatten: true });
  const { sessionId } = await attached.catch((cause: unknown) => {
    throw noTarget(cause);
  });
  return sessionId;
}

function noTarget(cause?: unknown): ToolError {
  return new ToolError("not_found", "No such target; ask for /json/list.", { cause });
}

/** Chrome takes all of the query for the URL; others spell it `url=`. */
function urlToOpen({ search, searchParams }: URL): string {
  const given = searchParams.get("url");
  if (given !== null) return given;
  try {
    return decodeURIComponent(search.slice(1).replace(/(^|&)browser=[^&]*$/, ""));
  } catch {
    throw new ToolError("invalid_input", "That is not a URL; give one such as https://example.com/.");
  }
}

interface Target {
  readonly targetId: string;
  readonly title: string;
  readonly type: string;
  readonly url: string;
}

function describe({ targetId, title, type, url }: Target, asked: URL): object {
  const name = browserIn(asked);
  const query = name === DEFAULT_HANDLE ? "" : `?browser=${name}`;
  return {
    ...{ description: "", id: targetId, title, type, url },
    webSocketDebuggerUrl: `ws://${asked.host}/devtools/page/${targetId}${query}`,
  };
}

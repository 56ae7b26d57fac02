import * as z from "zod";
import { consoleLog, describeFailure } from "../../core/log.ts";
import type { NetworkPolicy } from "../../shared/network-policy.ts";
import type { Chrome } from "../chrome/chrome.ts";
import type { ChromeMessage, SessionOwner } from "../chrome/shared-connection.ts";
import { Belongings, type Waiting } from "./belongings.ts";
import { type Params, judge } from "./command-filter.ts";
import { parseJson } from "../../shared/parse-json.ts";

/** Below what a message to Chrome may have: a longer one would end the connection for everybody. */
const MAX_COMMAND_CHARS = 8 * 1024 * 1024;
/** Commands that wait for their answers. */
const MAX_WAITING = 1_000;
const MAX_SESSIONS = 500;
/** What waits to be read when more is to be said: a client that takes in nothing would fill the memory. */
const MAX_UNREAD_BYTES = 32 * 1024 * 1024;

const commandSchema = z.object({
  id: z.int().min(0).max(0x7fffffff),
  method: z.string().regex(/^\w+\.\w+$/),
  params: z.record(z.string(), z.unknown()).default({}),
  sessionId: z.string().optional(),
});
type Command = z.output<typeof commandSchema>;
/** What an answer needs of its command. */
type Asked = Pick<Command, "id" | "sessionId">;

const sessionSchema = z.object({ sessionId: z.string() });
const attachedSchema = sessionSchema.extend({ targetInfo: z.object({ targetId: z.string() }) });

/** Codes of JSON-RPC, as Chrome uses them. */
const INVALID = -32_600;
const REFUSED = -32_000;
const NO_SESSION = -32_001;
/** Of commands that are ours: clients count from nought. */
const OUR_ID = -1;

/** Why a connection ends: a code of RFC 6455, and a sentence of at most 123 bytes. */
interface Ending {
  readonly code: number;
  readonly reason: string;
}

export interface ClientParts {
  /** Has been accepted. */
  readonly socket: WebSocket;
  readonly chrome: Chrome;
  /** The client's own, of the browser or of a page. */
  readonly sessionId: string;
  readonly policy: NetworkPolicy;
  readonly onOver: () => void;
}

/**
 * A program that drives Chrome by its own protocol, through a session of its own beside puppeteer's. Each of its
 * commands is judged before Chrome hears of it, and can name no session but its own.
 */
export class DevToolsClient implements SessionOwner {
  readonly #parts: ClientParts;
  readonly #belongings: Belongings;
  readonly #waiting = new Map<string, Waiting>();
  readonly #over = new AbortController();
  #sessions = 1;
  #usedAtMs = Date.now();

  constructor(parts: ClientParts) {
    this.#parts = parts;
    const { socket, chrome, sessionId } = parts;
    this.#belongings = new Belongings(chrome);
    chrome.connection.own(sessionId, this);
    socket.addEventListener("message", ({ data }) => this.#onMessage(data));
    socket.addEventListener("close", () => this.#onClosed());
    socket.addEventListener("error", () => this.#onClosed());
    const { signal } = this.#over;
    chrome.ended.addEventListener("abort", () => this.end({ code: 1001, reason: "The browser has ended." }), {
      signal,
    });
  }

  /** When it last said something. */
  get usedAtMs(): number {
    return this.#usedAtMs;
  }

  /**
   * Ends the connection, and with it the sessions and contexts of its own; tabs stay. It is over once nothing of it is
   * held any more.
   */
  end(ending: Ending = { code: 1000, reason: "" }): void {
    if (this.#over.signal.aborted) return;
    this.#over.abort();
    const { socket, chrome, sessionId } = this.#parts;
    chrome.connection.disown(this);
    chrome.control.send("Target.detachFromTarget", { sessionId }).catch(() => undefined);
    this.#giveUp("");
    try {
      socket.close(ending.code, ending.reason);
    } catch {
      // It has gone.
    }
    if (socket.bufferedAmount === 0) this.#parts.onOver();
  }

  #onClosed(): void {
    this.end();
    this.#parts.onOver();
  }

  receive(message: ChromeMessage, text: string): void {
    if (this.#over.signal.aborted || message.id === OUR_ID) return;
    const { id, method = "", params, sessionId = "" } = message;
    if (id === undefined) {
      if (method === "Target.attachedToTarget") this.#onAttached(params, sessionId);
      if (this.#belongings.mayHear(method, params, sessionId)) this.#hand(message, text);
      return;
    }
    const key = keyOf(sessionId, id);
    const waiting = this.#waiting.get(key);
    this.#waiting.delete(key);
    waiting?.onEnd?.();
    if (waiting?.onResult === undefined || message.result === undefined) return this.#hand(message, text);
    void this.#handAfter(message, id, waiting.onResult);
  }

  detached(sessionId: string): void {
    this.#sessions -= 1;
    this.#giveUp(keyOf(sessionId, ""));
    if (sessionId === this.#parts.sessionId) this.end({ code: 1000, reason: "The page was closed." });
  }

  /** Chrome answers them no more. */
  #giveUp(keyStart: string): void {
    for (const [key, { onEnd }] of this.#waiting) {
      if (!key.startsWith(keyStart)) continue;
      this.#waiting.delete(key);
      onEnd?.();
      this.#sayNoSession(Number(key.slice(key.lastIndexOf("/") + 1)));
    }
  }

  /** As Chrome says it: by no session, whoever was asked. */
  #sayNoSession(id: number): void {
    this.#refuse({ id }, "Session with given id not found.", NO_SESSION);
  }

  async #handAfter(message: ChromeMessage, id: number, onResult: (result: unknown) => unknown): Promise<void> {
    try {
      const result = await onResult(message.result);
      this.#hand({ ...message, result });
    } catch (failure) {
      consoleLog.info("a client's command was not finished", { failure: describeFailure(failure) });
      this.#hand({ id, sessionId: message.sessionId, error: { code: REFUSED, message: "Chrome did not do it." } });
    }
  }

  /** As a connection of the client's own would say it: what is of its first session is of none. */
  #hand(message: Partial<ChromeMessage>, text = JSON.stringify(message)): void {
    const isFirst = message.sessionId === this.#parts.sessionId;
    this.#say(isFirst ? JSON.stringify({ ...message, sessionId: undefined }) : text);
  }

  #say(text: string): void {
    if (this.#over.signal.aborted) return;
    const { socket } = this.#parts;
    if (socket.bufferedAmount > MAX_UNREAD_BYTES) {
      return this.end({ code: 1013, reason: "What the browser says is not read." });
    }
    socket.send(text);
  }

  #onMessage(data: unknown): void {
    if (this.#over.signal.aborted) return;
    this.#usedAtMs = Date.now();
    if (typeof data !== "string" || data.length > MAX_COMMAND_CHARS) {
      return this.end({ code: 1009, reason: "A command may have 8 MB at most." });
    }
    if (this.#waiting.size >= MAX_WAITING) {
      return this.end({ code: 1013, reason: `More than ${MAX_WAITING} commands wait for their answers.` });
    }
    const command = commandSchema.safeParse(parseJson(data)).data;
    if (command === undefined) {
      return this.#say(JSON.stringify({ error: { code: INVALID, message: "That is no command." } }));
    }
    const sessionId = command.sessionId ?? this.#parts.sessionId;
    if (!this.#owns(sessionId)) return this.#sayNoSession(command.id);
    if (this.#waiting.has(keyOf(sessionId, command.id))) {
      return this.#refuse(command, "A command of that id waits for its answer.", INVALID);
    }
    this.#run(command, sessionId);
  }

  #run(command: Command, sessionId: string): void {
    const { id, method } = command;
    const verdict = judge(method, command.params, this.#parts.policy);
    if ("refuse" in verdict) return this.#refuse(command, verdict.refuse);
    if ("answer" in verdict) return this.#answer(command, verdict.answer);
    if (method === "Browser.close") return void this.#closeBrowser(command);
    const { pass: params } = verdict;
    if (method === "Target.detachFromTarget" && !this.#owns(sessionSchema.safeParse(params).data?.sessionId ?? "")) {
      return this.#refuse(command, "No session with given id.");
    }
    const waiting = this.#belongings.prepare(method, params, sessionId);
    if (typeof waiting === "string") return this.#refuse(command, waiting);
    this.#waiting.set(keyOf(sessionId, id), waiting);
    const passed = "instead" in verdict ? verdict.instead : method;
    this.#parts.chrome.connection.send(JSON.stringify({ id, method: passed, params, sessionId }));
  }

  #owns(sessionId: string): boolean {
    return this.#parts.chrome.connection.isOwner(sessionId, this);
  }

  #onAttached(params: unknown, parentId: string): void {
    const { sessionId, targetInfo } = attachedSchema.parse(params);
    this.#sessions += 1;
    if (this.#sessions > MAX_SESSIONS) {
      return this.end({ code: 1013, reason: `More than ${MAX_SESSIONS} targets are attached to.` });
    }
    if (!this.#belongings.isHidden(targetInfo.targetId)) return;
    // It may wait until everybody who is attached lets it go on.
    const { connection } = this.#parts.chrome;
    connection.send(JSON.stringify({ id: OUR_ID, method: "Runtime.runIfWaitingForDebugger", sessionId }));
    const detach = { id: OUR_ID, method: "Target.detachFromTarget", params: { sessionId }, sessionId: parentId };
    connection.send(JSON.stringify(detach));
  }

  /** Ends what the client has opened, and its connection. The browser is its person's, who may be using it. */
  async #closeBrowser(command: Command): Promise<void> {
    const { control } = this.#parts.chrome;
    const closing = this.#belongings.opened.map(
      async (targetId) => await control.send("Target.closeTarget", { targetId }),
    );
    await Promise.allSettled(closing);
    this.#answer(command, {});
    this.end();
  }

  #answer({ id, sessionId }: Asked, result: Params): void {
    this.#say(JSON.stringify({ id, result, sessionId }));
  }

  #refuse({ id, sessionId }: Asked, message: string, code = REFUSED): void {
    this.#say(JSON.stringify({ id, error: { code, message }, sessionId }));
  }
}

function keyOf(sessionId: string, id: number | ""): string {
  return `${sessionId}/${id}`;
}

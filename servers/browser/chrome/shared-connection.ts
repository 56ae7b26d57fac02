import type { ConnectionTransport } from "@cloudflare/puppeteer";
import * as z from "zod";

const messageSchema = z.object({
  id: z.number().optional(),
  method: z.string().optional(),
  params: z.unknown().optional(),
  result: z.unknown().optional(),
  error: z.unknown().optional(),
  sessionId: z.string().optional(),
});

/** What Chrome says: the answer to a command, or an event; of a session, or where there is none of the connection. */
export type ChromeMessage = z.output<typeof messageSchema>;

const attachedSchema = z.object({ sessionId: z.string() });
const noSessionSchema = z.object({ code: z.literal(-32_001) });

interface OwnedSession {
  readonly owner: SessionOwner;
  /** The session that it was attached from, with which it goes. */
  readonly parentId?: string;
}

/** Who has sessions of their own on the connection. */
export interface SessionOwner {
  /** Something of one of the owner's sessions; `text` is the message as it came. */
  receive(message: ChromeMessage, text: string): void;
  /** A session of the owner's is there no more, and answers nothing that it was asked. */
  detached(sessionId: string): void;
}

/**
 * One connection to Chrome for puppeteer and for those who have sessions of their own beside it: the platform allows no
 * second one. What comes of a session goes to its owner alone, with the sessions that are attached from it; all else goes
 * to puppeteer. The ids of commands are each session's own, so that nobody's are in another's way.
 */
export class SharedConnection implements ConnectionTransport {
  onmessage?: (message: string) => void;
  onclose?: () => void;
  readonly #socket: WebSocket;
  readonly #owned = new Map<string, OwnedSession>();

  /** `socket` has been accepted. */
  constructor(socket: WebSocket) {
    this.#socket = socket;
    socket.addEventListener("message", ({ data }) => {
      if (typeof data === "string") this.#receive(data);
    });
    socket.addEventListener("close", () => this.onclose?.());
    // What broke is closed as well.
    socket.addEventListener("error", () => this.onclose?.());
  }

  send(message: string): void {
    this.#socket.send(message);
  }

  close(): void {
    this.#socket.close();
  }

  /** What comes of that session goes to its new owner from here on, and what is attached from it is the owner's too. */
  own(sessionId: string, owner: SessionOwner): void {
    this.#owned.set(sessionId, { owner });
  }

  isOwner(sessionId: string, owner: SessionOwner): boolean {
    return this.#owned.get(sessionId)?.owner === owner;
  }

  /** The owner has gone, and its sessions with it. */
  disown(owner: SessionOwner): void {
    for (const [sessionId, each] of this.#owned) if (each.owner === owner) this.#owned.delete(sessionId);
  }

  #receive(text: string): void {
    // Nobody pays for sharing while there is nobody to share with.
    if (this.#owned.size === 0) return this.onmessage?.(text);
    const message = messageSchema.safeParse(JSON.parse(text)).data;
    const { id, method = "", sessionId = "" } = message ?? {};
    // Chrome does not say whose command it was; its owner has been told with the session's end.
    if (id !== undefined && sessionId === "" && noSessionSchema.safeParse(message?.error).success) return;
    const owner = this.#owned.get(sessionId)?.owner;
    const about = method.startsWith("Target.") ? attachedSchema.safeParse(message?.params).data : undefined;
    if (owner !== undefined && about !== undefined && method === "Target.attachedToTarget") {
      this.#owned.set(about.sessionId, { owner, parentId: sessionId });
    }
    if (owner === undefined) this.onmessage?.(text);
    else if (message !== undefined) owner.receive(message, text);
    if (about !== undefined && method === "Target.detachedFromTarget") this.#detached(about.sessionId);
  }

  /** Chrome says nothing of those that go with another one. */
  #detached(sessionId: string): void {
    const gone = this.#owned.get(sessionId);
    this.#owned.delete(sessionId);
    gone?.owner.detached(sessionId);
    for (const [id, { parentId }] of this.#owned) if (parentId === sessionId) this.#detached(id);
  }
}

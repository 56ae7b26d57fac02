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

/** Who has sessions of their own on the connection. */
export interface SessionOwner {
  /** Something of one of the owner's sessions; `text` is the message as it came. */
  receive(message: ChromeMessage, text: string): void;
  /** A session of the owner's is there no more. */
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
  readonly #owners = new Map<string, SessionOwner>();

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
    this.#owners.set(sessionId, owner);
  }

  isOwner(sessionId: string, owner: SessionOwner): boolean {
    return this.#owners.get(sessionId) === owner;
  }

  /** The owner has gone, and its sessions with it. */
  disown(owner: SessionOwner): void {
    for (const [sessionId, each] of this.#owners) if (each === owner) this.#owners.delete(sessionId);
  }

  #receive(text: string): void {
    // Nobody pays for sharing while there is nobody to share with.
    if (this.#owners.size === 0) return this.onmessage?.(text);
    const message = messageSchema.safeParse(JSON.parse(text)).data;
    const owner = this.#owners.get(message?.sessionId ?? "");
    const about =
      message?.method?.startsWith("Target.") === true ? attachedSchema.safeParse(message.params).data : undefined;
    if (owner !== undefined && about !== undefined && message?.method === "Target.attachedToTarget") {
      this.#owners.set(about.sessionId, owner);
    }
    if (owner === undefined) this.onmessage?.(text);
    else if (message !== undefined) owner.receive(message, text);
    if (about !== undefined && message?.method === "Target.detachedFromTarget") {
      const gone = this.#owners.get(about.sessionId);
      this.#owners.delete(about.sessionId);
      gone?.detached(about.sessionId);
    }
  }
}

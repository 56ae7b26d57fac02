import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { request } from "node:http";
import type { Duplex } from "node:stream";
import * as z from "zod";

const messageSchema = z.object({
  id: z.number().optional(),
  method: z.string().optional(),
  params: z.unknown().optional(),
  result: z.unknown().optional(),
  error: z.object({ code: z.number(), message: z.string() }).optional(),
  sessionId: z.string().optional(),
});
type Message = z.output<typeof messageSchema>;

/** A program that says to Chrome whatever it likes, without a library to hold it back. */
export interface DevToolsSocket {
  /** The answer, whatever it is. */
  readonly ask: (method: string, params?: object, sessionId?: string) => Promise<Message>;
  /** Sends a message as it stands. */
  readonly say: (text: string) => void;
  /** All that has come. */
  readonly heard: readonly Message[];
  readonly closed: Promise<{ readonly code: number; readonly reason: string }>;
  readonly close: () => void;
}

export async function openSocket(url: string): Promise<DevToolsSocket> {
  const socket = new WebSocket(url);
  const heard: Message[] = [];
  const asked = new Map<number, (message: Message) => void>();
  const closed = new Promise<{ code: number; reason: string }>((resolve) => {
    socket.addEventListener("close", ({ code, reason }) => resolve({ code, reason }));
  });
  socket.addEventListener("message", ({ data }) => {
    const message = messageSchema.parse(JSON.parse(String(data)));
    heard.push(message);
    asked.get(message.id ?? 0)?.(message);
  });
  const failed = once(socket, "error").then(() => Promise.reject(new Error("The door does not open.")));
  await Promise.race([once(socket, "open"), failed]);
  failed.catch(() => undefined);
  let lastId = 0;
  return {
    ask: async (method, params = {}, sessionId) => {
      const id = (lastId += 1);
      const answered = Promise.withResolvers<Message>();
      asked.set(id, answered.resolve);
      socket.send(JSON.stringify({ id, method, params, ...(sessionId === undefined ? {} : { sessionId }) }));
      return await answered.promise;
    },
    say: (text) => socket.send(text),
    heard,
    closed,
    close: () => socket.close(),
  };
}

/** A program that says something, and takes in nothing of what it is told until it is asked to. */
export interface DeafSocket {
  /** At most 125 bytes. */
  readonly say: (text: string) => void;
  /** Until the other side closes: how much there was, and why it closes. */
  readonly hearAll: () => Promise<{ readonly bytes: number; readonly end: string }>;
  readonly hangUp: () => void;
}

export async function openDeafSocket(url: URL): Promise<DeafSocket> {
  const asked = request(String(url), {
    headers: {
      ...{ Connection: "Upgrade", Upgrade: "websocket", "Sec-WebSocket-Version": "13" },
      "Sec-WebSocket-Key": randomBytes(16).toString("base64"),
    },
  });
  asked.end();
  const socket = await new Promise<Duplex>((resolve) => {
    asked.once("upgrade", (_response, upgraded) => resolve(upgraded));
  });
  socket.pause();
  return {
    // A mask of noughts changes nothing.
    say: (text) => void socket.write(`\u0081${String.fromCharCode(0x80 | text.length)}\0\0\0\0${text}`, "latin1"),
    hearAll: async () => {
      let bytes = 0;
      let last = new Uint8Array();
      for await (const piece of socket) {
        const chunk: Uint8Array = piece;
        bytes += chunk.length;
        last = Uint8Array.from([...last, ...chunk.subarray(-200)]).subarray(-200);
        const end = closeReason(last);
        if (end !== undefined) return { bytes, end };
      }
      throw new Error("It was cut off without a word.");
    },
    hangUp: () => socket.destroy(),
  };
}

/** What a close frame says after its code. */
function closeReason(bytes: Uint8Array): string | undefined {
  const at = bytes.lastIndexOf(0x88);
  return at !== -1 && bytes.length === at + 2 + (bytes[at + 1] ?? 0)
    ? new TextDecoder().decode(bytes.subarray(at + 4))
    : undefined;
}

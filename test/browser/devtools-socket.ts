import { once } from "node:events";
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

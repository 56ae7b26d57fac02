import { once } from "node:events";
import * as z from "zod";

const messageSchema = z.object({
  id: z.number().optional(),
  method: z.string().optional(),
  result: z.record(z.string(), z.unknown()).optional(),
  error: z.object({ message: z.string() }).optional(),
});

/** One page of a Chrome, spoken to over its DevTools. */
export interface Page {
  /** What Chrome says went wrong, `net::ERR_…`, or the text of the page that has loaded. */
  open(url: string): Promise<string>;
  evaluate(expression: string): Promise<unknown>;
  /** Any other order that the DevTools take, to this page. */
  send(method: string, params: object): Promise<Record<string, unknown>>;
  close(): void;
}

/** `endpoint` is what Chrome prints, `ws://127.0.0.1:PORT/devtools/browser/…`. */
export async function openPage(endpoint: string): Promise<Page> {
  const socket = new WebSocket(endpoint);
  const failed = once(socket, "error").then(() => Promise.reject(new Error("The DevTools do not answer.")));
  await Promise.race([once(socket, "open"), failed]);
  let lastId = 0;
  const send = async (method: string, params: object, sessionId?: string) => {
    lastId += 1;
    const id = lastId;
    const answered = new Promise<Record<string, unknown>>((resolve, reject) => {
      const take = (event: MessageEvent) => {
        const message = messageSchema.parse(JSON.parse(String(event.data)));
        if (message.id !== id) return;
        socket.removeEventListener("message", take);
        if (message.error === undefined) resolve(message.result ?? {});
        else reject(new Error(message.error.message));
      };
      socket.addEventListener("message", take);
    });
    socket.send(JSON.stringify({ id, method, params, sessionId }));
    return await answered;
  };
  const { targetId } = await send("Target.createTarget", { url: "about:blank" });
  const { sessionId } = z
    .object({ sessionId: z.string() })
    .parse(await send("Target.attachToTarget", { targetId, flatten: true }));
  const evaluate = async (expression: string) => {
    const evaluated = await send(
      "Runtime.evaluate",
      { expression, awaitPromise: true, returnByValue: true },
      sessionId,
    );
    return z.object({ result: z.object({ value: z.unknown() }) }).parse(evaluated).result.value;
  };
  return {
    evaluate,
    send: async (method, params) => await send(method, params, sessionId),
    open: async (url) => {
      const { errorText } = await send("Page.navigate", { url }, sessionId);
      if (typeof errorText === "string" && errorText !== "") return errorText;
      const loaded = `new Promise((done) => document.readyState === "complete" ? done() : addEventListener("load", done))`;
      return String(await evaluate(`${loaded}.then(() => document.body.innerText)`));
    },
    close: () => socket.close(),
  };
}

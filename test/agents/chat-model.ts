import { createServer } from "node:http";
import { json as readJson } from "node:stream/consumers";
import * as z from "zod";

export interface ChatModel extends AsyncDisposable {
  /** `http://127.0.0.1:41234` */
  readonly url: string;
}

const requestSchema = z.object({ messages: z.array(z.object({ role: z.string(), content: z.unknown() })) });

/** A message of whatever is asked. */
export type ChatMessage = z.output<typeof requestSchema>["messages"][number];

/** A model endpoint that answers what its client tells it by those words. */
export async function startChatModel(answer: (messages: readonly ChatMessage[]) => string): Promise<ChatModel> {
  const server = createServer((request, response) => {
    readJson(request)
      .then((body) => {
        const content = answer(requestSchema.parse(body).messages);
        const base = { id: "chatcmpl-1", object: "chat.completion.chunk", created: 0, model: "scripted" };
        const usage = { prompt_tokens: 1, completion_tokens: 1, total_tokens: 2 };
        response.writeHead(200, { "Content-Type": "text/event-stream" });
        for (const event of [
          { ...base, choices: [{ index: 0, delta: { role: "assistant", content }, finish_reason: null }] },
          { ...base, choices: [{ index: 0, delta: {}, finish_reason: "stop" }], usage },
        ]) {
          response.write(`data: ${JSON.stringify(event)}\n\n`);
        }
        response.end("data: [DONE]\n\n");
      })
      .catch((failure: unknown) => response.writeHead(400).end(String(failure)));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("The model has no port.");
  return {
    url: `http://127.0.0.1:${address.port}`,
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

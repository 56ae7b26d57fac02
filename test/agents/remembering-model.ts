import { createServer } from "node:http";
import { json as readJson } from "node:stream/consumers";
import * as z from "zod";

export interface RememberingModel extends AsyncDisposable {
  /** `http://127.0.0.1:41234` */
  readonly url: string;
}

const requestSchema = z.object({ messages: z.array(z.object({ role: z.string(), content: z.unknown() })) });

/**
 * A model endpoint that has nothing but what its client tells it: asked what a person's cat is called, it says so where
 * one of the person's messages before has said it.
 */
export async function startRememberingModel(): Promise<RememberingModel> {
  const server = createServer((request, response) => {
    readJson(request)
      .then((body) => {
        const { messages } = requestSchema.parse(body);
        const said = JSON.stringify(messages.filter(({ role }) => role === "user"));
        const name = [...said.matchAll(/My cat is called (\w+)/g)].at(-1)?.[1];
        const content = name === undefined ? "Nobody told me." : `Your cat is called ${name}, I remember.`;
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

import { createServer } from "node:http";
import { text as readAll } from "node:stream/consumers";
import * as z from "zod";

export interface TaskProxy extends AsyncDisposable {
  readonly mcpUrl: URL;
}

const messageSchema = z.looseObject({
  method: z.string(),
  params: z.looseObject({
    name: z.string().optional(),
    arguments: z.record(z.string(), z.unknown()).optional(),
    inputResponses: z.record(z.string(), z.looseObject({})).optional(),
  }),
});

type Message = z.output<typeof messageSchema>;

const HEADERS = ["accept", "content-type", "mcp-protocol-version", "mcp-method", "mcp-name"];

/**
 * Stands before a suite for the runner's scenarios about tasks. It adds the token, and translates: the runner calls tools
 * of its own and fills in forms of its own, the suite has delegated runs, and a form with one answer.
 */
export async function startTaskProxy(suiteMcpUrl: URL, token: string): Promise<TaskProxy> {
  const server = createServer((incoming, response) => {
    const forward = async (): Promise<void> => {
      const headers = new Headers({ Authorization: `Bearer ${token}` });
      for (const name of HEADERS) {
        const value = incoming.headers[name];
        if (typeof value === "string") headers.set(name, value);
      }
      const sent = messageSchema.parse(JSON.parse(await readAll(incoming)));
      const message = translate(sent);
      const { name } = message.params;
      if (name !== undefined && headers.get("mcp-name") === sent.params.name) headers.set("mcp-name", name);
      const answer = await fetch(suiteMcpUrl, { method: "POST", headers, body: JSON.stringify(message) });
      response.writeHead(answer.status, { "Content-Type": answer.headers.get("Content-Type") ?? "text/plain" });
      response.end(await answer.text());
    };
    forward().catch((failure: unknown) => response.writeHead(502).end(String(failure)));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("The proxy has no port.");
  return {
    mcpUrl: new URL(suiteMcpUrl.pathname, `http://127.0.0.1:${address.port}`),
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

function translate(message: Message): Message {
  const { method, params } = message;
  const { inputResponses } = params;
  if (method === "tools/call") return { ...message, params: { ...params, ...toolFor(params) } };
  if (method !== "tasks/update" || inputResponses === undefined) return message;
  const answers = Object.entries(inputResponses).map(
    ([key, response]) => [key, { ...response, content: { answer: JSON.stringify(response["content"]) } }] as const,
  );
  return { ...message, params: { ...params, inputResponses: Object.fromEntries(answers) } };
}

function toolFor({ name, arguments: input }: Message["params"]): object {
  if (name === "greet") return { name: "files_list", arguments: {} };
  if (name === "slow_compute")
    return { name: "delegate_run", arguments: { task: `Work for ${String(input?.["seconds"])} s.` } };
  if (name === "failing_job") return { name: "delegate_run", arguments: { task: "Work for 0 s." } };
  if (name === "confirm_delete") return { name: "delegate_run", arguments: { task: "Ask." } };
  return {};
}

import { type ServerResponse, createServer } from "node:http";
import { json as readJson } from "node:stream/consumers";
import * as z from "zod";

/** What the model does: it calls this tool once, and then says that it has. */
export interface ModelScript {
  /** The end of the tool's name: clients put the server's name before it in ways of their own. */
  readonly tool: string;
  readonly input: Readonly<Record<string, unknown>>;
  readonly lastWords: string;
}

export interface ScriptedModel extends AsyncDisposable {
  /** `http://127.0.0.1:41234` */
  readonly url: string;
  /** Every tool that a client has offered it so far. */
  readonly offered: ReadonlySet<string>;
  /** What the tool answered, as the client told it. */
  readonly toolResults: readonly string[];
}

/** One request to a model, whichever API it came by. */
interface Turn {
  readonly offered: readonly OfferedTool[];
  readonly toolResults: readonly string[];
}

interface OfferedTool {
  readonly name: string;
  /** Some APIs group tools. */
  readonly namespace?: string;
}

type Reply = { readonly call: OfferedTool } | { readonly text: string };

/** The APIs that coding agents speak, each with its way to read a request and to stream an answer. */
interface ModelApi {
  readonly path: string;
  readonly read: (body: unknown) => Turn;
  readonly answer: (reply: Reply, script: ModelScript) => readonly unknown[];
  /** Whether each event is named by its own `type`, beside the data. */
  readonly namesEvents: boolean;
}

/**
 * A model endpoint on loopback that plays one script over the Anthropic messages API, OpenAI's responses and its chat
 * completions, always as a stream. Requests that offer no such tool, such as for a title, get plain words.
 */
export async function startScriptedModel(script: ModelScript): Promise<ScriptedModel> {
  const offered = new Set<string>();
  const toolResults: string[] = [];
  const play = (turn: Turn): Reply => {
    for (const { name } of turn.offered) offered.add(name);
    toolResults.push(...turn.toolResults.slice(toolResults.length));
    const tool = turn.offered.find(({ name }) => name.endsWith(script.tool));
    return tool === undefined || turn.toolResults.length > 0 ? { text: script.lastWords } : { call: tool };
  };
  const server = createServer((request, response) => {
    const { pathname } = new URL(request.url ?? "/", "http://model");
    const api = APIS.find(({ path }) => pathname.endsWith(path));
    if (request.method !== "POST" || api === undefined) {
      response
        .writeHead(404, { "Content-Type": "application/json" })
        .end(`{"error":{"message":"There is no ${pathname}"}}`);
      return;
    }
    readJson(request)
      .then((body) => stream(response, api, api.answer(play(api.read(body)), script)))
      .catch((failure: unknown) => response.writeHead(400).end(String(failure)));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("The scripted model has no port.");
  return {
    url: `http://127.0.0.1:${address.port}`,
    offered,
    toolResults,
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

function stream(response: ServerResponse, { namesEvents }: ModelApi, events: readonly unknown[]): void {
  response.writeHead(200, { "Content-Type": "text/event-stream" });
  for (const event of events) {
    if (namesEvents) response.write(`event: ${named.parse(event).type}\n`);
    response.write(`data: ${JSON.stringify(event)}\n\n`);
  }
  response.end(namesEvents ? "" : "data: [DONE]\n\n");
}

const named = z.looseObject({ type: z.string() });
const USED = { input_tokens: 1, output_tokens: 1 };

const anthropicRequest = z.object({
  messages: z.array(z.object({ content: z.union([z.string(), z.array(named)]) })),
  tools: z.array(z.object({ name: z.string() })).default([]),
});

const ANTHROPIC: ModelApi = {
  path: "/v1/messages",
  namesEvents: true,
  read: (body) => {
    const { messages, tools } = anthropicRequest.parse(body);
    const blocks = messages.flatMap(({ content }) => (typeof content === "string" ? [] : content));
    return {
      offered: tools,
      toolResults: blocks.filter(({ type }) => type === "tool_result").map(({ content }) => JSON.stringify(content)),
    };
  },
  answer: (reply, { input }) => {
    const isCall = "call" in reply;
    const block = isCall
      ? { type: "tool_use", id: `toolu_${crypto.randomUUID()}`, name: reply.call.name, input: {} }
      : { type: "text", text: "" };
    const delta = isCall
      ? { type: "input_json_delta", partial_json: JSON.stringify(input) }
      : { type: "text_delta", text: reply.text };
    const message = {
      id: `msg_${crypto.randomUUID()}`,
      type: "message",
      role: "assistant",
      model: "scripted",
      content: [],
    };
    const stop = { stop_reason: isCall ? "tool_use" : "end_turn", stop_sequence: null };
    return [
      { type: "message_start", message: { ...message, stop_reason: null, stop_sequence: null, usage: USED } },
      { type: "content_block_start", index: 0, content_block: block },
      { type: "content_block_delta", index: 0, delta },
      { type: "content_block_stop", index: 0 },
      { type: "message_delta", delta: stop, usage: USED },
      { type: "message_stop" },
    ];
  },
};

const responsesRequest = z.object({
  input: z.array(z.looseObject({ type: z.string().optional() })),
  tools: z
    .array(
      z.looseObject({
        name: z.string().optional(),
        tools: z.array(z.looseObject({ name: z.string() })).default([]),
      }),
    )
    .default([]),
});

const RESPONSES: ModelApi = {
  path: "/responses",
  namesEvents: true,
  read: (body) => {
    const { input, tools } = responsesRequest.parse(body);
    return {
      offered: tools.flatMap(({ name = "", tools: grouped }) =>
        grouped.length === 0 ? [{ name }] : grouped.map((tool) => ({ name: tool.name, namespace: name })),
      ),
      toolResults: input
        .filter(({ type }) => type === "function_call_output")
        .map(({ output }) => JSON.stringify(output)),
    };
  },
  answer: (reply, { input }) => {
    const id = `resp_${crypto.randomUUID()}`;
    const item =
      "call" in reply
        ? {
            type: "function_call",
            id: `fc_${crypto.randomUUID()}`,
            call_id: `call_${crypto.randomUUID()}`,
            ...reply.call,
            arguments: JSON.stringify(input),
          }
        : {
            type: "message",
            id: `msg_${crypto.randomUUID()}`,
            role: "assistant",
            content: [{ type: "output_text", text: reply.text, annotations: [] }],
          };
    const usage = { ...USED, total_tokens: 2 };
    return [
      { type: "response.created", response: { id } },
      { type: "response.output_item.done", output_index: 0, item },
      { type: "response.completed", response: { id, usage } },
    ];
  },
};

const chatRequest = z.object({
  messages: z.array(z.looseObject({ role: z.string() })),
  tools: z.array(z.object({ function: z.object({ name: z.string() }) })).default([]),
});

const CHAT: ModelApi = {
  path: "/chat/completions",
  namesEvents: false,
  read: (body) => {
    const { messages, tools } = chatRequest.parse(body);
    return {
      offered: tools.map(({ function: { name } }) => ({ name })),
      toolResults: messages.filter(({ role }) => role === "tool").map(({ content }) => JSON.stringify(content)),
    };
  },
  answer: (reply, { input }) => {
    const base = {
      id: `chatcmpl-${crypto.randomUUID()}`,
      object: "chat.completion.chunk",
      created: 0,
      model: "scripted",
    };
    const call = (name: string): unknown => ({
      index: 0,
      id: `call_${crypto.randomUUID()}`,
      type: "function",
      function: { name, arguments: JSON.stringify(input) },
    });
    const isCall = "call" in reply;
    const delta = isCall ? { tool_calls: [call(reply.call.name)] } : { content: reply.text };
    return [
      { ...base, choices: [{ index: 0, delta: { role: "assistant", ...delta }, finish_reason: null }] },
      {
        ...base,
        choices: [{ index: 0, delta: {}, finish_reason: isCall ? "tool_calls" : "stop" }],
        usage: { prompt_tokens: 1, completion_tokens: 1, total_tokens: 2 },
      },
    ];
  },
};

const APIS: readonly ModelApi[] = [ANTHROPIC, RESPONSES, CHAT];

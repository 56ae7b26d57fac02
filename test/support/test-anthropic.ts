import { type IncomingMessage, type ServerResponse, createServer } from "node:http";
import { text } from "node:stream/consumers";
import * as z from "zod";

/** What Anthropic does with one request; what it tells of its usage is said and not counted. */
export type AnthropicReply =
  | {
      readonly content: readonly AnthropicBlock[];
      readonly usage?: AnthropicUsage;
      readonly stopReason?: string;
      readonly model?: string;
      readonly headers?: Readonly<Record<string, string>>;
    }
  | { readonly status: number; readonly body?: unknown; readonly headers?: Readonly<Record<string, string>> }
  /** A stream of these, after which it hangs up. */
  | { readonly events: readonly unknown[] }
  | { readonly tokens: number }
  | { readonly raw: string; readonly contentType: string };

export interface AnthropicBlock {
  readonly type: string;
  readonly [field: string]: unknown;
}

export interface AnthropicUsage {
  readonly input_tokens: number;
  readonly output_tokens: number;
  readonly [field: string]: unknown;
}

/** What Anthropic refuses all else beside. */
const FIELDS = [
  ...["model", "max_tokens", "messages", "system", "tools", "tool_choice", "stop_sequences", "stream", "thinking"],
  ...["temperature", "top_p", "top_k", "output_config", "context_management", "cache_control"],
];
const request = z.looseObject({ model: z.string(), messages: z.array(z.looseObject({ role: z.string() })) });

interface AnthropicRequest {
  readonly path: string;
  readonly headers: IncomingMessage["headers"];
  readonly bytes: number;
  readonly body: z.output<typeof request>;
}

/** Anthropic's messages on loopback, as AI Gateway serves them, by a script. */
interface TestAnthropic extends AsyncDisposable {
  /** Of the gateway's chat completions and of Anthropic's messages, by AI_GATEWAY_API. */
  readonly compatUrl: string;
  readonly restUrl: string;
  readonly requests: readonly AnthropicRequest[];
  /** Adds replies. A request beyond their end is answered with 501. */
  script(...replies: readonly (AnthropicReply | ((asked: AnthropicRequest) => AnthropicReply))[]): void;
}

export async function startTestAnthropic(): Promise<TestAnthropic> {
  const requests: AnthropicRequest[] = [];
  const replies: (AnthropicReply | ((asked: AnthropicRequest) => AnthropicReply))[] = [];
  const serve = async (incoming: IncomingMessage, response: ServerResponse): Promise<void> => {
    const sent = await text(incoming);
    const { url: path = "", headers, method } = incoming;
    if (method !== "POST" || !/\/(?:anthropic|ai)\/v1\/messages(?:\/count_tokens)?$/.test(path)) {
      return send(response, 404, { error: { message: `There is no ${path}.` } });
    }
    const body = request.parse(JSON.parse(sent));
    const asked = { path, headers, bytes: new TextEncoder().encode(sent).length, body };
    requests.push(asked);
    const problem = problemOf(asked);
    if (problem !== undefined)
      return send(response, 400, { type: "error", error: { type: "invalid_request_error", message: problem } });
    const reply = replies.shift() ?? { status: 501 };
    play(typeof reply === "function" ? reply(asked) : reply, asked, response);
  };
  const server = createServer((incoming, response) => {
    serve(incoming, response).catch((failure: unknown) => send(response, 400, { error: { message: String(failure) } }));
  });
  server.keepAliveTimeout = 0;
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("It has no port.");
  const origin = `http://127.0.0.1:${address.port}`;
  return {
    compatUrl: `${origin}/v1/account/gateway/compat`,
    restUrl: `${origin}/client/v4/accounts/account/ai/v1`,
    requests,
    script: (...more) => void replies.push(...more),
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

function problemOf({ path, headers, body }: AnthropicRequest): string | undefined {
  const isCount = path.endsWith("/count_tokens");
  const extra = Object.keys(body).filter((field) => !FIELDS.includes(field));
  if (headers["anthropic-version"] !== "2023-06-01") return "anthropic-version: header is required";
  if (extra.length > 0) return `${extra.join(", ")}: Extra inputs are not permitted`;
  if (!isCount && typeof body["max_tokens"] !== "number") return "max_tokens: Field required";
  return undefined;
}

function play(reply: AnthropicReply, asked: AnthropicRequest, response: ServerResponse): void {
  if ("status" in reply) return send(response, reply.status, reply.body ?? {}, reply.headers);
  if ("tokens" in reply) return send(response, 200, { input_tokens: reply.tokens });
  if ("raw" in reply) return void response.writeHead(200, { "content-type": reply.contentType }).end(reply.raw);
  response.writeHead(200, { "content-type": "text/event-stream", ...("headers" in reply ? reply.headers : {}) });
  const events = "events" in reply ? reply.events : eventsOf(reply, asked);
  for (const event of events) {
    response.write(
      `event: ${z.looseObject({ type: z.string() }).parse(event).type}\ndata: ${JSON.stringify(event)}\n\n`,
    );
  }
  response.end();
}

function eventsOf(reply: Extract<AnthropicReply, { content: unknown }>, { body }: AnthropicRequest): unknown[] {
  const usage = reply.usage ?? { input_tokens: 10, output_tokens: 5 };
  const message = {
    ...{ id: "msg_1", type: "message", role: "assistant", model: reply.model ?? body.model.replace("anthropic/", "") },
    ...{ content: [], stop_reason: null, stop_sequence: null, usage: { ...usage, output_tokens: 1 } },
  };
  return [
    { type: "message_start", message },
    { type: "ping" },
    ...reply.content.flatMap((block, index) => [
      { type: "content_block_start", index, content_block: begun(block) },
      ...deltasOf(block).map((delta) => ({ type: "content_block_delta", index, delta })),
      { type: "content_block_stop", index },
    ]),
    {
      type: "message_delta",
      delta: { stop_reason: reply.stopReason ?? "end_turn", stop_sequence: null },
      usage: { output_tokens: usage.output_tokens },
    },
    { type: "message_stop" },
  ];
}

function begun(block: AnthropicBlock): AnthropicBlock {
  switch (block.type) {
    case "text":
      return { ...block, text: "" };
    case "thinking":
      return { ...block, thinking: "", signature: "" };
    case "tool_use":
      return { ...block, input: {} };
    default:
      return block;
  }
}

function deltasOf(block: AnthropicBlock): object[] {
  switch (block.type) {
    case "text":
      return halves(block["text"]).map((piece) => ({ type: "text_delta", text: piece }));
    case "thinking":
      return [
        ...halves(block["thinking"]).map((piece) => ({ type: "thinking_delta", thinking: piece })),
        { type: "signature_delta", signature: block["signature"] },
      ];
    case "tool_use":
      return halves(JSON.stringify(block["input"])).map((piece) => ({ type: "input_json_delta", partial_json: piece }));
    default:
      return [];
  }
}

function halves(said: unknown): string[] {
  const whole = String(said);
  const middle = Math.ceil(whole.length / 2);
  return [whole.slice(0, middle), whole.slice(middle)].filter((piece) => piece !== "");
}

function send(
  response: ServerResponse,
  status: number,
  body: unknown,
  headers: Readonly<Record<string, string>> = {},
): void {
  response.writeHead(status, { "content-type": "application/json", ...headers }).end(JSON.stringify(body));
}

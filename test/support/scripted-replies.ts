import type { IncomingMessage, ServerResponse } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import * as z from "zod";

/** What the gateway does with one request: it streams where it is asked to. */
export type ScriptedReply =
  | ({ readonly kind: "text"; readonly text: string; readonly finishReason?: string } & AnswerOptions)
  | ({ readonly kind: "calls"; readonly calls: readonly ScriptedCall[]; readonly text?: string } & AnswerOptions)
  | {
      readonly kind: "status";
      readonly status: number;
      readonly headers?: Record<string, string>;
      readonly body?: unknown;
    }
  /** AI Gateway's own refusals, both with status 429. */
  | { readonly kind: "spend limit" | "rate limit" }
  /** A body that is sent as it stands, with status 200. */
  | { readonly kind: "raw"; readonly body: string; readonly contentType?: string }
  /** A stream whose events hold this, and then end. */
  | { readonly kind: "events"; readonly data: readonly unknown[] }
  /** Announces a whole answer and hangs up in the middle of it. */
  | { readonly kind: "truncated" }
  /** Takes the request and never answers, or begins to and falls silent. */
  | { readonly kind: "hang"; readonly afterBytes?: boolean };

export interface AnswerOptions {
  /** Reported in place of a token for every byte; `undefined` reports none. */
  readonly usage?: unknown;
  /** In place of the usual ones, such as `cf-aig-step` of a gateway that fell back by itself. */
  readonly headers?: Record<string, string>;
  /** What the body says has answered, where it is not the model that was asked. */
  readonly model?: string;
  /** As a server that knows no streams. */
  readonly ignoresStream?: boolean;
  /** Between the events of a stream. */
  readonly pauseMs?: number;
}

export interface ScriptedCall {
  readonly name: string;
  /** The arguments as the model wrote them; an object is turned into JSON. */
  readonly input: unknown;
  readonly id?: string;
}

export const chatRequest = z.looseObject({
  model: z.string(),
  messages: z.array(z.looseObject({ role: z.string(), content: z.unknown() })),
  tools: z.array(z.looseObject({ function: z.looseObject({ name: z.string() }) })).default([]),
  tool_choice: z.unknown().optional(),
  stream: z.boolean().default(false),
  stream_options: z.looseObject({ include_usage: z.boolean().optional() }).default({}),
});

export interface RecordedRequest {
  readonly path: string;
  readonly headers: IncomingMessage["headers"];
  readonly bytes: number;
  readonly body: z.output<typeof chatRequest>;
  /** When its first byte was there, and when the last of the answer was sent; of `performance.now`. */
  readonly receivedMs: number;
  answeredMs?: number;
  /** Whoever asked has hung up before the answer was whole. */
  isAbandoned?: boolean;
}

/** What a model says, as OpenAI's message. */
interface Message {
  readonly content: string | null;
  readonly tool_calls?: readonly ToolCall[];
}

interface ToolCall {
  readonly id: string;
  readonly type: "function";
  readonly function: { readonly name: string; readonly arguments: string };
}

export async function play(reply: ScriptedReply, request: RecordedRequest, response: ServerResponse): Promise<void> {
  switch (reply.kind) {
    case "text":
      return await answer(response, request, { content: reply.text }, reply.finishReason ?? "stop", reply);
    case "calls":
      return await answer(
        response,
        request,
        { content: reply.text ?? null, tool_calls: reply.calls.map(toolCall) },
        "tool_calls",
        reply,
      );
    case "status":
      return sendStatus(response, reply.status, reply.headers ?? {}, reply.body);
    case "spend limit":
      return sendGatewayError(response, 2045, "Spend limit exceeded: rule 'all' (cost limit 1 per 3600s, fixed)");
    case "rate limit":
      return sendGatewayError(response, 2003, "Rate limited");
    case "raw":
      response.writeHead(200, { "content-type": reply.contentType ?? "application/json" }).end(reply.body);
      return;
    case "events":
      response.writeHead(200, { "content-type": "text/event-stream" }).end(reply.data.map(asEvent).join(""));
      return;
    case "truncated":
      return hangUp(response, request);
    case "hang":
      if (reply.afterBytes === true)
        response.writeHead(200, EVENT_STREAM).write(asEvent(chunk(request, { content: "Wel" })));
      return;
  }
}

const EVENT_STREAM = { "content-type": "text/event-stream" };

async function answer(
  response: ServerResponse,
  request: RecordedRequest,
  message: Message,
  finishReason: string,
  options: AnswerOptions,
): Promise<void> {
  const model = options.model ?? request.body.model;
  const usage = "usage" in options ? options.usage : everyByte(request, message);
  const headers = { ...gatewayHeaders(request), ...options.headers };
  if (!request.body.stream || options.ignoresStream === true) {
    const whole = completion(request, message, finishReason);
    response.writeHead(200, { "content-type": "application/json", ...headers });
    response.end(JSON.stringify({ ...whole, model, ...(usage === undefined ? {} : { usage }) }));
    return;
  }
  response.writeHead(200, { ...EVENT_STREAM, ...headers });
  const deltas = [...split(message), {}];
  const chunks = deltas.map((delta, index) => chunk(request, delta, index === deltas.length - 1 ? finishReason : null));
  const last = request.body.stream_options.include_usage === true && usage !== undefined;
  for (const each of [...chunks, ...(last ? [{ ...chunk(request, {}), choices: [], usage }] : [])]) {
    response.write(asEvent({ ...each, model }));
    if (options.pauseMs !== undefined) await sleep(options.pauseMs);
  }
  response.end("data: [DONE]\n\n");
}

/** Every byte a token: the most that an honest endpoint can report. */
function everyByte({ bytes }: RecordedRequest, message: Message): Record<string, number> {
  const completionTokens = JSON.stringify(message).length;
  return { prompt_tokens: bytes, completion_tokens: completionTokens, total_tokens: bytes + completionTokens };
}

function completion(request: RecordedRequest, message: Message, finishReason: string): Record<string, unknown> {
  return {
    id: `chatcmpl-${crypto.randomUUID()}`,
    object: "chat.completion",
    created: Math.floor(Date.now() / 1_000),
    model: request.body.model,
    choices: [{ index: 0, message: { role: "assistant", ...message }, finish_reason: finishReason }],
  };
}

function chunk(request: RecordedRequest, delta: object, finishReason: string | null = null): Record<string, unknown> {
  return {
    id: "chatcmpl-1",
    object: "chat.completion.chunk",
    created: Math.floor(Date.now() / 1_000),
    model: request.body.model,
    choices: [{ index: 0, delta, finish_reason: finishReason }],
  };
}

/** The message in pieces: a call's name comes first, then its arguments. */
function split({ content, tool_calls = [] }: Message): object[] {
  return [
    { role: "assistant", content: "" },
    ...pieces(content ?? "").map((piece) => ({ content: piece })),
    ...tool_calls.flatMap((call, index) => [
      { tool_calls: [{ index, ...call, function: { name: call.function.name, arguments: "" } }] },
      ...pieces(call.function.arguments).map((piece) => ({ tool_calls: [{ index, function: { arguments: piece } }] })),
    ]),
  ];
}

function pieces(text: string): string[] {
  const size = Math.max(1, Math.ceil(text.length / 5));
  return Array.from({ length: Math.ceil(text.length / size) }, (_, index) =>
    text.slice(index * size, (index + 1) * size),
  );
}

function asEvent(data: unknown): string {
  return `data: ${typeof data === "string" ? data : JSON.stringify(data)}\n\n`;
}

function toolCall({ name, input, id }: ScriptedCall, index: number): ToolCall {
  return {
    id: id ?? `call_${crypto.randomUUID()}_${index}`,
    type: "function",
    function: { name, arguments: typeof input === "string" ? input : JSON.stringify(input) },
  };
}

function hangUp(response: ServerResponse, request: RecordedRequest): void {
  const content = "This never arrives whole.";
  if (request.body.stream) {
    response.writeHead(200, EVENT_STREAM);
    response.write(asEvent(chunk(request, { content })), () => response.destroy());
    return;
  }
  const whole = JSON.stringify(completion(request, { content }, "stop"));
  response.writeHead(200, { "content-type": "application/json", "content-length": whole.length });
  response.write(whole.slice(0, 60), () => response.destroy());
}

function gatewayHeaders({ body: { model } }: RecordedRequest): Record<string, string> {
  return {
    "cf-aig-log-id": crypto.randomUUID(),
    "cf-aig-step": "0",
    "cf-aig-model": model.replace(/^[\w-]+\//, ""),
    "cf-aig-provider": /^([\w-]+)\//.exec(model)?.[1] ?? "openai",
    "cf-aig-cache-status": "MISS",
  };
}

function sendGatewayError(response: ServerResponse, code: number, message: string): void {
  const body = { success: false, result: [], messages: [], error: [{ code, message }], internalCode: code };
  sendStatus(response, 429, { "cf-aig-step": "0" }, body);
}

export function sendStatus(
  response: ServerResponse,
  status: number,
  headers: Record<string, string>,
  body?: unknown,
): void {
  const shown = body ?? { error: { message: `Scripted status ${status}.`, type: "test" } };
  response.writeHead(status, { "content-type": "application/json", ...headers }).end(JSON.stringify(shown));
}

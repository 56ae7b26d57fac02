import { type IncomingMessage, type ServerResponse, createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { text } from "node:stream/consumers";
import * as z from "zod";

/** What the gateway does with one request. */
export type ScriptedReply =
  | { readonly kind: "text"; readonly text: string; readonly usage?: unknown; readonly finishReason?: string }
  | {
      readonly kind: "calls";
      readonly calls: readonly ScriptedCall[];
      readonly text?: string;
      readonly usage?: unknown;
    }
  | {
      readonly kind: "status";
      readonly status: number;
      readonly headers?: Record<string, string>;
      readonly body?: unknown;
    }
  /** A body that is sent as it stands, with status 200. */
  | { readonly kind: "raw"; readonly body: string }
  /** Announces a whole answer and hangs up in the middle of it. */
  | { readonly kind: "truncated" }
  /** Takes the request and never answers. */
  | { readonly kind: "hang" };

/** What the gateway does with the next request, or how to tell once it has come. */
export type ScriptStep = ScriptedReply | ((request: RecordedRequest) => ScriptedReply);

export interface ScriptedCall {
  readonly name: string;
  /** The arguments as the model wrote them; an object is turned into JSON. */
  readonly input: unknown;
  readonly id?: string;
}

const chatRequest = z.looseObject({
  model: z.string(),
  messages: z.array(z.looseObject({ role: z.string(), content: z.unknown() })),
  tools: z.array(z.looseObject({ function: z.looseObject({ name: z.string() }) })).default([]),
  tool_choice: z.unknown(),
});

export interface RecordedRequest {
  readonly path: string;
  readonly headers: IncomingMessage["headers"];
  readonly bytes: number;
  readonly body: z.output<typeof chatRequest>;
}

/** A model endpoint on loopback that speaks OpenAI's chat completions as AI Gateway does, by a script. */
export interface TestGateway extends AsyncDisposable {
  /** Without a slash at its end; `/chat/completions` follows. */
  readonly baseUrl: string;
  /** What it was asked, in order. */
  readonly requests: readonly RecordedRequest[];
  /** Adds replies to the script. A request beyond its end is answered with 501. */
  script(...steps: readonly ScriptStep[]): void;
}

/** `key`: what `Authorization` must bear; a wrong one is told back to the client, as providers do. */
export async function startTestGateway({ key }: { readonly key?: string } = {}): Promise<TestGateway> {
  const requests: RecordedRequest[] = [];
  const script: ScriptStep[] = [];

  const serve = async (incoming: IncomingMessage, response: ServerResponse): Promise<void> => {
    const sent = await text(incoming);
    if (incoming.method !== "POST" || !incoming.url?.endsWith("/chat/completions"))
      return sendStatus(response, 404, {});
    const bearer = incoming.headers.authorization;
    if (key !== undefined && bearer !== `Bearer ${key}`) {
      return sendStatus(response, 401, {}, { error: { message: `Incorrect API key provided: ${bearer}` } });
    }
    const request: RecordedRequest = {
      path: incoming.url,
      headers: incoming.headers,
      bytes: new TextEncoder().encode(sent).length,
      body: chatRequest.parse(JSON.parse(sent)),
    };
    requests.push(request);
    const next: ScriptStep = script.shift() ?? { kind: "status", status: 501 };
    play(typeof next === "function" ? next(request) : next, request, response);
  };

  const server = createServer((incoming, response) => {
    serve(incoming, response).catch((failure: unknown) => {
      sendStatus(response, 400, {}, { error: { message: String(failure) } });
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    baseUrl: `http://127.0.0.1:${portOf(server.address())}/v1/account/gateway/compat`,
    requests,
    script: (...steps) => void script.push(...steps),
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

function play(reply: ScriptedReply, request: RecordedRequest, response: ServerResponse): void {
  switch (reply.kind) {
    case "text":
      return sendJson(
        response,
        request,
        completion(request, { content: reply.text }, reply.finishReason ?? "stop", reply),
      );
    case "calls": {
      const toolCalls = reply.calls.map(({ name, input, id }, index) => ({
        id: id ?? `call_${crypto.randomUUID()}_${index}`,
        type: "function",
        function: { name, arguments: typeof input === "string" ? input : JSON.stringify(input) },
      }));
      const message = { content: reply.text ?? null, tool_calls: toolCalls };
      return sendJson(response, request, completion(request, message, "tool_calls", reply));
    }
    case "status":
      return sendStatus(response, reply.status, reply.headers ?? {}, reply.body);
    case "raw":
      response.writeHead(200, { "content-type": "application/json" }).end(reply.body);
      return;
    case "truncated": {
      const whole = JSON.stringify(completion(request, { content: "This never arrives whole." }, "stop", {}));
      response.writeHead(200, { "content-type": "application/json", "content-length": whole.length });
      response.write(whole.slice(0, 60), () => response.destroy());
      return;
    }
    case "hang":
      return;
  }
}

/** Every byte a token: the most that an honest endpoint can report. */
function completion(
  request: RecordedRequest,
  message: Record<string, unknown>,
  finishReason: string,
  reply: { readonly usage?: unknown },
): unknown {
  const completionTokens = JSON.stringify(message).length;
  const usage = {
    prompt_tokens: request.bytes,
    completion_tokens: completionTokens,
    total_tokens: request.bytes + completionTokens,
  };
  return {
    id: `chatcmpl-${crypto.randomUUID()}`,
    object: "chat.completion",
    created: Math.floor(Date.now() / 1_000),
    model: request.body.model,
    choices: [{ index: 0, message: { role: "assistant", ...message }, finish_reason: finishReason }],
    ...("usage" in reply ? (reply.usage === undefined ? {} : { usage: reply.usage }) : { usage }),
  };
}

function sendJson(response: ServerResponse, request: RecordedRequest, body: unknown): void {
  response.writeHead(200, {
    "content-type": "application/json",
    "cf-aig-log-id": crypto.randomUUID(),
    "cf-aig-step": "0",
    "cf-aig-model": request.body.model,
    "cf-aig-provider": "openai",
    "cf-aig-cache-status": "MISS",
  });
  response.end(JSON.stringify(body));
}

function sendStatus(response: ServerResponse, status: number, headers: Record<string, string>, body?: unknown): void {
  const shown = body ?? { error: { message: `Scripted status ${status}.`, type: "test" } };
  response.writeHead(status, { "content-type": "application/json", ...headers }).end(JSON.stringify(shown));
}

function portOf(address: string | AddressInfo | null): number {
  if (address === null || typeof address === "string") throw new Error("The test gateway has no port.");
  return address.port;
}

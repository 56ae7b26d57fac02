import { type IncomingMessage, type ServerResponse, createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { text } from "node:stream/consumers";
import { type RecordedRequest, type ScriptedReply, chatRequest, play, sendStatus } from "./scripted-replies.ts";

/** What the gateway does with the next request, or how to tell once it has come. */
export type ScriptStep = ScriptedReply | ((request: RecordedRequest) => ScriptedReply);

/** A model endpoint on loopback that speaks OpenAI's chat completions as AI Gateway does, by a script. */
export interface TestGateway extends AsyncDisposable {
  /** Without a slash at its end; `/chat/completions` follows. */
  readonly baseUrl: string;
  /** What it was asked, in order. */
  readonly requests: readonly RecordedRequest[];
  /** Adds replies to the script. A request beyond its end is answered with 501. */
  script(...steps: readonly ScriptStep[]): void;
  /** Forgets what it was asked, and what was to come. */
  clear(): void;
  /** A model with a script of its own, whatever the others are asked; its fallbacks are named `model-2` and so on. */
  newModel(): ScriptedModel;
}

export interface ScriptedModel {
  readonly model: string;
  /** What it and its fallbacks were asked, in order. */
  readonly requests: readonly RecordedRequest[];
  script(...steps: readonly ScriptStep[]): void;
}

interface Script {
  readonly requests: RecordedRequest[];
  readonly script: ScriptStep[];
}

/** `key`: what `Authorization` must bear; a wrong one is told back to the client, as providers do. */
export async function startTestGateway({ key }: { readonly key?: string } = {}): Promise<TestGateway> {
  const requests: RecordedRequest[] = [];
  const script: ScriptStep[] = [];
  const models = new Map<string, Script>();

  const serve = async (incoming: IncomingMessage, response: ServerResponse): Promise<void> => {
    const receivedMs = performance.now();
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
      receivedMs,
    };
    requests.push(request);
    response.once("close", () => {
      if (!response.writableFinished) request.isAbandoned = true;
    });
    const scripted = models.get(request.body.model.split("-")[0] ?? "");
    scripted?.requests.push(request);
    const next: ScriptStep = (scripted?.script ?? script).shift() ?? { kind: "status", status: 501 };
    await play(typeof next === "function" ? next(request) : next, request, response);
    request.answeredMs = performance.now();
  };

  const server = createServer((incoming, response) => {
    serve(incoming, response).catch((failure: unknown) => {
      sendStatus(response, 400, {}, { error: { message: String(failure) } });
    });
  });
  // Nothing is asked on a connection at the moment at which that would be closed for being idle.
  server.keepAliveTimeout = 0;
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    baseUrl: `http://127.0.0.1:${portOf(server.address())}/v1/account/gateway/compat`,
    requests,
    script: (...steps) => void script.push(...steps),
    clear: () => void ([requests.length, script.length] = [0, 0]),
    newModel: () => {
      const model = `model${models.size}`;
      const scripted: Script = { requests: [], script: [] };
      models.set(model, scripted);
      return { model, requests: scripted.requests, script: (...steps) => void scripted.script.push(...steps) };
    },
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

function portOf(address: string | AddressInfo | null): number {
  if (address === null || typeof address === "string") throw new Error("The test gateway has no port.");
  return address.port;
}

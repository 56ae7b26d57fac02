import type { BrowserWorker } from "@cloudflare/puppeteer";
import * as z from "zod";

const commandSchema = z.object({
  id: z.number(),
  sessionId: z.string().optional(),
  method: z.string().startsWith("Cloudflare."),
  params: z.object({ targetId: z.string() }),
});
type Command = z.output<typeof commandSchema>;

export interface HandoffEnd {
  readonly success: boolean;
  readonly reason?: string;
}

/** Pages that a person was asked to use: the platform knows of them whoever is connected. */
const handedOver = new Set<string>();

export const LIVE_VIEW = "https://live.browser.example/ui/view?jwt=secret";

/**
 * Stands in for the platform, which a local Chrome lacks: a binding whose connections understand the commands of the
 * live view, and hand everything else on to Chrome.
 */
export class LiveViewStandIn {
  readonly binding: BrowserWorker;
  #emit: (event: object) => void = () => undefined;
  #listener: string | undefined;
  #targetId = "";

  constructor(binding: BrowserWorker) {
    this.binding = {
      fetch: async (input, init) => {
        const response = await binding.fetch(input, init);
        return response.webSocket === null ? response : this.#connect(response.webSocket);
      },
    };
  }

  get isHandedOver(): boolean {
    return handedOver.has(this.#targetId);
  }

  /** What the person did in the end. */
  finish(end: HandoffEnd, isHeard: boolean): void {
    handedOver.delete(this.#targetId);
    if (!isHeard) return;
    this.#emit({ sessionId: this.#listener, method: "Cloudflare.handoffComplete", params: end });
  }

  #connect(chrome: WebSocket): Response {
    const { 0: client, 1: server } = new WebSocketPair();
    chrome.accept();
    server.accept();
    this.#emit = (event) => server.send(JSON.stringify(event));
    chrome.addEventListener("message", ({ data }) => server.send(String(data)));
    chrome.addEventListener("close", () => server.close());
    server.addEventListener("close", () => chrome.close());
    server.addEventListener("message", ({ data }) => {
      const command = commandSchema.safeParse(JSON.parse(String(data))).data;
      if (command === undefined) return chrome.send(String(data));
      const { id, sessionId } = command;
      this.#emit({ id, sessionId, result: this.#answer(command) });
    });
    return new Response(null, { status: 101, webSocket: client });
  }

  #answer({ sessionId, method, params: { targetId } }: Command): object {
    switch (method) {
      case "Cloudflare.getLiveView":
        return { id: targetId, devtoolsFrontendUrl: LIVE_VIEW };
      case "Cloudflare.handoff":
        handedOver.add(targetId);
        this.#targetId = targetId;
        this.#listener = sessionId;
        return { targetId, handoffId: "h1" };
      default:
        this.#targetId = targetId;
        return { active: handedOver.has(targetId) };
    }
  }
}

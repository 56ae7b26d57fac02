import type { Visit } from "../../auth/account-routes.ts";
import { stillIn } from "./still-in.ts";

const TICK_MS = 1_000;
/** Proxies end what is silent for long, and only what is written shows that nobody listens any more. */
const HEARTBEAT_MS = 15_000;

/**
 * Server-sent events (HTML standard, 9.2): what `tick` finds each second, until the session ends or nobody listens. A
 * browser whose connection fails comes back by itself.
 */
export function eventStream(visit: Visit, now: () => Date, tick: () => Promise<readonly unknown[]>): Response {
  const encoder = new TextEncoder();
  const mayGoOn = stillIn(visit, now);
  let [saidAtMs, isFirst, isOver] = [0, true, false];

  const body = new ReadableStream<Uint8Array>({
    pull: async (controller) => {
      for (;;) {
        if (!isFirst) await scheduler.wait(TICK_MS);
        if (isOver) return;
        if (!(await mayGoOn().catch(() => false))) {
          controller.enqueue(encoder.encode("event: end\ndata: \n\n"));
          return controller.close();
        }
        const found = await tick();
        const isSilent = now().getTime() - saidAtMs < HEARTBEAT_MS;
        if (found.length === 0 && isSilent && !isFirst) continue;
        saidAtMs = now().getTime();
        const start = isFirst ? "retry: 2000\n\n" : "";
        isFirst = false;
        const event = found.length === 0 ? ":\n\n" : `data: ${JSON.stringify(found)}\n\n`;
        return controller.enqueue(encoder.encode(start + event));
      }
    },
    cancel: () => {
      isOver = true;
    },
  });
  return new Response(body, {
    headers: {
      "Content-Type": "text/event-stream; charset=utf-8",
      "Cache-Control": "no-store",
      "X-Content-Type-Options": "nosniff",
    },
  });
}

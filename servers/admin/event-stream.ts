import type { Visit } from "../../auth/account-routes.ts";

const TICK_MS = 1_000;
/** Proxies end what is silent for long, and only what is written shows that nobody listens any more. */
const HEARTBEAT_MS = 15_000;
/** Whether the visitor may still see what they see is asked so often. */
const STILL_IN_MS = 30_000;

/**
 * Server-sent events (HTML standard, 9.2): what `tick` finds each second, until the session ends or nobody listens. A
 * browser whose connection fails comes back by itself.
 */
export function eventStream(visit: Visit, now: () => Date, tick: () => Promise<readonly unknown[]>): Response {
  const encoder = new TextEncoder();
  const { visitor, stillIn } = visit;
  let [askedAtMs, saidAtMs, isFirst, isOver] = [now().getTime(), 0, true, false];

  /** Whether the visitor is still the one who opened the page, with the same role. */
  const mayGoOn = async (): Promise<boolean> => {
    const nowMs = now().getTime();
    if (nowMs >= visitor.expiresAtMs) return false;
    if (nowMs - askedAtMs < STILL_IN_MS) return true;
    askedAtMs = nowMs;
    return (await stillIn())?.role === visitor.role;
  };

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

import { ProtocolError } from "@cloudflare/puppeteer";
import * as z from "zod";
import { ToolError } from "../../shared/errors.ts";
import { orAborted, within } from "./abort.ts";
import { KEEP_ALIVE_MS } from "./chrome.ts";
import type { LivePage } from "./live-page.ts";

const KEY = "handoff";
/** How often the platform is asked beside listening: its word that the person is done may come to nobody. */
const ASK_EVERY_MS = 2_000;
const MAX_REASON_CHARS = 300;

const endSchema = z.object({ success: z.boolean(), reason: z.string().exactOptional() });
/** A hand-over that nobody has been told the end of. */
const openSchema = z.object({ targetId: z.string(), end: endSchema.exactOptional() });

/** As much of `ctx.storage.kv` as this needs. */
interface Storage {
  get(key: string): unknown;
  put(key: string, value: unknown): void;
  delete(key: string): boolean;
}

export interface HandoffRequest {
  /** What the person is to do, shown to them beside the page. */
  readonly instructions: string;
  readonly waitMs: number;
}

/** Where a hand-over stands. `reason` is the person's own. */
export type Handoff =
  | { readonly state: "waiting"; readonly link: string }
  | { readonly state: "done" }
  | { readonly state: "failed"; readonly reason: string }
  /** It ran out, or was ended, while nobody listened. */
  | { readonly state: "over" };

/**
 * Hands the page to a person by Cloudflare's live view (developers.cloudflare.com/browser-run/features/human-in-the-loop)
 * and waits until they are done, or for `waitMs`; called again it waits on. `onLink` is given the link at once: whoever
 * has it can use the browser, so it goes to the caller alone. Rejects with `unavailable` where there is no live view.
 */
export async function handOff(
  storage: Storage,
  live: LivePage,
  { instructions, waitMs }: HandoffRequest,
  onLink: (link: string) => void,
  signal: AbortSignal,
): Promise<Handoff> {
  const { targetId } = live;
  const begun = await orAborted(isActive(live), signal);
  if (!begun) {
    const end = takeEnd(storage, targetId);
    if (end !== undefined) return end;
  }
  // Its end may come before the answer to whoever begins it.
  const ended = listen(storage, live);
  const { devtoolsFrontendUrl: link } = await orAborted(
    live.session.send("Cloudflare.getLiveView", { targetId, mode: "tab", expiresInMs: KEEP_ALIVE_MS }),
    signal,
  );
  if (!begun) {
    await orAborted(
      live.session.send("Cloudflare.handoff", { targetId, instructions, timeout: KEEP_ALIVE_MS }),
      signal,
    );
    if (readOpen(storage)?.end === undefined) storage.put(KEY, { targetId });
  }
  onLink(link);
  const over = new AbortController();
  try {
    const stopped = AbortSignal.any([signal, over.signal]);
    await orAborted(within(Promise.race([ended, gone(live, stopped)]), waitMs), signal);
  } finally {
    over.abort();
  }
  if (await orAborted(isActive(live), signal)) return { state: "waiting", link };
  return takeEnd(storage, targetId) ?? { state: "over" };
}

async function isActive({ session, targetId }: LivePage): Promise<boolean> {
  try {
    return (await session.send("Cloudflare.getHandoffState", { targetId })).active;
  } catch (cause) {
    if (!(cause instanceof ProtocolError) || !/wasn't found/.test(cause.originalMessage)) throw cause;
    throw new ToolError(
      "unavailable",
      "There is no live view of this browser, since it does not run at Cloudflare; ask the person for what the page needs, or have them do this in their own browser.",
      { cause },
    );
  }
}

/** Resolves with the end of the hand-over, which is kept until somebody is told. */
async function listen(storage: Storage, { session, targetId }: LivePage): Promise<void> {
  const ended = Promise.withResolvers<void>();
  session.once("Cloudflare.handoffComplete", (event: unknown) => {
    storage.put(KEY, { targetId, end: endSchema.catch({ success: false }).parse(event) });
    ended.resolve();
  });
  await ended.promise;
}

/** Resolves once the platform knows of no hand-over any more, as after one whose end was told to a connection before. */
async function gone(live: LivePage, stopped: AbortSignal): Promise<void> {
  do await scheduler.wait(ASK_EVERY_MS);
  while (!stopped.aborted && (await isActive(live)));
}

/** How a hand-over of that page ended that nobody has been told of yet; told once. */
function takeEnd(storage: Storage, targetId: string): Handoff | undefined {
  const open = readOpen(storage);
  storage.delete(KEY);
  if (open?.targetId !== targetId) return undefined;
  if (open.end === undefined) return { state: "over" };
  const { success, reason = "" } = open.end;
  return success ? { state: "done" } : { state: "failed", reason: reason.slice(0, MAX_REASON_CHARS).toWellFormed() };
}

function readOpen(storage: Storage): z.output<typeof openSchema> | undefined {
  return openSchema.safeParse(storage.get(KEY)).data;
}

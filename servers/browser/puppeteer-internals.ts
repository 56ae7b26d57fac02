import { CDPSession, type Frame, type Target } from "@cloudflare/puppeteer";

/** A frame's id, and the session of the process that it lives in. Puppeteer has both, outside its typed interface. */
export function handleOf(frame: Frame): { readonly id: string; readonly session: CDPSession } {
  const id: unknown = Reflect.get(frame, "_id");
  const session: unknown = Reflect.get(frame, "client");
  if (typeof id !== "string" || !(session instanceof CDPSession)) throw new TypeError("puppeteer hides its frames");
  return { id, session };
}

export function targetIdOf(target: Target): string {
  const id: unknown = Reflect.get(target, "_targetId");
  if (typeof id !== "string") throw new TypeError("puppeteer hides its targets");
  return id;
}

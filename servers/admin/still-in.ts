import type { Visit } from "../../auth/account-routes.ts";

/** Whether the visitor may still see what they see is asked so often. */
const STILL_IN_MS = 30_000;

/** Whether the visitor of what lasts is still the one who opened it, with the same role. */
export function stillIn({ visitor, stillIn: ask }: Visit, now: () => Date): () => Promise<boolean> {
  let askedAtMs = now().getTime();
  return async () => {
    const nowMs = now().getTime();
    if (nowMs >= visitor.expiresAtMs) return false;
    if (nowMs - askedAtMs < STILL_IN_MS) return true;
    askedAtMs = nowMs;
    return (await ask())?.role === visitor.role;
  };
}

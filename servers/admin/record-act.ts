import { sha256Hex } from "../../auth/secrets.ts";
import { ToolError } from "../shared/errors.ts";
import type { PersonContext } from "./page-context.ts";

/**
 * Does what somebody asked for on a page, and leaves a row in the audit of the person that it was done to: also where it
 * failed. `input` holds no secret, and only its digest is kept.
 */
export async function recorded<T>(
  { desk, whose, visit }: PersonContext,
  act: string,
  input: object,
  work: () => Promise<T>,
): Promise<T> {
  const id = crypto.randomUUID();
  const atMs = Date.now();
  const startedMs = performance.now();
  const { userId: actorId } = visit.visitor.person;
  const row = async (outcome: string): Promise<void> => {
    const audit = {
      id,
      atMs,
      clientId: whose.isOwn ? "page" : `admin:${actorId}`,
      tool: `${whose.isOwn ? "account" : "admin"}/${act}`,
      outcome,
      durationMs: performance.now() - startedMs,
      inputDigest: await sha256Hex(JSON.stringify(input)),
      outputBytes: 0,
    };
    visit.log.info("page act", { by: actorId, userId: whose.userId, act, outcome });
    await desk.account(whose.userId).record(whose.userId, [{ audit, cost: { callId: id, atMs, nanoUsd: 0 } }]);
  };
  let result: T;
  try {
    result = await work();
  } catch (failure) {
    await row(failure instanceof ToolError ? failure.code : "internal");
    throw failure;
  }
  await row("ok");
  return result;
}

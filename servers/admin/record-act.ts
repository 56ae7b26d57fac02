import { sha256Hex } from "../../auth/secrets.ts";
import { actId } from "../account/acts.ts";
import { describeFailure } from "../core/log.ts";
import { ToolError } from "../shared/errors.ts";
import type { PageContext, PersonContext } from "./page-context.ts";

/**
 * Does what somebody asked for on a page, and leaves a row in the audit of whom it was done to: also where it failed.
 * `input` holds no secret, and only its digest is kept.
 */
export async function recorded<T>(
  context: PersonContext,
  act: string,
  input: object,
  work: () => Promise<T>,
): Promise<T> {
  const { userId, isOwn } = context.whose;
  return await record(context, { userId, isOwn, act, input }, work);
}

/** The same of what an admin does to everybody: it is in their own audit. */
export async function recordedForAll<T>(
  context: PageContext,
  act: string,
  input: object,
  work: () => Promise<T>,
): Promise<T> {
  const { userId } = context.visit.visitor.person;
  return await record(context, { userId, isOwn: false, act, input }, work);
}

interface Act {
  readonly userId: string;
  readonly isOwn: boolean;
  readonly act: string;
  readonly input: object;
}

async function record<T>(context: PageContext, { userId, isOwn, act, input }: Act, work: () => Promise<T>): Promise<T> {
  const { desk, visit } = context;
  const { person } = visit.visitor;
  const id = actId();
  const atMs = Date.now();
  const startedMs = performance.now();
  const keep = async (outcome: string): Promise<void> => {
    const audit = {
      id,
      atMs,
      clientId: isOwn ? "page" : `admin:${person.userId}`,
      tool: `${isOwn ? "account" : "admin"}/${act}`,
      outcome,
      durationMs: performance.now() - startedMs,
      inputDigest: await sha256Hex(JSON.stringify(input)),
      outputBytes: 0,
    };
    visit.log.info("page act", { call: id, by: person.userId, userId, act, outcome });
    // What was done is done: that it could not be written down is for the log.
    await desk
      .account(userId)
      .record(userId, [{ audit, cost: { callId: id, atMs, nanoUsd: 0 } }])
      .catch((failure: unknown) => {
        visit.log.error("page act not in the books", { call: id, userId, act, failure: describeFailure(failure) });
      });
  };
  let result: T;
  try {
    result = await work();
  } catch (failure) {
    await keep(failure instanceof ToolError ? failure.code : "internal");
    throw failure;
  }
  await keep("ok");
  return result;
}

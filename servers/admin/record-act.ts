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

interface Recorded {
  readonly userId: string;
  readonly isOwn: boolean;
  readonly act: string;
  readonly input: object;
}

async function record<T>(
  context: PageContext,
  { userId, isOwn, act, input }: Recorded,
  work: () => Promise<T>,
): Promise<T> {
  const { desk, visit } = context;
  const by = visit.visitor.person.userId;
  const atMs = Date.now();
  const startedMs = performance.now();
  const keep = async (outcome: string): Promise<void> => {
    const done = isOwn
      ? ({ name: `account/${act}`, by: "page" } as const)
      : ({ name: `admin/${act}`, by: `admin:${by}` } as const);
    visit.log.info("page act", { by, userId, act, outcome });
    // What was done is done: that it could not be written down is for the log.
    await desk
      .account(userId)
      .recordAct(userId, { ...done, what: input, atMs, outcome, durationMs: performance.now() - startedMs })
      .catch((failure: unknown) => {
        visit.log.error("page act not in the books", { userId, act, failure: describeFailure(failure) });
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

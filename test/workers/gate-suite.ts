import { env } from "cloudflare:workers";
import * as z from "zod";
import type { Caller } from "../../auth/caller.ts";
import { ALL_SCOPES } from "../../auth/scopes.ts";
import { type CallEnd, type CallPipeline, callTool } from "../../servers/core/call.ts";
import { type GateMemory, newGateMemory } from "../../servers/core/gate.ts";
import { type Tool, defineTool } from "../../servers/core/tool.ts";
import { type Settings, parseSettings } from "../../servers/shared/settings.ts";
import { type Bindings, createPipeline } from "../../servers/suite.ts";
import { createRules } from "../../servers/suite-acts.ts";
import { accountOf } from "./open-files.ts";

const ANNOTATIONS = { readOnlyHint: true, destructiveHint: false, idempotentHint: true, openWorldHint: false };

const work: Promise<unknown>[] = [];

/** Until all that calls have left to do is done. */
export async function settle(): Promise<void> {
  await Promise.allSettled(work.splice(0));
}

/** One isolate of the suite in which one person calls. */
export interface Isolate {
  readonly pipeline: CallPipeline;
  /** Calls a tool of that name which does the work. */
  readonly call: (name: string, work?: () => Promise<unknown>) => Promise<CallEnd>;
  /** The outcome of such a call: `ok`, or what it was refused with. */
  readonly outcome: (name: string, work?: () => Promise<unknown>) => Promise<string>;
  /** As after the seconds in which an isolate goes by what it knows. */
  readonly forget: () => void;
}

export interface IsolateOptions {
  readonly role?: Caller["role"];
  readonly bindings?: Bindings;
  readonly settings?: Partial<Settings>;
}

export function isolate(
  userId: string,
  { role = "member", bindings = env, settings = {} }: IsolateOptions = {},
): Isolate {
  const gates: GateMemory = newGateMemory();
  const caller: Caller = { userId, role, scopes: ALL_SCOPES, clientId: "test" };
  const waitUntil = (promise: Promise<unknown>): void => void work.push(promise);
  const pipeline = createPipeline(bindings, { ...parseSettings(env), ...settings }, caller, { waitUntil, gates });
  // As each request has one of its own.
  const callAnew: Isolate["call"] = async (name, run = async () => undefined) => {
    const request = createPipeline(bindings, { ...parseSettings(env), ...settings }, caller, { waitUntil, gates });
    const watch = { signal: new AbortController().signal, reportProgress: () => undefined };
    return await callTool(toolThat(name, run), {}, request, watch);
  };
  return {
    pipeline,
    call: callAnew,
    outcome: async (name, run) => {
      const end = await callAnew(name, run);
      return end.ok ? "ok" : `${end.error.code}: ${end.error.message}`;
    },
    forget: () => {
      gates.people.clear();
      delete gates.policy;
    },
  };
}

function toolThat(name: string, run: () => Promise<unknown>): Tool {
  return defineTool({
    name,
    title: "Test",
    description: "Test.",
    input: z.strictObject({}),
    output: z.object({ done: z.literal(true) }),
    annotations: ANNOTATIONS,
    scopes: [],
    handler: async () => {
      await run();
      return { output: { done: true as const } };
    },
  });
}

/** The tests' bindings, with one whose objects answer nothing. */
export function without(name: "ACCOUNT" | "DIRECTORY"): Bindings {
  const fail = async (): Promise<never> => await Promise.reject(new Error("Gone."));
  const stub = { policy: fail, standingAtGate: fail, setRoleStorage: fail, setRules: fail, record: fail };
  return { ...env, [name]: { idFromName: () => "", get: () => stub } };
}

export const rules = createRules(env);
export const standing = async (userId: string) => await accountOf(userId).standing();

/** Until the minute has some seconds left: calls of the next one are counted anew. */
export async function waitForRoomInMinute(): Promise<void> {
  const leftMs = 60_000 - (Date.now() % 60_000);
  if (leftMs < 8_000) await scheduler.wait(leftMs + 100);
}

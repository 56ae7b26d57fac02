import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, expect } from "vitest";
import { type DelegateSuite, startDelegateSuite } from "./delegate-suite.ts";
import type { ScriptedReply } from "./scripted-replies.ts";
import { type TestGateway, startTestGateway } from "./test-gateway.ts";

export const KEY = "sk-secret-key-that-nobody-may-see";
export const USAGE = { prompt_tokens: 100, completion_tokens: 10 };

interface Both {
  readonly gateway: TestGateway;
  readonly suite: DelegateSuite;
}

/** Those of tests that are over: to start workerd takes longer than most tests. */
const idle: Both[] = [];
afterAll(async () => {
  for (const both of idle.splice(0)) await end(both);
});

/** A suite and the model endpoint that its runs ask: without settings they may be those of a test that is over. */
export async function startBoth(settings?: Readonly<Record<string, string>>): Promise<Both & AsyncDisposable> {
  const both = (settings === undefined ? idle.pop() : undefined) ?? (await start(settings));
  const dispose = async (): Promise<void> => {
    if (settings !== undefined) return await end(both);
    await both.suite.changePerson();
    both.gateway.clear();
    idle.push(both);
  };
  return { ...both, [Symbol.asyncDispose]: dispose };
}

async function start(settings: Readonly<Record<string, string>> = {}): Promise<Both> {
  const gateway = await startTestGateway({ key: KEY });
  const suite = await startDelegateSuite({
    MODEL_BASE_URL: gateway.baseUrl,
    MODEL_API_KEY: KEY,
    MODEL_DEFAULT: "m",
    ...settings,
  });
  return { gateway, suite };
}

async function end({ gateway, suite }: Both): Promise<void> {
  await suite[Symbol.asyncDispose]();
  await gateway[Symbol.asyncDispose]();
}

export function note(...texts: readonly string[]): ScriptedReply {
  return { kind: "calls", calls: texts.map((text) => ({ name: "note", input: { text } })), usage: USAGE };
}

export function wait(ms: number): ScriptedReply {
  return { kind: "calls", calls: [{ name: "wait", input: { ms } }], usage: USAGE };
}

export function say(text: string): ScriptedReply {
  return { kind: "text", text, usage: USAGE };
}

/** What the model was told by tools, in its newest question. */
export function toldByTools({ requests }: TestGateway): unknown[] {
  const messages = requests.at(-1)?.body.messages ?? [];
  return messages.filter(({ role }) => role === "tool").map(({ content }) => content);
}

/** What a tool found, as the model is shown it. */
export function marked(text: string): unknown {
  return expect.stringMatching(new RegExp(`^<(data-[0-9a-f]{8})>\n${text}\n</\\1>$`));
}

export async function until(claim: () => boolean | Promise<boolean>): Promise<void> {
  const giveUpAt = Date.now() + 30_000;
  while (!(await claim())) {
    if (Date.now() > giveUpAt) throw new Error("It never came to pass.");
    await sleep(20);
  }
}

/** A call of any tool. */
export function call(name: string, input: Readonly<Record<string, unknown>> = {}): ScriptedReply {
  return { kind: "calls", calls: [{ name, input }], usage: USAGE };
}

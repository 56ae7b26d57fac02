import { setTimeout as sleep } from "node:timers/promises";
import { expect } from "vitest";
import { type DelegateSuite, startDelegateSuite } from "./delegate-suite.ts";
import type { ScriptedReply } from "./scripted-replies.ts";
import { type TestGateway, startTestGateway } from "./test-gateway.ts";

export const KEY = "sk-secret-key-that-nobody-may-see";
export const USAGE = { prompt_tokens: 100, completion_tokens: 10 };

/** A suite and the model endpoint that its runs ask. */
export async function startBoth(
  settings: Readonly<Record<string, string>> = {},
): Promise<{ gateway: TestGateway; suite: DelegateSuite } & AsyncDisposable> {
  const gateway = await startTestGateway({ key: KEY });
  const suite = await startDelegateSuite({
    MODEL_BASE_URL: gateway.baseUrl,
    MODEL_API_KEY: KEY,
    MODEL_DEFAULT: "m",
    ...settings,
  });
  return {
    gateway,
    suite,
    [Symbol.asyncDispose]: async () => {
      await suite[Symbol.asyncDispose]();
      await gateway[Symbol.asyncDispose]();
    },
  };
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

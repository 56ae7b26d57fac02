import { env } from "cloudflare:workers";
import { expect } from "vitest";
import { callTool } from "../../servers/core/call.ts";
import { findTool } from "../../servers/core/tool.ts";
import { filesServer } from "../../servers/files/index.ts";
import type { FileStore } from "../../servers/files/store.ts";
import { errorText } from "../../servers/shared/errors.ts";
import { parseSettings } from "../../servers/shared/settings.ts";
import { createPipeline } from "../../servers/suite.ts";

/** A person with the tools of the files server, on real local R2. */
export interface Person {
  readonly files: FileStore;
  /** What the tool answers: data as data, a text as a text, and an error as its words. */
  call(name: string, input: Readonly<Record<string, unknown>>): Promise<unknown>;
  /** The types of what is shown beside the text. */
  attachments(name: string, input: Readonly<Record<string, unknown>>): Promise<unknown>;
}

export function personOf(userId: string): Person {
  const caller = { userId, role: "member", scopes: ["files:read", "files:write"], clientId: "test" } as const;
  const pipeline = createPipeline(env, parseSettings(env), caller, { waitUntil: () => undefined });
  const watch = { signal: new AbortController().signal, reportProgress: () => undefined };
  const run = async (name: string, input: Readonly<Record<string, unknown>>) => {
    const tool = findTool([filesServer], name);
    if (tool === undefined) throw new Error(`There is no tool ${name}.`);
    return await callTool(tool, input, pipeline, watch);
  };
  return {
    files: pipeline.capabilities.files,
    call: async (name, input) => {
      const end = await run(name, input);
      return end.ok ? (end.outcome.data ?? end.outcome.text) : errorText(end.error);
    },
    attachments: async (name, input) => {
      const end = await run(name, input);
      expect(end).toMatchObject({ ok: true });
      return end.ok ? end.outcome.attachments : [];
    },
  };
}

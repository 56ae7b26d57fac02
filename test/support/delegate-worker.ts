import * as z from "zod";
import type { Caller } from "../../auth/caller.ts";
import type { Scope } from "../../auth/scopes.ts";
import type { CallEnd } from "../../servers/core/call.ts";
import type { Tool } from "../../servers/core/tool.ts";
import { budgetInput } from "../../servers/delegate/budget.ts";
import { DelegateRunObject } from "../../servers/delegate/run.ts";
import { createDelegateRuns } from "../../servers/delegate/runs.ts";
import type { Toolbox } from "../../servers/delegate/toolbox.ts";
import type { FileStore } from "../../servers/files/store.ts";
import { ToolError } from "../../servers/shared/errors.ts";
import { parseSettings } from "../../servers/shared/settings.ts";

/** The Worker around delegated runs in tests: a few tools of its own, whose effects are seen in the bucket. */
interface Env {
  readonly EFFECTS: R2Bucket;
  readonly FILES: R2Bucket;
  readonly DELEGATE_RUN: DurableObjectNamespace<DelegateRunObject>;
}

type Work = (input: unknown, effects: Effects, signal: AbortSignal) => Promise<CallEnd>;

interface Effects {
  note(text: string): Promise<void>;
}

const noteInput = z.strictObject({ text: z.string() });
const waitInput = z.strictObject({ ms: z.int().min(0) });

const TOOLS: readonly { readonly tool: Tool; readonly work: Work }[] = [
  declare("note", noteInput, ["files:write"], async (input, effects) => {
    const { text } = noteInput.parse(input);
    await effects.note(text);
    return done(`noted ${text}`);
  }),
  declare("wait", waitInput, ["sandbox:exec"], async (input, effects, signal) => {
    await effects.note("wait begun");
    const ended = Promise.withResolvers<string>();
    setTimeout(() => ended.resolve("wait ended"), waitInput.parse(input).ms);
    signal.addEventListener("abort", () => ended.resolve("wait aborted"));
    const how = await ended.promise;
    await effects.note(how);
    return done(how);
  }),
  declare("picture", z.strictObject({}), ["browser:read"], async () => ({
    ok: true,
    durationMs: 1,
    outcome: {
      text: "x".repeat(50_000),
      attachments: [
        { type: "image", base64: "aGlkZGVu", mimeType: "image/png" },
        { type: "link", path: "artifacts/p.png", mimeType: "image/png", sizeBytes: 6 },
      ],
    },
  })),
  declare("administer", z.strictObject({}), ["admin"], async () => done("administered")),
  declare("delegate_run", z.strictObject({}), ["delegate:run"], async () => done("delegated")),
];

function declare(name: string, input: z.ZodObject, scopes: readonly Scope[], work: Work): { tool: Tool; work: Work } {
  const annotations = { readOnlyHint: false, destructiveHint: false, idempotentHint: false, openWorldHint: false };
  const run = async (): Promise<never> => await Promise.reject(new Error("Called around the toolbox."));
  return { work, tool: { name, title: name, description: `Does ${name}.`, input, scopes, annotations, run } };
}

function done(text: string): CallEnd {
  return { ok: true, durationMs: 1, outcome: { text, attachments: [] } };
}

export class DelegateRun extends DelegateRunObject<Env> {
  protected override filesOf({ userId }: Caller): Pick<FileStore, "write"> {
    return {
      write: async (path, content, { mimeType = "" } = {}) => {
        if (typeof content !== "string") throw new Error("A conversation is a text.");
        await this.env.FILES.put(`${userId}/${path}`, content);
        return { path, mimeType, sizeBytes: content.length, modifiedAt: new Date(), etag: "" };
      },
    };
  }

  protected override toolboxFor(_caller: Caller, runId: string): Toolbox {
    const effects = {
      note: async (text: string) =>
        void (await this.env.EFFECTS.put(`${Date.now()} ${crypto.randomUUID()}`, `${runId} ${text}`)),
    };
    return {
      tools: TOOLS.map(({ tool }) => tool),
      callTool: async (tool, input, signal) => {
        const parsed = tool.input.safeParse(input);
        if (!parsed.success)
          return { ok: false, durationMs: 1, error: new ToolError("invalid_input", "Correct the arguments.") };
        const { work } = TOOLS.find(({ tool: known }) => known === tool) ?? {};
        if (work === undefined) throw new Error("No such tool.");
        return await work(parsed.data, effects, signal);
      },
    };
  }
}

const order = z.object({
  userId: z.string(),
  scopes: z.array(z.enum(["files:write", "sandbox:exec", "browser:read", "delegate:run", "admin"])),
  task: z.string().optional(),
  model: z.string().optional(),
  runId: z.string().default(""),
  budget: budgetInput.prefault({}),
  waitMs: z.int(),
  /** Plays a client that goes away. */
  cancelAfterMs: z.int().optional(),
});

export default {
  fetch: async (request, env, ctx) => {
    const { userId, scopes, task, model, runId, budget, waitMs, cancelAfterMs } = order.parse(await request.json());
    const runs = createDelegateRuns({
      namespace: env.DELEGATE_RUN,
      caller: { userId, role: "member", scopes, clientId: "client-1" },
      settings: parseSettings(env),
      waitUntil: (work) => ctx.waitUntil(work),
    });
    const progress: string[] = [];
    const client = new AbortController();
    if (cancelAfterMs !== undefined) setTimeout(() => client.abort(), cancelAfterMs);
    const watch = { waitMs, signal: client.signal, onProgress: (activity: string) => void progress.push(activity) };
    try {
      const report =
        task === undefined
          ? await runs.wait(runId, watch)
          : await runs.start({ task, budget, ...(model === undefined ? {} : { model }) }, watch);
      return Response.json({ ok: true, report, progress });
    } catch (failure) {
      if (!(failure instanceof ToolError)) throw failure;
      return Response.json({ ok: false, code: failure.code, message: failure.message });
    }
  },
} satisfies ExportedHandler<Env>;

import * as z from "zod";
import type { Caller } from "../../auth/caller.ts";
import { ALL_SCOPES, type Scope, isScope } from "../../auth/scopes.ts";
import { Account } from "../../servers/account/account.ts";
import { Directory } from "../../servers/directory/directory.ts";
import { createArtifacts } from "../../servers/core/artifacts.ts";
import type { CallEnd } from "../../servers/core/call.ts";
import type { Capabilities, Tool, ToolContext } from "../../servers/core/tool.ts";
import { budgetInput } from "../../servers/delegate/budget.ts";
import type { HostedRun, RunHost } from "../../servers/delegate/host.ts";
import type { ChildRun } from "../../servers/delegate/run-end.ts";
import type { RunStart, StartAnswer } from "../../servers/delegate/run-start.ts";
import { DelegateRunObject } from "../../servers/delegate/run.ts";
import { type DelegateRuns, type RunWatch, createDelegateRuns, runName } from "../../servers/delegate/runs.ts";
import * as delegateTools from "../../servers/delegate/tools.ts";
import { SANDBOX_MODES } from "../../servers/delegate/transcript.ts";
import { noteWrites } from "../../servers/files/note-writes.ts";
import { type FileStore, createFileStore } from "../../servers/files/store.ts";
import { ToolError } from "../../servers/shared/errors.ts";
import { parseSettings } from "../../servers/shared/settings.ts";

export { Account, Directory };

/** The Worker around delegated runs in tests: a few tools of its own, whose effects are seen in the bucket. */
interface Env {
  readonly EFFECTS: R2Bucket;
  readonly FILES: R2Bucket;
  /** What a test says of a person, by `userId` and a word: `scopes` (none: revoked), `standing` or `leave`. */
  readonly GRANTS: R2Bucket;
  readonly LOSE_START_OF?: string;
  readonly ACCOUNT: DurableObjectNamespace<Account>;
  readonly DELEGATE_RUN: DurableObjectNamespace<DelegateRunObject>;
}

interface Work {
  readonly input: unknown;
  readonly signal: AbortSignal;
  readonly files: FileStore;
  readonly note: (text: string) => Promise<void>;
}

const noteInput = z.strictObject({ text: z.string() });
const waitInput = z.strictObject({ ms: z.int().min(0) });
const fileInput = z.strictObject({ path: z.string(), text: z.string() });

const FIXTURES: readonly { readonly tool: Tool; readonly work: (work: Work) => Promise<CallEnd> }[] = [
  declare("note", noteInput, ["files:write"], async ({ input, note }) => {
    const { text } = noteInput.parse(input);
    await note(text);
    return done(`noted ${text}`);
  }),
  declare("keep", fileInput, ["files:write"], async ({ input, files }) => {
    const { path, text } = fileInput.parse(input);
    await files.write(path, text);
    return done(`kept ${path}`);
  }),
  declare("wait", waitInput, ["sandbox:exec"], async ({ input, note, signal }) => {
    await note("wait begun");
    const ended = Promise.withResolvers<string>();
    setTimeout(() => ended.resolve("wait ended"), waitInput.parse(input).ms);
    signal.addEventListener("abort", () => ended.resolve("wait aborted"));
    const how = await ended.promise;
    await note(how);
    return done(how);
  }),
  declare("sandbox_exec", z.strictObject({}), ["sandbox:exec"], async () => ({
    ok: true,
    durationMs: 1,
    outcome: { text: "It goes on.", data: { process_id: "main:p1" }, attachments: [] },
  })),
  declare(
    "sandbox_send",
    z.strictObject({ process_id: z.string(), signal: z.string(), wait_ms: z.int() }),
    ["sandbox:exec"],
    async ({ input, note }) => {
      await note(`sent ${JSON.stringify(input)}`);
      return done("sent");
    },
  ),
  declare("sandbox_wait", z.strictObject({}), ["sandbox:exec"], async () => done("It goes on.")),
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
];

const TOOLS: readonly Tool[] = [...FIXTURES.map(({ tool }) => tool), ...Object.values(delegateTools)];

function declare(
  name: string,
  input: z.ZodObject,
  scopes: readonly Scope[],
  work: (work: Work) => Promise<CallEnd>,
): { tool: Tool; work: (work: Work) => Promise<CallEnd> } {
  const annotations = { readOnlyHint: false, destructiveHint: false, idempotentHint: false, openWorldHint: false };
  const run = async (): Promise<never> => await Promise.reject(new Error("Called around the host."));
  return { work, tool: { name, title: name, description: `Does ${name}.`, input, scopes, annotations, run } };
}

function done(text: string): CallEnd {
  return { ok: true, durationMs: 1, outcome: { text, attachments: [] } };
}

function runsOf(
  env: Env,
  caller: Caller,
  waitUntil: (work: Promise<unknown>) => void,
  parent?: HostedRun,
): DelegateRuns {
  return createDelegateRuns({
    namespace: env.DELEGATE_RUN,
    caller,
    settings: parseSettings(env),
    account: accountOf(env, caller),
    files: filesOf(env, caller, waitUntil),
    waitUntil,
    ...(parent === undefined ? {} : { parent: parent.asParent }),
  });
}

function accountOf(env: Env, { userId }: Caller): DurableObjectStub<Account> {
  return env.ACCOUNT.get(env.ACCOUNT.idFromName(userId));
}

function filesOf(env: Env, caller: Caller, waitUntil: (work: Promise<unknown>) => void): FileStore {
  return createFileStore(env.FILES, caller.userId, { account: accountOf(env, caller), waitUntil });
}

export class DelegateRun extends DelegateRunObject<Env> {
  /** Plays an answer that is lost on its way back. */
  override async start(start: RunStart): Promise<StartAnswer> {
    const answer = await super.start(start);
    if (start.task === this.env.LOSE_START_OF) throw new Error("The answer is lost.");
    return answer;
  }

  protected override suiteTools(): readonly Tool[] {
    return TOOLS;
  }

  protected override hostOf(run: HostedRun): RunHost {
    const { caller, runId } = run;
    const waitUntil = (work: Promise<unknown>): void => this.ctx.waitUntil(work);
    const files = noteWrites(filesOf(this.env, caller, waitUntil), run.onFile);
    const delegates = runsOf(this.env, caller, waitUntil, run);
    const note = async (text: string): Promise<void> =>
      void (await this.env.EFFECTS.put(`${caller.userId} ${Date.now()} ${crypto.randomUUID()}`, `${runId} ${text}`));
    const call: RunHost["callTool"] = async (tool, input, signal) => {
      const fixture = FIXTURES.find(({ tool: known }) => known === tool);
      if (fixture === undefined) return await callDelegateTool(tool, input, { caller, delegates, files, signal });
      if (!tool.input.safeParse(input).success)
        return { ok: false, durationMs: 1, error: new ToolError("invalid_input", "Correct the arguments.") };
      return await fixture.work({ input, signal, files, note });
    };
    return {
      files,
      account: accountOf(this.env, caller),
      checkStanding: async () => await checkStanding(this.env, caller),
      scopesNow: async () => await scopesNow(this.env, caller),
      forkSandbox: async () => await note(`forked ${run.forkOf}`),
      discardSandbox: async () => await note("discarded"),
      callTool: call,
      endWith: async (tool, input) => await call(tool, input, new AbortController().signal),
    };
  }

  protected override childRun({ userId }: Caller, runId: string): ChildRun {
    return this.env.DELEGATE_RUN.get(this.env.DELEGATE_RUN.idFromName(runName(userId, runId)));
  }
}

/** The person stands as the suite says: with a code of `ToolError`, or well. */
async function checkStanding({ GRANTS }: Env, { userId }: Caller): Promise<void> {
  const said = await (await GRANTS.get(`${userId} standing`))?.text();
  if (said === "forbidden" || said === "limit_reached" || said === "unavailable") throw new ToolError(said, "As told.");
}

async function scopesNow({ GRANTS }: Env, { userId }: Caller): Promise<readonly Scope[] | undefined> {
  const changed = await (await GRANTS.get(`${userId} scopes`))?.text();
  if (changed === undefined) return ALL_SCOPES;
  return changed === "" ? undefined : changed.split(" ").filter(isScope);
}

/** The real tools, with no more of the suite at hand than they use. */
async function callDelegateTool(
  tool: Tool,
  input: unknown,
  { files, ...given }: Pick<ToolContext, "caller" | "delegates" | "files" | "signal">,
): Promise<CallEnd> {
  const absent = (): never => {
    throw new Error("Not in this suite.");
  };
  const context: ToolContext = {
    ...given,
    files,
    artifacts: createArtifacts(files, () => new Date()),
    sandbox: absent,
    previews: { expose: absent, share: absent, withdraw: absent, list: absent },
    browsers: { named: absent },
    shareLinks: ABSENT_LINKS,
    reportProgress: () => undefined,
  };
  try {
    return { ok: true, durationMs: 1, outcome: await tool.run(input, context) };
  } catch (failure) {
    if (!(failure instanceof ToolError)) throw failure;
    return { ok: false, durationMs: 1, error: failure };
  }
}

const refuse = async (): Promise<never> => await Promise.reject(new Error("Not in this suite."));
const ABSENT_LINKS: Capabilities["shareLinks"] = { create: refuse, list: refuse, revoke: refuse };

const order = z.object({
  userId: z.string(),
  clientId: z.string().default("client-1"),
  scopes: z.array(z.string()).transform((scopes) => ALL_SCOPES.filter((scope) => scopes.includes(scope))),
  task: z.string().optional(),
  material: z.array(z.string()).default([]),
  tools: z.array(z.string()).optional(),
  model: z.string().optional(),
  fallbacks: z.array(z.string()).optional(),
  outputSchema: z.record(z.string(), z.unknown()).optional(),
  sandboxMode: z.enum(SANDBOX_MODES).default("share"),
  idempotencyKey: z.string().optional(),
  runId: z.string().default(""),
  answer: z.string().optional(),
  cancel: z.boolean().default(false),
  list: z.boolean().default(false),
  usage: z.boolean().default(false),
  budget: budgetInput.prefault({}),
  waitMs: z.int(),
  /** Plays a client that goes away when the test says so. */
  mayLeave: z.boolean().default(false),
});

type Order = z.output<typeof order>;

/** Left out rather than `undefined`. */
function given<const Name extends string, Value>(name: Name, value: Value | undefined): { [name in Name]?: Value } {
  const holder: { [name in Name]?: Value } = {};
  if (value !== undefined) holder[name] = value;
  return holder;
}

async function follow(runs: DelegateRuns, asked: Order, watch: RunWatch): Promise<unknown> {
  if (asked.list) return await runs.list();
  if (asked.cancel) return await runs.cancel(asked.runId);
  if (asked.answer !== undefined) await runs.answer(asked.runId, asked.answer);
  if (asked.task === undefined) return await runs.wait(asked.runId, watch);
  const { task, material, budget, sandboxMode } = asked;
  return await runs.start(
    {
      task,
      material,
      budget,
      sandboxMode,
      ...given("tools", asked.tools),
      ...given("model", asked.model),
      ...given("fallbacks", asked.fallbacks),
      ...given("outputSchema", asked.outputSchema),
      ...given("idempotencyKey", asked.idempotencyKey),
    },
    watch,
  );
}

async function leaveWhenTold({ GRANTS }: Env, { userId }: Caller, client: AbortController): Promise<void> {
  while ((await GRANTS.head(`${userId} leave`)) === null) await scheduler.wait(20);
  client.abort();
}

export default {
  fetch: async (request, env, ctx) => {
    const asked = order.parse(await request.json());
    const caller: Caller = { userId: asked.userId, role: "member", scopes: asked.scopes, clientId: asked.clientId };
    const runs = runsOf(env, caller, (work) => ctx.waitUntil(work));
    const progress: string[] = [];
    const client = new AbortController();
    if (asked.mayLeave) ctx.waitUntil(leaveWhenTold(env, caller, client));
    const { waitMs } = asked;
    const watch = { waitMs, signal: client.signal, onProgress: (activity: string) => void progress.push(activity) };
    if (asked.usage) {
      const [days, things] = [{ fromDay: "2000-01-01", toDay: "2999-12-31" }, await accountOf(env, caller).things()];
      const models = await accountOf(env, caller).usage({ ...days, by: "model" });
      const clients = await accountOf(env, caller).usage({ ...days, by: "client" });
      return Response.json({ ok: true, answer: { models, clients, runs: things.runs }, progress });
    }
    try {
      return Response.json({ ok: true, answer: await follow(runs, asked, watch), progress });
    } catch (failure) {
      if (!(failure instanceof ToolError)) throw failure;
      return Response.json({ ok: false, code: failure.code, message: failure.message });
    }
  },
} satisfies ExportedHandler<Env>;

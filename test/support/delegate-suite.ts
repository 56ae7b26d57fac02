import { randomUUID } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Miniflare, convertV4MiniflareOptions } from "miniflare";
import * as z from "zod";
import { type BudgetInput, ledgerSchema } from "../../servers/delegate/budget.ts";
import { filesPrefix } from "../../servers/shared/paths.ts";
import { bundleWorker } from "./bundle-worker.ts";
import { LOCAL_SETTINGS } from "./local-settings.ts";

const keptFile = z.object({ path: z.string(), mimeType: z.string(), sizeBytes: z.number() });

const report = z.object({
  version: z.number(),
  runId: z.string(),
  status: z.string(),
  activity: z.string(),
  startedAtMs: z.number(),
  endedAtMs: z.number().optional(),
  result: z.string().optional(),
  isStructured: z.boolean(),
  error: z.string().optional(),
  question: z.string().optional(),
  turns: z.number(),
  modelsUsed: z.array(z.string()),
  ledger: ledgerSchema,
  unreportedTokens: z.number(),
  toolCalls: z.record(z.string(), z.number()),
  artifacts: z.array(keptFile),
  notes: z.array(z.string()),
  conversation: keptFile.optional(),
});

const listed = z.array(z.object({ runId: z.string(), status: z.string(), title: z.string(), startedAtMs: z.number() }));

const answer = z.discriminatedUnion("ok", [
  z.object({ ok: z.literal(true), answer: z.unknown(), progress: z.array(z.string()) }),
  z.object({ ok: z.literal(false), code: z.string(), message: z.string() }),
]);

export type DelegateAnswer = z.output<typeof answer>;
export type DelegateReport = z.output<typeof report>;

export interface DelegateOrder {
  readonly task?: string;
  readonly material?: readonly string[];
  readonly tools?: readonly string[];
  readonly model?: string;
  readonly fallbacks?: readonly string[];
  readonly outputSchema?: Readonly<Record<string, unknown>>;
  readonly sandboxMode?: "share" | "fork" | "none";
  readonly idempotencyKey?: string;
  readonly runId?: string;
  readonly answer?: string;
  readonly cancel?: boolean;
  readonly userId?: string;
  readonly clientId?: string;
  readonly scopes?: readonly string[];
  readonly budget?: BudgetInput;
  readonly waitMs?: number;
  readonly mayLeave?: boolean;
}

/** One person's delegated runs in the real workerd, on a disk of their own. */
export interface DelegateSuite extends AsyncDisposable {
  send(order: DelegateOrder): Promise<DelegateAnswer>;
  /** As `send`, for orders that are answered with a report. */
  report(order: DelegateOrder): Promise<DelegateReport>;
  /** The person's runs, the newest first. */
  list(): Promise<z.output<typeof listed>>;
  /** What the person's account has of models, of clients and of runs. */
  usage(): Promise<unknown>;
  /** Makes the clients go away that may. */
  leave(): Promise<void>;
  /** Leaves the person's grant with those scopes, or takes it away. */
  changeGrant(scopes: readonly string[]): Promise<void>;
  /** What the person's account says of them: that they stand well, or the code of a refusal. */
  setStanding(standing: "well" | "forbidden" | "limit_reached" | "unavailable"): Promise<void>;
  /** What the fixture's tools did, in order. */
  effects(): Promise<string[]>;
  /** What the caller's files hold, by path. */
  files(): Promise<ReadonlyMap<string, string>>;
  /** Everything that the Worker has logged. */
  logs(): string;
  /** Kills workerd in the middle of whatever it does and starts it on the same disk. */
  killAndRestart(): Promise<void>;
  /** Ends what is under way, and goes on with another person, who has done nothing yet. */
  changePerson(): Promise<void>;
}

const SCOPES = ["files:read", "files:write", "sandbox:exec", "browser:read", "delegate:run", "admin"];

export async function startDelegateSuite(settings: Readonly<Record<string, string>>): Promise<DelegateSuite> {
  const script = await bundleWorker(join(import.meta.dirname, "delegate-worker.ts"));
  const disk = await mkdtemp(join(tmpdir(), "delegate-suite-"));
  const logged: string[] = [];
  const start = (): Miniflare =>
    new Miniflare(
      convertV4MiniflareOptions({
        modules: true,
        script,
        compatibilityDate: "2026-11-01",
        compatibilityFlags: ["nodejs_compat", "global_fetch_strictly_public"],
        bindings: { ...LOCAL_SETTINGS, ...settings },
        durableObjects: {
          ACCOUNT: { className: "Account", useSQLite: true },
          DIRECTORY: { className: "Directory", useSQLite: true },
          DELEGATE_RUN: { className: "DelegateRun", useSQLite: true },
        },
        r2Buckets: ["EFFECTS", "FILES", "GRANTS"],
        resourcePersistencePath: disk,
        cf: false,
        handleStructuredLogs: ({ message }) => void logged.push(message),
      }),
    );
  let miniflare = start();
  let person = newUserId();

  const send = async ({
    userId = person,
    scopes = SCOPES,
    waitMs = 20_000,
    ...order
  }: DelegateOrder & { readonly list?: boolean; readonly usage?: boolean }): Promise<DelegateAnswer> => {
    const body = JSON.stringify({ ...order, userId, scopes, waitMs });
    const response = await miniflare.dispatchFetch("http://localhost/", { method: "POST", body });
    const text = await response.text();
    if (response.status !== 200) throw new Error(text);
    return answer.parse(JSON.parse(text));
  };

  const list = async (): Promise<z.output<typeof listed>> => {
    const sent = await send({ list: true });
    if (!sent.ok) throw new Error(`${sent.code}: ${sent.message}`);
    return listed.parse(sent.answer);
  };
  const told = async (name: string, text: string): Promise<void> => {
    const grants = await miniflare.getR2Bucket("GRANTS");
    await grants.put(`${person} ${name}`, text);
  };

  return {
    send,
    report: async (order) => {
      const sent = await send(order);
      if (!sent.ok) throw new Error(`${sent.code}: ${sent.message}`);
      return report.parse(sent.answer);
    },
    list,
    usage: async () => {
      const sent = await send({ usage: true });
      return sent.ok ? sent.answer : sent;
    },
    leave: async () => await told("leave", ""),
    changeGrant: async (scopes) => await told("scopes", scopes.join(" ")),
    setStanding: async (standing) => await told("standing", standing),
    effects: async () => {
      const bucket = await miniflare.getR2Bucket("EFFECTS");
      const { objects } = await bucket.list({ prefix: person });
      const keys = objects.map(({ key }) => key).toSorted();
      const bodies = await Promise.all(keys.map(async (key) => await (await bucket.get(key))?.text()));
      return bodies.map((body) => (body ?? "").replace(/^\S+ /, ""));
    },
    files: async () => {
      const bucket = await miniflare.getR2Bucket("FILES");
      const { objects } = await bucket.list({ prefix: filesPrefix(person) });
      const bodies = objects.map(
        async ({ key }) =>
          [key.slice(filesPrefix(person).length), (await (await bucket.get(key))?.text()) ?? ""] as const,
      );
      return new Map(await Promise.all(bodies));
    },
    logs: () => logged.join("\n"),
    killAndRestart: async () => {
      await miniflare.dispose();
      miniflare = start();
      await miniflare.ready;
    },
    changePerson: async () => {
      for (const { runId } of await list()) await send({ runId, cancel: true });
      person = newUserId();
    },
    [Symbol.asyncDispose]: async () => {
      await miniflare.dispose();
      await rm(disk, { recursive: true, force: true });
    },
  };
}

function newUserId(): string {
  return randomUUID().replaceAll("-", "");
}

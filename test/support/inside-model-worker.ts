import type { Caller } from "../../auth/caller.ts";
import { ALL_SCOPES } from "../../auth/scopes.ts";
import { Account } from "../../servers/account/account.ts";
import { createRecorder } from "../../servers/account/books.ts";
import { type GateMemory, createGate, newGateMemory } from "../../servers/core/gate.ts";
import { consoleLog } from "../../servers/core/log.ts";
import { readUsage } from "../../servers/core/usage-report.ts";
import { NANO_USD } from "../../servers/delegate/budget.ts";
import { Directory } from "../../servers/directory/directory.ts";
import { serveInsideModel } from "../../servers/inside/model.ts";
import { parseSettings } from "../../servers/shared/settings.ts";

export { Account, Directory };

interface Env {
  readonly ACCOUNT: DurableObjectNamespace<Account>;
  readonly SILENCE_MS?: string;
}

let gates: GateMemory | undefined;
const books = new Map();

/** Answers as `model.internal` does for the sandbox of whoever `x-test-user` names; `/test/…` shows what became of it. */
export default {
  fetch: async (request, env, ctx) => {
    const settings = parseSettings(env);
    const userId = request.headers.get("x-test-user") ?? "u".repeat(32);
    const account = env.ACCOUNT.get(env.ACCOUNT.idFromName(userId));
    const rules = { policy: async () => ({ ofRole: settings.LIMITS }) };
    const isWithheld = request.headers.has("x-test-withheld");
    const scopes = ALL_SCOPES.filter((scope) => !isWithheld || scope !== "delegate:run");
    const caller: Caller = { userId, role: "member", clientId: "sandbox:main", scopes };
    const waitUntil = (work: Promise<unknown>): void => ctx.waitUntil(work);
    if (new URL(request.url).pathname === "/test/books") {
      consoleLog.info("books shown");
      const days = { fromDay: "2000-01-01", toDay: "2999-12-31" };
      const limit = {
        tokens: settings.DELEGATE_DAILY_TOKENS,
        nanoUsd: Math.floor(settings.DELEGATE_DAILY_USD * NANO_USD),
      };
      const { left, leftAtBest } = await account.reserveModelCall("probe", { tokens: 1e15, nanoUsd: 0 }, limit);
      return Response.json({
        left,
        leftAtBest,
        audit: await account.listAudit(50),
        models: await account.usage({ ...days, by: "model" }),
        servers: await account.usage({ ...days, by: "server" }),
      });
    }
    if (new URL(request.url).pathname === "/test/pause") {
      await account.setRules({ paused: { sinceMs: Date.now(), reason: "enough" } });
      return new Response();
    }
    return await serveInsideModel(
      {
        request,
        waitUntil,
        pipeline: {
          caller,
          log: consoleLog,
          gate: createGate({
            ...{
              userId,
              role: caller.role,
              publicUrl: settings.PUBLIC_URL,
              memory: (gates ??= newGateMemory()),
              waitUntil,
            },
            source: {
              ...rules,
              standing: async (isolate, inFlight) => await account.standingAtGate(isolate, inFlight),
              setRoleStorage: async (storageMb) => await account.setRoleStorage(storageMb),
            },
          }),
          record: createRecorder(books, {
            ...{ account, userId, clientId: caller.clientId, isBilled: false, waitUntil, log: consoleLog },
          }),
          readUsage: async () => await readUsage(caller, settings, account, rules),
        },
      },
      {
        settings,
        account,
        fetcher: async (input, init) => await fetch(input, init),
        ...(env.SILENCE_MS === undefined ? {} : { silenceMs: Number(env.SILENCE_MS) }),
      },
    );
  },
} satisfies ExportedHandler<Env>;

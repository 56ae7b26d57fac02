import type { Caller } from "../../auth/caller.ts";
import type { Account } from "../account/account.ts";
import type { UsageRow } from "../account/usage-table.ts";
import { LIMIT_NAMES, type LimitName, type Limits, type Policy, type Standing, limitsOf } from "../shared/limits.ts";
import { DAY_MS, HOUR_MS, nextOf } from "./limit-check.ts";

/** What one person has used of the day, as their clients are told it. */
export interface UsageReport {
  readonly day: string;
  readonly resets_at: string;
  readonly paused?: { readonly since: string; readonly reason: string };
  readonly calls: number;
  readonly failed: number;
  readonly usd: number;
  readonly tokens: { readonly input: number; readonly output: number };
  readonly by_server: Readonly<Record<string, { readonly calls: number; readonly usd: number }>>;
  /** By limit. One without `limit` does not hold. */
  readonly limits: Readonly<Record<string, LimitReport>>;
  /** How often each limit has refused something today. */
  readonly refused: Readonly<Record<string, number>>;
  readonly who_can_raise: string;
}

interface LimitReport {
  readonly limit?: number;
  readonly used?: number;
  readonly left?: number;
}

type Books = Pick<DurableObjectStub<Account>, "standing" | "usage">;
interface Rules {
  policy(): Promise<Policy>;
}

/** Asks the books how the day stands. */
export async function readUsage(
  { role }: Pick<Caller, "role">,
  settings: { readonly PUBLIC_URL: string; readonly FILES_QUOTA_MB: number },
  books: Books,
  rules: Rules,
): Promise<UsageReport> {
  const [standing, policy] = await Promise.all([books.standing(), rules.policy()]);
  const { day } = standing.today;
  const servers = await books.usage({ fromDay: day, toDay: day, by: "server" });
  const limits = limitsOf(policy.ofRole[role], standing.own);
  const paused = policy.pausedAll ?? standing.paused;
  return {
    day,
    resets_at: nextOf(DAY_MS, Date.parse(day)),
    ...(paused === undefined
      ? {}
      : { paused: { since: new Date(paused.sinceMs).toISOString(), reason: paused.reason } }),
    calls: standing.today.calls,
    failed: sum(servers, ({ failed }) => failed),
    usd: standing.today.nanoUsd / 1e9,
    tokens: {
      input: sum(servers, ({ inputTokens }) => inputTokens),
      output: sum(servers, ({ outputTokens }) => outputTokens),
    },
    by_server: Object.fromEntries(
      servers.map(({ key, calls, nanoUsd, estimatedNanoUsd }) => [
        key,
        { calls, usd: (nanoUsd + estimatedNanoUsd) / 1e9 },
      ]),
    ),
    limits: describeLimits({ storageMb: settings.FILES_QUOTA_MB, ...limits }, standing),
    refused: Object.fromEntries(
      standing.hits.filter((hit) => hit.day === day).map(({ limit, count }) => [LIMIT_NAMES[limit], count]),
    ),
    who_can_raise: `An admin, at ${settings.PUBLIC_URL}/admin/limits.`,
  };
}

function describeLimits(limits: Limits, { today }: Standing): UsageReport["limits"] {
  const report = (name: LimitName, used?: number): [string, LimitReport] => {
    const limit = limits[name];
    return [
      LIMIT_NAMES[name],
      {
        ...(limit === undefined ? {} : { limit }),
        ...(used === undefined ? {} : { used }),
        ...(limit === undefined || used === undefined ? {} : { left: Math.max(0, limit - used) }),
      },
    ];
  };
  return Object.fromEntries([
    report("callsPerMinute"),
    report("concurrentCalls"),
    report("usdPerDay", today.nanoUsd / 1e9),
    report("sandboxHoursPerDay", today.sandboxMs / HOUR_MS),
    report("browserHoursPerDay", today.browserMs / HOUR_MS),
    report("storageMb", today.storageBytes / 1024 / 1024),
  ]);
}

function sum(rows: readonly UsageRow[], figure: (row: UsageRow) => number): number {
  return rows.reduce((total, row) => total + figure(row), 0);
}

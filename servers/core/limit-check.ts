import { LIMIT_NAMES, type LimitName, LimitReached, type Limits, type Standing } from "../shared/limits.ts";

const MINUTE_MS = 60_000;
export const HOUR_MS = 60 * MINUTE_MS;
export const DAY_MS = 24 * HOUR_MS;

/** What a person has used so far. */
export interface Used extends Omit<Standing["today"], "day"> {
  readonly nowMs: number;
  readonly callsThisMinute: number;
  readonly callsUnderWay: number;
}

/** Of each limit that is used up by the day, and when it holds: how much of it is used. */
const PER_DAY: readonly (readonly [limit: LimitName, used: (used: Used) => number, servers?: readonly string[]])[] = [
  ["usdPerDay", ({ nanoUsd }) => nanoUsd / 1e9],
  ["sandboxHoursPerDay", ({ sandboxMs }) => sandboxMs / HOUR_MS, ["sandbox", "interpreter"]],
  ["browserHoursPerDay", ({ browserMs }) => browserMs / HOUR_MS, ["browser"]],
];

/** Whoever has nothing left for today may still end what they have going. */
const ENDING: ReadonlySet<string> = new Set(["browser_close", "delegate_cancel", "sandbox_send", "tasks/cancel"]);

/** Throws `LimitReached` where a call of that name may not begin: which limit, when it begins anew, who can raise it. */
export function refuseWhereUsedUp(name: string, limits: Limits, used: Used, publicUrl: string): void {
  const refuse = (limit: LimitName, state: string): never => {
    const raise = `or have an admin raise it at ${publicUrl}/admin/limits`;
    throw new LimitReached(limit, `${LIMIT_NAMES[limit]} (${limits[limit]}) ${state}, ${raise}.`);
  };
  const isOver = (limit: LimitName, usedSoFar: number): boolean => usedSoFar >= (limits[limit] ?? Infinity);
  if (isOver("callsPerMinute", used.callsThisMinute)) {
    refuse("callsPerMinute", `is used up until ${nextOf(MINUTE_MS, used.nowMs)}: wait until then`);
  }
  if (takesPlace(name) && isOver("concurrentCalls", used.callsUnderWay)) {
    refuse("concurrentCalls", "are under way: call again once one of them has ended");
  }
  if (ENDING.has(name)) return;
  const [server = ""] = name.split("_");
  for (const [limit, usedOf, servers] of PER_DAY) {
    if (servers?.includes(server) === false || !isOver(limit, usedOf(used))) continue;
    refuse(limit, `is used up until ${nextOf(DAY_MS, used.nowMs)}: go on then`);
  }
}

/** Whether a call is one of those under way. One that waits for a run is not: the run's own calls are. */
export function takesPlace(name: string): boolean {
  return !name.startsWith("delegate_") && !name.startsWith("tasks/");
}

/** When a minute or a day that is UTC's begins anew. */
export function nextOf(spanMs: number, nowMs: number): string {
  return new Date((Math.floor(nowMs / spanMs) + 1) * spanMs).toISOString();
}

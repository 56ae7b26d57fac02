import * as z from "zod";
import { ToolError } from "./errors.ts";
import { jsonText } from "./setting-kinds.ts";

export const ROLES = ["admin", "member", "reader"] as const;
export type Role = (typeof ROLES)[number];

const count = z.int().min(0).max(1_000_000);
const amount = z.number().min(0).max(1_000_000);

/** What one person may use; of what is absent, as much as they like. Days are UTC's. */
export const limitsSchema = z.strictObject({
  callsPerMinute: count.optional(),
  /** Calls under way at the same time. */
  concurrentCalls: count.optional(),
  /** Everything that the day cost, models among it. */
  usdPerDay: amount.optional(),
  sandboxHoursPerDay: amount.optional(),
  browserHoursPerDay: amount.optional(),
  /** Files and trash together, in place of FILES_QUOTA_MB. */
  storageMb: count.optional(),
});

export type Limits = Readonly<z.output<typeof limitsSchema>>;
export type LimitName = keyof Limits;

/** Each limit as settings, refusals and clients spell it. */
export const LIMIT_NAMES = {
  callsPerMinute: "calls_per_minute",
  concurrentCalls: "concurrent_calls",
  usdPerDay: "usd_per_day",
  sandboxHoursPerDay: "sandbox_hours_per_day",
  browserHoursPerDay: "browser_hours_per_day",
  storageMb: "storage_mb",
} as const satisfies Record<LimitName, string>;

/** Nobody's work stops for a while, or for good until somebody lifts it. */
export interface Pause {
  readonly sinceMs: number;
  /** Why, in the words of whoever paused; may be empty. */
  readonly reason: string;
}

/** What holds for everybody. */
export interface Policy {
  readonly pausedAll?: Pause;
  readonly ofRole: Readonly<Record<Role, Limits>>;
}

/** How often a limit refused something. */
export interface Hit {
  readonly limit: LimitName;
  readonly day: string;
  readonly count: number;
  readonly lastAtMs: number;
}

/** What one person's account says of them: their own limits go before their role's. */
export interface Standing {
  readonly paused?: Pause;
  readonly own: Limits;
  readonly today: {
    readonly day: string;
    readonly calls: number;
    readonly nanoUsd: number;
    readonly sandboxMs: number;
    readonly browserMs: number;
    readonly storageBytes: number;
  };
  /** The last that were hit, newest first. */
  readonly hits: readonly Hit[];
}

/** More than any agent that is well makes, and less than one that runs wild. */
const BUILT_IN: Limits = { callsPerMinute: 3_000, concurrentCalls: 256 };

/** `null`: as much as they like, also where a limit is built in. */
const roleSetting = z.strictObject({
  calls_per_minute: count.nullish(),
  concurrent_calls: count.nullish(),
  usd_per_day: amount.nullish(),
  sandbox_hours_per_day: amount.nullish(),
  browser_hours_per_day: amount.nullish(),
  storage_mb: count.nullish(),
});

const limitNames = limitsSchema.keyof().options;

function limitsIn(given: z.output<typeof roleSetting>): Limits {
  const named = limitNames.map((name) => {
    const value = given[LIMIT_NAMES[name]];
    return [name, value === undefined ? BUILT_IN[name] : (value ?? undefined)] as const;
  });
  return limitsSchema.parse(Object.fromEntries(named.filter(([, value]) => value !== undefined)));
}

/** `LIMITS`: JSON by role. What it does not say is as built in. */
export const roleLimits = jsonText('{"member": {"calls_per_minute": 600, "usd_per_day": 5}}')
  .pipe(z.strictObject({ admin: roleSetting, member: roleSetting, reader: roleSetting }).partial())
  .transform(({ admin = {}, member = {}, reader = {} }): Policy["ofRole"] => ({
    admin: limitsIn(admin),
    member: limitsIn(member),
    reader: limitsIn(reader),
  }));

/** What holds for a person: each limit of their own, else of their role. */
export function limitsOf(ofRole: Limits, own: Limits): Limits {
  return { ...ofRole, ...own };
}

/** A refusal by one of the limits, which is counted as a hit of it. */
export class LimitReached extends ToolError {
  readonly limit: LimitName;

  constructor(limit: LimitName, message: string) {
    super("limit_reached", message);
    this.limit = limit;
  }
}

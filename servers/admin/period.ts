import { dayOf } from "../account/figures.ts";
import { DAY_MS } from "./format.ts";

export const PERIODS = [7, 30, 90] as const;
export type PeriodDays = (typeof PERIODS)[number];

/** The last days up to today, UTC's, both part of it. */
export interface Period {
  readonly days: PeriodDays;
  readonly fromDay: string;
  readonly toDay: string;
}

export function periodOf(asked: string | undefined, nowMs: number): Period {
  const days = PERIODS.find((period) => String(period) === asked) ?? 30;
  return { days, fromDay: dayOf(nowMs - (days - 1) * DAY_MS), toDay: dayOf(nowMs) };
}

export function daysIn({ days, toDay }: Period): string[] {
  const lastMs = Date.parse(toDay);
  return Array.from({ length: days }, (_, index) => dayOf(lastMs - (days - 1 - index) * DAY_MS));
}

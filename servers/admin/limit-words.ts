import { type LimitName, type Limits, type Standing, limitsSchema } from "../shared/limits.ts";
import { bytes, count, duration, usd } from "./format.ts";

interface LimitWords {
  readonly name: string;
  /** Where its name does not say it. */
  readonly unit?: string;
  /** Of what a form takes. */
  readonly step: string;
  readonly format: (value: number) => string;
  /** What is used of it today, where that is known. */
  readonly used?: (today: Standing["today"]) => string;
}

/** As the quota of files counts it. */
const MB = 1024 * 1024;

/** How pages speak of each limit, in the order in which they stand. */
export const LIMIT_WORDS: Readonly<Record<LimitName, LimitWords>> = {
  callsPerMinute: { name: "Calls a minute", step: "1", format: count },
  concurrentCalls: { name: "Calls at the same time", step: "1", format: count },
  usdPerDay: {
    name: "Dollars a day",
    step: "0.01",
    format: (value) => usd(value * 1e9),
    used: ({ nanoUsd }) => usd(nanoUsd),
  },
  sandboxHoursPerDay: {
    name: "Sandbox hours a day",
    step: "0.1",
    format: hours,
    used: ({ sandboxMs }) => duration(sandboxMs),
  },
  browserHoursPerDay: {
    name: "Browser hours a day",
    step: "0.1",
    format: hours,
    used: ({ browserMs }) => duration(browserMs),
  },
  storageMb: {
    name: "Storage",
    unit: "MB",
    step: "1",
    format: (value) => bytes(value * MB),
    used: ({ storageBytes }) => bytes(storageBytes),
  },
};

function hours(value: number): string {
  return `${value.toLocaleString("en-US", { maximumFractionDigits: 2 })} h`;
}

export const LIMITS = limitsSchema.keyof().options;

/** The limits that a form gives; a field that is left empty limits nothing. Nothing where one of them is no limit. */
export function limitsIn(form: URLSearchParams): Limits | undefined {
  const given = LIMITS.flatMap((name): [string, number][] => {
    const text = form.get(name)?.trim() ?? "";
    return text === "" ? [] : [[name, Number(text)]];
  });
  return limitsSchema.safeParse(Object.fromEntries(given)).data;
}

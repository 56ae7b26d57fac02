import { type Log, describeFailure } from "../../core/log.ts";
import type { Check, Finding } from "../health-report.ts";

/** One thing that is tried for real. */
export interface Probe {
  readonly name: string;
  /** Rejects where it does not work for a reason that is not ours to tell: `failing` says it instead. */
  readonly run: (signal: AbortSignal) => Finding | Promise<Finding>;
  readonly failing: { readonly says: string; readonly todo: string };
  /** Where something has to start first. */
  readonly limitMs?: number;
}

export interface ProbeWatch {
  readonly now: () => Date;
  readonly log: Log;
  /** For what still tidies up behind it after the time is up. */
  readonly waitUntil: (work: Promise<unknown>) => void;
  readonly limitMs?: number;
}

const LIMIT_MS = 5_000;

/** Tries it, for five seconds at most unless it says otherwise. Never rejects. */
export async function runProbe({ name, run, failing, ...probe }: Probe, watch: ProbeWatch): Promise<Check> {
  const { now, log, waitUntil, limitMs = probe.limitMs ?? LIMIT_MS } = watch;
  const startedMs = now().getTime();
  const limit = new AbortController();
  const late = Promise.withResolvers<Finding>();
  const timer = setTimeout(() => {
    limit.abort();
    late.resolve({ ...failing, state: "broken", says: `Nothing answered within ${limitMs / 1_000} s.` });
  }, limitMs);
  const work = (async () => await run(limit.signal))().catch((failure: unknown): Finding => {
    log.error("health check failed", { check: name, failure: describeFailure(failure) });
    return { state: "broken", ...failing };
  });
  waitUntil(work);
  const finding = await Promise.race([work, late.promise]);
  clearTimeout(timer);
  return { name, ...finding, took_ms: now().getTime() - startedMs };
}

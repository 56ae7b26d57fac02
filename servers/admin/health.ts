import type { BrowserWorker } from "@cloudflare/puppeteer";
import type { Sandbox } from "../../container/sandbox.ts";
import type { DirectoryObject } from "../directory/directory-object.ts";
import type { Settings } from "../shared/settings.ts";
import type { HealthReport, ReportedError } from "./health-report.ts";
import { browserProbe } from "./health/browser.ts";
import { ClockWatch } from "./health/clock.ts";
import { lastErrors } from "./health/errors.ts";
import { modelProbe, priceProbe } from "./health/model.ts";
import { type ObjectBindings, objectProbe, objectProbes } from "./health/objects.ts";
import { type ProbeWatch, runProbe } from "./health/probe.ts";
import { sandboxProbe } from "./health/sandbox.ts";
import { settingsProbes } from "./health/settings.ts";
import { signInProbe } from "./health/sign-in.ts";
import { bucketProbe, namespaceProbe } from "./health/storage.ts";
import { VERSIONS } from "./health/versions.ts";

export interface HealthBindings extends ObjectBindings {
  readonly FILES: R2Bucket;
  readonly SNAPSHOTS: R2Bucket;
  readonly OAUTH_KV: KVNamespace;
  readonly DIRECTORY: DurableObjectNamespace<DirectoryObject>;
  readonly SANDBOX: DurableObjectNamespace<Sandbox>;
  /** Absent where there is no Chrome. */
  readonly BROWSER?: BrowserWorker;
}

export interface HealthHost extends ProbeWatch {
  readonly bindings: HealthBindings;
  readonly settings: Settings;
  /** Whoever asks: an object of theirs is asked something, since a stranger's would be made for it. */
  readonly userId: string;
  /** Where they ask. */
  readonly origin: string;
  readonly fetch: typeof fetch;
}

/** Tries each binding and setting for real, all at once, for five seconds at most. Costs nothing and leaves nothing. */
export async function checkHealth(host: HealthHost): Promise<HealthReport> {
  const { bindings, settings, userId } = host;
  const clock = new ClockWatch(host.now);
  const fetcher = clock.watching(host.fetch);
  const prices = priceProbe(settings);
  let errors: readonly ReportedError[] = [];
  const probes = [
    bucketProbe("FILES", bindings.FILES),
    bucketProbe("SNAPSHOTS", bindings.SNAPSHOTS),
    namespaceProbe("OAUTH_KV", bindings.OAUTH_KV),
    ...objectProbes(bindings, userId),
    objectProbe("Directory", async () => (errors = await lastErrors(bindings.DIRECTORY))),
    sandboxProbe({ settings, namespace: bindings.SANDBOX, userId, fetch: fetcher }),
    browserProbe(bindings.BROWSER, settings.SANDBOX_DRIVER === "local"),
    modelProbe(settings, fetcher),
    ...(prices === undefined ? [] : [prices]),
    signInProbe(settings, fetcher),
    ...settingsProbes(settings, host.origin),
  ];
  const checks = await Promise.all(probes.map(async (probe) => await runProbe(probe, host)));
  const skew = clock.judge();
  const all = skew === undefined ? checks : [...checks, { name: "Clock", ...skew, took_ms: 0 }];
  return { checks: all, versions: VERSIONS, errors };
}

import { durationMs } from "../../shared/setting-kinds.ts";
import { type Settings, isLoopback } from "../../shared/settings.ts";
import type { Finding } from "../health-report.ts";
import type { Probe } from "./probe.ts";

/** A random secret of 32 characters has fewer different ones about never, even where all of them are hex digits. */
const MIN_DIFFERENT_CHARS = 10;
/** From here on, what is paid for waiting is more than what is paid for working. */
const LONG_SLEEP_MS = 60 * 60_000;

/** What settings allow and still nobody would want, once the Worker has taken them. */
export function settingsProbes(settings: Settings, askedOrigin: string): readonly Probe[] {
  const probes: readonly (readonly [string, () => Finding])[] = [
    ["Signing secret", () => judgeSecret(settings)],
    ["Public address", () => judgeAddress(settings, askedOrigin)],
    ...(settings.SANDBOX_DRIVER === "container" ? [["Sandbox sleep", () => judgeSleep(settings)] as const] : []),
  ];
  return probes.map(([name, run]) => ({
    name,
    failing: { says: "It could not be judged.", todo: "Read the Worker's log." },
    run,
  }));
}

function judgeSecret({ SIGNING_SECRET: secret }: Settings): Finding {
  if (new Set(secret).size >= MIN_DIFFERENT_CHARS) return { state: "ok", says: "SIGNING_SECRET looks random." };
  return {
    state: "warning",
    says: "SIGNING_SECRET looks as if it could be guessed: whoever does makes share links, tokens and sessions.",
    todo: "Put another one (openssl rand -base64 32 | npx wrangler secret put SIGNING_SECRET), which ends all that the old one signed.",
  };
}

function judgeAddress({ PUBLIC_URL }: Settings, askedOrigin: string): Finding {
  const [ours, asked] = [new URL(PUBLIC_URL), new URL(askedOrigin)];
  if (!isLoopback(ours.hostname) && ours.protocol !== "https:") {
    return {
      state: "warning",
      says: "PUBLIC_URL begins with http://: tokens and files go over the network in clear.",
      todo: "Serve Pincer by https and set PUBLIC_URL to that origin.",
    };
  }
  const isSame = ours.origin === asked.origin || (isLoopback(ours.hostname) && isLoopback(asked.hostname));
  if (isSame) return { state: "ok", says: "PUBLIC_URL is the address that this was asked at." };
  return {
    state: "warning",
    says: "PUBLIC_URL is another origin than the one that this was asked at: links and sign-in lead there.",
    todo: "Set PUBLIC_URL to the origin that clients use, or use that one.",
  };
}

function judgeSleep({ SANDBOX_SLEEP_AFTER: sleepAfter }: Settings): Finding {
  if (durationMs(sleepAfter) <= LONG_SLEEP_MS) return { state: "ok", says: "Idle containers sleep within the hour." };
  return {
    state: "warning",
    says: "Idle containers stay awake for more than an hour, and are paid for meanwhile.",
    todo: "Lower SANDBOX_SLEEP_AFTER (15m unless set): a workspace comes back from its snapshot.",
  };
}

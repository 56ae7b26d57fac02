import { consoleLog, describeFailure } from "../servers/core/log.ts";

/**
 * What a sandbox runs as it wakes, beside the call that woke it, which neither waits for it nor hears of it: agents that
 * ran when it fell asleep start again. Where there never was one no program is started.
 */
export const WAKING = {
  command: `[ ! -e "$HOME/.local/state/presets" ] || exec preset resume`,
  isInternal: true,
  // Hundreds of megabytes may have to be installed.
  timeoutMs: 15 * 60_000,
  waitMs: 0,
  maxChars: 1_000,
} as const;

/** Has a container's guest run it. */
export async function wake(run: (command: string) => Promise<Response>): Promise<void> {
  try {
    const { body } = await run(JSON.stringify({ ...WAKING, id: crypto.randomUUID(), cwd: "/workspace" }));
    // It goes on though nobody hears its answer.
    await body?.cancel();
  } catch (failure) {
    consoleLog.error("agents not started again", { failure: describeFailure(failure) });
  }
}

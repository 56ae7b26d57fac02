import { WAKING } from "../../waking.ts";
import type { Agent } from "./enclosure.ts";
import { LiveOutput } from "./live-output.ts";
import { SandboxProcess, commandSchema } from "./process.ts";
import type { Processes } from "./processes.ts";
import type { SandboxOptions } from "./sandbox.ts";

const REQUEST = commandSchema.parse(WAKING);

/** Runs what a sandbox runs as it wakes. What becomes of it is told inside; where it cannot even begin, that is logged. */
export async function wake(
  { link, outOfMemoryKills }: Pick<Agent, "link" | "outOfMemoryKills">,
  processes: Processes,
  { enclosure, id, log }: Pick<SandboxOptions, "enclosure" | "id" | "log">,
): Promise<void> {
  if (enclosure.simulatedBecause !== undefined) return;
  const live = new LiveOutput(() => undefined);
  try {
    const process = await processes.add(
      REQUEST,
      (record) => new SandboxProcess(link, REQUEST, { record, live, outOfMemoryKills }),
    );
    await process.ended;
    await processes.drop(process.record.id);
  } catch (error) {
    log(`sandbox ${id}: agents were not started again: ${String(error)}`);
  }
}

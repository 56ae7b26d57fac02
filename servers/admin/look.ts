import type { Handle } from "../account/handle-table.ts";
import type { SpentRun } from "../account/run-table.ts";
import type { BrowserLook } from "../browser/session.ts";
import type { RunReport } from "../delegate/run-report.ts";
import type { SandboxStatus } from "../sandbox/driver.ts";
import type { Preview } from "../sandbox/previews.ts";
import type { ProcessInfo } from "../sandbox/process.ts";
import type { PersonsThings } from "./desk.ts";
import { type PresetSeen, lookAtPresets } from "./presets.ts";

/** What does not answer by then is said not to, and the page comes. */
const LOOK_MS = 2_000;

/** What a look at something showed; `silent` where it did not answer. */
export type Look<Seen> = { readonly kind: "seen"; readonly seen: Seen } | { readonly kind: "silent" };

export interface SandboxSeen {
  /** None where it has no programs. */
  readonly presets: readonly PresetSeen[];
  readonly status: SandboxStatus;
  readonly processes: readonly ProcessInfo[];
  readonly previews: readonly Preview[];
}

export interface SandboxThing {
  readonly kind: "sandbox";
  readonly handle: Handle;
  /** Absent of what was not looked at. */
  readonly look?: Look<SandboxSeen>;
}

export interface BrowserThing {
  readonly kind: "browser";
  readonly handle: Handle;
  /** Nothing seen where no Chrome is open. */
  readonly look?: Look<BrowserLook | undefined>;
}

export interface RunThing {
  readonly kind: "run";
  readonly run: SpentRun;
  readonly look?: Look<RunReport | undefined>;
}

export type Thing = SandboxThing | BrowserThing | RunThing;

/** Says that it is silent where the work fails or takes too long. */
export async function lookAt<Seen>(work: () => Promise<Seen>, waitMs = LOOK_MS): Promise<Look<Seen>> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const silence = new Promise<Look<Seen>>((resolve) => {
    timer = setTimeout(() => resolve({ kind: "silent" }), waitMs);
  });
  const seeing = work().then(
    (seen): Look<Seen> => ({ kind: "seen", seen }),
    (): Look<Seen> => ({ kind: "silent" }),
  );
  try {
    return await Promise.race([seeing, silence]);
  } finally {
    clearTimeout(timer);
  }
}

export async function lookAtThing(thing: Thing, things: PersonsThings): Promise<Thing> {
  switch (thing.kind) {
    case "sandbox": {
      const sandbox = things.sandbox(thing.handle.name);
      const look = await lookAt(async () => {
        const [status, processes, previews] = await Promise.all([
          sandbox.status(),
          sandbox.listProcesses(),
          things.previews(thing.handle.name),
        ]);
        const presets = status.driver === "simulated" ? [] : await lookAtPresets(sandbox, status, processes);
        return { status, processes, previews, presets };
      });
      return { ...thing, look };
    }
    case "browser":
      return { ...thing, look: await lookAt(async () => await things.browser(thing.handle.name)) };
    case "run":
      return { ...thing, look: await lookAt(async () => await things.run(thing.run.id)) };
  }
}

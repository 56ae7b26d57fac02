import { createLocalDriver } from "../../servers/sandbox/driver-local.ts";
import type { SandboxDriver } from "../../servers/sandbox/driver.ts";
import type { Fetch, LocalRuntimeSettings } from "../../servers/sandbox/local-runtime.ts";
import { createLocalWorkspaces } from "../../servers/sandbox/local-workspace.ts";
import { ToolError } from "../../servers/shared/errors.ts";

/** The local driver where nobody keeps snapshots: every sandbox begins as it is. */
export function createDriverWithoutSnapshots(settings: LocalRuntimeSettings, fetch: Fetch): SandboxDriver {
  const workspaceOf = createLocalWorkspaces(settings, fetch);
  return createLocalDriver(settings, fetch, (id) => ({
    noteChange: () => undefined,
    restore: async () => {
      try {
        await workspaceOf(id).restore(undefined, new AbortController().signal);
      } catch (error) {
        if (!(error instanceof ToolError)) throw error;
        // Another call was quicker.
        if (error.code !== "conflict") return { state: "failed", code: error.code, message: error.message };
      }
      return { state: "restored" };
    },
    reset: async () => {
      await workspaceOf(id).reset();
      return undefined;
    },
    sleep: async () => {
      await workspaceOf(id).end();
      return undefined;
    },
    fork: async () => await Promise.resolve({ code: "unavailable", message: "Nobody keeps snapshots here." }),
    discard: async () => {
      await workspaceOf(id).remove();
      return undefined;
    },
    describe: async () => await Promise.resolve({ notes: [] }),
  }));
}

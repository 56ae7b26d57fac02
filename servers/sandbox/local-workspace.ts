import * as z from "zod";
import {
  bodyOf,
  connectRuntime,
  type Fetch,
  type LocalRuntimeSettings,
  parseRuntime,
  readJsonBody,
} from "./local-runtime.ts";
import type { Workspace } from "./workspace.ts";

/** What a driver's own side says of a workspace. */
export const lookSchema = z.discriminatedUnion("state", [
  z.object({ state: z.literal("unrestored") }),
  z.object({ state: z.literal("unable"), reason: z.string().max(2_000) }),
  z.object({
    state: z.literal("ready"),
    fingerprint: z.string().max(200),
    isBusy: z.boolean(),
    unreadable: z.int().nonnegative(),
  }),
]);

export const endSchema = z.discriminatedUnion("state", [
  z.object({ state: z.literal("restored"), fingerprint: z.string().max(200).exactOptional() }),
  z.object({ state: z.literal("damaged") }),
]);

/** The workspaces of the runtime's sandboxes, by their ids. Their folders outlive sleep: none is ever `asleep`. */
export function createLocalWorkspaces(settings: LocalRuntimeSettings, fetch: Fetch): (sandboxId: string) => Workspace {
  return (sandboxId) => {
    const runtime = connectRuntime(settings, fetch, sandboxId);
    return {
      look: async () => parseRuntime(lookSchema, await readJsonBody(await runtime.request("snapshot/look", {}))),
      save: async (signal) => bodyOf(await runtime.request("snapshot", { method: "POST", signal })),
      restore: async (snapshot, signal) => {
        const init = snapshot === undefined ? { method: "POST" } : { method: "PUT", body: snapshot.body };
        const route = snapshot === undefined ? "snapshot/none" : "snapshot";
        return parseRuntime(endSchema, await readJsonBody(await runtime.request(route, { ...init, signal })));
      },
      keepsDisk: true,
      end: async () => {
        await runtime.post("end", {});
      },
      reset: async () => {
        await runtime.post("reset", {});
      },
      remove: async () => {
        await runtime.post("remove", {});
      },
    };
  };
}

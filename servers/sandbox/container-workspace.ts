import type { Sandbox as SandboxObject } from "../../container/sandbox.ts";
import { ToolError } from "../shared/errors.ts";
import { containerFailure } from "./container-failures.ts";
import { openContainer } from "./container-guest.ts";
import { lastWord } from "./container-stream.ts";
import { parseGuest } from "./guest.ts";
import { endSchema, lookSchema } from "./local-workspace.ts";
import type { Workspace } from "./workspace.ts";

/** The workspaces of containers, by the sandboxes' ids. A container that sleeps has lost its disk. */
export function createContainerWorkspaces(
  namespace: DurableObjectNamespace<SandboxObject>,
): (sandboxId: string) => Workspace {
  return (sandboxId) => {
    const open = async () => await openContainer(namespace, sandboxId);
    return {
      look: async () =>
        await translated(async () => {
          const answer = await (await open()).callAwakeGuest("look", "{}");
          return answer === undefined ? { state: "asleep" } : parseGuest(lookSchema, await valueOf(answer));
        }),
      save: async (signal) =>
        await translated(async () => {
          const answer = await (await open()).callAwakeGuest("save", "{}");
          if (answer === undefined || answer.status === 409) {
            throw new ToolError("conflict", "The sandbox lost its disk meanwhile.");
          }
          const body = bodyOf(answer);
          signal.addEventListener("abort", () => void body.cancel().catch(() => undefined));
          return body;
        }),
      restore: async (snapshot, signal) =>
        await translated(async () => {
          const container = await open();
          const begin = await valueOf(await container.beginRestore(sandboxId, snapshot !== undefined));
          if (snapshot === undefined) return parseGuest(endSchema, begin);
          signal.throwIfAborted();
          const answer = await container.restoreGuest(snapshot.body, snapshot.sizeBytes);
          return parseGuest(endSchema, await valueOf(answer));
        }),
      keepsDisk: false,
      end: async () => await translated(async () => await (await open()).end()),
      reset: async () => await translated(async () => await (await open()).end()),
      remove: async () => await translated(async () => await (await open()).forget()),
    };
  };
}

async function translated<Result>(work: () => Promise<Result>): Promise<Result> {
  try {
    return await work();
  } catch (error) {
    throw containerFailure(error);
  }
}

/** What the guest's program said; its refusals are thrown. */
async function valueOf(answer: Response): Promise<unknown> {
  const word = await lastWord(bodyOf(answer));
  if (word === undefined) throw new Error("The program gave no answer.");
  return word.value;
}

function bodyOf({ status, body }: Response): ReadableStream<Uint8Array> {
  if (status !== 200 || body === null) throw new Error(`The guest answered ${status}.`);
  // oxlint-disable-next-line typescript/no-unsafe-return -- Workers types a body as a stream of any; it is bytes.
  return body;
}

import { ToolError } from "../shared/errors.ts";
import { type Guest, STATE } from "./container-guest.ts";
import type { StoredOutput, Watch } from "./driver.ts";
import { withNotes, containerProcess, outputPosition, parseGuest, processList } from "./guest.ts";
import { look, readSlice } from "./container-files.ts";
import type {
  OutputPosition,
  ProcessInfo,
  ProcessInput,
  ProcessOutput,
  ProcessRead,
  ProcessSignal,
} from "./process.ts";

/** Commands are remembered in the container alone: one that sleeps has forgotten them, and is not woken to say so. */
export async function listProcesses(guest: Guest): Promise<readonly ProcessInfo[]> {
  if (!(await isAwake(guest))) return [];
  return parseGuest(processList, await guest.ask("list", {})).filter(({ processId }) => isProcessId(processId));
}

export async function readProcess(
  guest: Guest,
  processId: string,
  read: ProcessRead,
  watch: Watch,
): Promise<ProcessOutput> {
  await checkProcess(guest, processId);
  const { value, notes } = await guest.run(
    { program: "read", id: crypto.randomUUID(), request: { ...read, processId }, answersWithinMs: read.waitMs },
    watch,
  );
  return { ...withNotes(parseGuest(containerProcess, value), notes), processId };
}

export async function writeInput(guest: Guest, processId: string, input: ProcessInput): Promise<OutputPosition> {
  await checkProcess(guest, processId);
  return parseGuest(outputPosition, await guest.ask("tell", { ...input, do: "input", processId }));
}

export async function signalProcess(guest: Guest, processId: string, signal: ProcessSignal): Promise<OutputPosition> {
  await checkProcess(guest, processId);
  return parseGuest(outputPosition, await guest.ask("tell", { do: "signal", signal, processId }));
}

export async function readOutput(guest: Guest, processId: string, stream: "stdout" | "stderr"): Promise<StoredOutput> {
  await checkProcess(guest, processId);
  const path = `${STATE}/commands/${processId}/${stream}`;
  const info = await look(guest, path);
  if (info.kind !== "file") throw noProcess();
  const { sizeBytes } = info;
  let offset = 0;
  const body = new ReadableStream<Uint8Array>({
    pull: async (controller) => {
      if (offset >= sizeBytes) return controller.close();
      const slice = await readSlice(guest, path, offset, sizeBytes);
      offset += slice.length;
      controller.enqueue(slice);
    },
  });
  return { body, sizeBytes };
}

export async function isAwake(guest: Guest): Promise<boolean> {
  return (await guest.lifecycle()).state === "running";
}

async function checkProcess(guest: Guest, processId: string): Promise<void> {
  if (!isProcessId(processId) || !(await isAwake(guest))) throw noProcess();
}

/** The id becomes part of a path inside, and what is listed comes from there: it has to be one that we made. */
function isProcessId(text: string): boolean {
  return /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(text);
}

function noProcess(): ToolError {
  return new ToolError(
    "not_found",
    "There is no such process; a sandbox that sleeps forgets them, so list them first.",
  );
}

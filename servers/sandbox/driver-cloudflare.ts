import type { Sandbox as SandboxObject } from "../../container/sandbox.ts";
import { INSTANCE_SIZES, type InstanceType, containerNanoUsd } from "../account/prices.ts";
import { checkCommand } from "./container-command.ts";
import { WORKSPACE, absolute, readFile, writeFile } from "./container-files.ts";
import { type Guest, connectGuest } from "./container-guest.ts";
import { containerPort } from "./container-ports.ts";
import { isAwake, listProcesses, readOutput, readProcess, signalProcess, writeInput } from "./container-processes.ts";
import type {
  Code,
  CodeContextInfo,
  CodeResult,
  Command,
  CommandResult,
  Sandbox,
  SandboxDriver,
  SandboxStatus,
  Watch,
} from "./driver.ts";
import { type Keeping, WAIT_MS, endCommands, keepingOf } from "./keeping.ts";
import type { SnapshotKeeper } from "./workspace.ts";
import { codeResult, containerCommand, containerUsage, contextList, parseGuest, withNotes } from "./guest.ts";

const COST_NOTE =
  "What it has cost is an estimate: no container says how much its processor worked, so a tenth is taken.";

/**
 * Sandboxes in Cloudflare Containers. All work goes to small programs in the image, which the SDK starts: its own
 * `exec` has no standard input and keeps all output in memory, and its code contexts never answer again once the
 * code's process dies or something that it started prints.
 */
export function createContainerDriver(
  namespace: DurableObjectNamespace<SandboxObject>,
  instanceType: InstanceType,
  keeperOf: (sandboxId: string) => SnapshotKeeper,
): SandboxDriver {
  return {
    open: (id, files) => {
      const connect = async (): Promise<Guest> => await connectGuest(namespace, id, files.prefix);
      const keeping = keepingOf(keeperOf(id));
      return {
        ...openSandbox(connect, instanceType, keeping),
        port: (port) => keeping.port(containerPort(namespace, id, connect, port)),
      };
    },
  };
}

function openSandbox(
  connect: () => Promise<Guest>,
  instanceType: InstanceType,
  keeping: Keeping,
): Omit<Sandbox, "port"> {
  const listAll: Sandbox["listProcesses"] = async () => await listProcesses(await connect());
  const signal: Sandbox["signalProcess"] = async (processId, name) =>
    await signalProcess(await connect(), processId, name);
  return {
    exec: async (command, watch) => {
      checkCommand(command);
      const once = toldOnce(watch);
      return await keeping.running(command.waitMs, once, async () => await exec(await connect(), command, once));
    },
    listProcesses: listAll,
    readProcess: async (processId, read, watch) => await readProcess(await connect(), processId, read, watch),
    writeInput: async (processId, input) =>
      await keeping.changing(async () => await writeInput(await connect(), processId, input)),
    signalProcess: signal,
    readOutput: async (processId, stream) => await readOutput(await connect(), processId, stream),
    readFile: async (path, maxBytes) =>
      await keeping.restored(async () => await readFile(await connect(), path, maxBytes)),
    writeFile: async (path, bytes, replaces) =>
      await keeping.changing(
        async () => await keeping.restored(async () => await writeFile(await connect(), path, bytes, replaces)),
      ),
    runCode: async (code, watch) => {
      const once = toldOnce(watch);
      return await keeping.running(WAIT_MS, once, async () => await runCode(await connect(), code, once));
    },
    listContexts: async () => await listContexts(await connect()),
    status: async () => await keeping.status(connect().then(async (guest) => await status(guest, instanceType))),
    reset: async () => await keeping.reset(),
    sleep: async () => {
      if (!(await isAwake(await connect()))) return;
      await endCommands({ listProcesses: listAll, signalProcess: signal });
      await keeping.sleep();
    },
    fork: async (intoId) => await keeping.fork(intoId),
    discard: async () => await keeping.discard(),
  };
}

/** That a container starts and that it has to be restored is one thing to wait for. */
function toldOnce({ onStarting, ...watch }: Watch): Watch {
  if (onStarting === undefined) return watch;
  let isTold = false;
  return {
    ...watch,
    onStarting: (progress) => {
      if (progress !== undefined || !isTold) onStarting(progress);
      isTold = true;
    },
  };
}

async function exec(guest: Guest, input: Command, watch: Watch): Promise<CommandResult> {
  const processId = crypto.randomUUID();
  const { value, notes } = await guest.run(
    {
      program: "run",
      id: processId,
      request: { ...input, cwd: absolute(input.cwd ?? WORKSPACE), answerByMs: Date.now() + input.waitMs },
      answersWithinMs: Math.min(input.waitMs, input.timeoutMs),
    },
    watch,
  );
  return { processId, ...withNotes(parseGuest(containerCommand, value), notes) };
}

async function runCode(guest: Guest, input: Code, watch: Watch): Promise<CodeResult> {
  const { value, notes } = await guest.run(
    {
      program: "context",
      id: crypto.randomUUID(),
      request: { ...input, cwd: WORKSPACE },
      answersWithinMs: input.timeoutMs,
    },
    watch,
  );
  return withNotes<CodeResult>(parseGuest(codeResult, value), notes);
}

async function listContexts(guest: Guest): Promise<readonly CodeContextInfo[]> {
  return (await isAwake(guest)) ? parseGuest(contextList, await guest.ask("contexts", {})) : [];
}

async function status(guest: Guest, instanceType: InstanceType): Promise<SandboxStatus> {
  const { state, startedAtMs, ranMs } = await guest.lifecycle();
  const common = {
    driver: "container",
    state,
    ...(startedAtMs === undefined ? {} : { uptimeMs: Math.max(0, Date.now() - startedAtMs) }),
    costUsd: containerNanoUsd(instanceType, ranMs) / 1e9,
    notes: [COST_NOTE],
  } as const;
  if (state !== "running") return common;
  const { disk, memory, processCount } = parseGuest(containerUsage, await guest.ask("status", {}));
  const { diskGb, memoryGib } = INSTANCE_SIZES[instanceType];
  return {
    ...common,
    disk: { ...disk, limitBytes: Math.min(disk.limitBytes ?? Infinity, diskGb * 1e9) },
    memory: { ...memory, limitBytes: Math.min(memory.limitBytes ?? Infinity, memoryGib * 1024 ** 3) },
    processCount,
  };
}

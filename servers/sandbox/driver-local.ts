import * as z from "zod";
import type { MountedFiles } from "../files/store.ts";
import { ToolError } from "../shared/errors.ts";
import type { CodeResult, Sandbox, SandboxDriver, SandboxPort, SandboxStatus, StoredOutput, Watch } from "./driver.ts";
import {
  codeResult,
  commandResult,
  contextList,
  outputPosition,
  processList,
  processOutput,
  sandboxStatus,
} from "./guest.ts";
import {
  bodyOf,
  connectRuntime,
  type Fetch,
  type LocalRuntimeSettings,
  parseRuntime,
  readBody,
  readJsonBody,
  readLines,
  type RuntimeSandbox,
  StaleFiles,
} from "./local-runtime.ts";
import { localPort } from "./local-ports.ts";
import { type Keeping, WAIT_MS, endCommands, keepingOf } from "./keeping.ts";
import { bringIn, bringOut, changesSchema, endLease, listFiles, listingDigest } from "./mount.ts";
import { type SnapshotKeeper, Unrestored } from "./workspace.ts";

const FILES = "/workspace/files";

const notes = z.array(z.string().max(2_000)).max(100);
const outputLine = z.object({ output: z.string() });
const execResult = commandResult.extend({ processId: z.string().max(64) });
const lastLine = z.object({ result: z.unknown(), notes, changes: changesSchema });

/** Clients give up soon after. */
const MAX_WAIT_MS = 50_000;

/** Sandboxes of the runtime that the launcher starts on this machine. */
export function createLocalDriver(
  settings: LocalRuntimeSettings,
  fetch: Fetch,
  keeperOf: (sandboxId: string) => SnapshotKeeper,
): SandboxDriver {
  return {
    open: (id, files) =>
      openSandbox(
        (sandboxId) => connectRuntime(settings, fetch, sandboxId),
        id,
        files,
        keepingOf(keeperOf(id)),
        (runtime, port) => localPort(settings, fetch, id, runtime, port),
      ),
  };
}

function openSandbox(
  connect: (sandboxId: string) => RuntimeSandbox,
  id: string,
  files: MountedFiles,
  keeping: Keeping,
  portOf: (runtime: RuntimeSandbox, port: number) => SandboxPort,
): Sandbox {
  const runtime = connect(id);
  const listProcesses: Sandbox["listProcesses"] = async () => {
    const answer = await readJsonBody(await runtime.request("processes", {}));
    return parseRuntime(z.object({ processes: processList }), answer).processes;
  };
  const signalProcess: Sandbox["signalProcess"] = async (processId, signal) =>
    parseRuntime(outputPosition, await readJsonBody(await runtime.post("signal", { process: processId, signal })));
  const ownStatus = async (): Promise<SandboxStatus> => ({
    ...parseRuntime(sandboxStatus, await readJsonBody(await runtime.request("status", {}))),
    costUsd: 0,
  });
  return {
    exec: async (command, watch) => {
      const endsMs = Date.now() + Math.max(command.waitMs, MAX_WAIT_MS);
      return await keeping.running(command.waitMs, watch, async () => {
        const begunMs = Date.now();
        // Bringing the files in is part of the wait; a restore is not, as long as the whole call ends in time.
        const body = (): object => {
          const leftMs = Math.min(command.waitMs - (Date.now() - begunMs), endsMs - Date.now());
          return { command: { ...command, waitMs: Math.max(0, Math.round(leftMs)) } };
        };
        return await run(runtime, files, { route: "exec", body, result: execResult }, watch);
      });
    },
    runCode: async (code, watch) =>
      await keeping.running<CodeResult>(
        WAIT_MS,
        watch,
        async () => await run(runtime, files, { route: "code", body: () => ({ code }), result: codeResult }, watch),
      ),
    listProcesses,
    readProcess: async (processId, read, watch) => {
      const response = await runtime.post("read", { process: processId, read }, watch.signal);
      return await finish(runtime, files, { response, result: processOutput, notes: [] }, watch);
    },
    writeInput: async (processId, input) =>
      await keeping.changing(async () =>
        parseRuntime(outputPosition, await readJsonBody(await runtime.post("input", { process: processId, input }))),
      ),
    signalProcess,
    listContexts: async () => {
      const answer = await readJsonBody(await runtime.request("contexts", {}));
      return parseRuntime(z.object({ contexts: contextList }), answer).contexts;
    },
    status: async () => await keeping.status(ownStatus()),
    port: (port) => keeping.port(portOf(runtime, port)),
    sleep: async () => {
      if ((await ownStatus()).state === "asleep") return;
      await endCommands({ listProcesses, signalProcess });
      await publishLast(runtime, files);
      await keeping.sleep();
    },
    reset: async () => await keeping.reset(),
    fork: async (intoId) => {
      await publishLast(connect(intoId), files);
      await keeping.fork(intoId);
    },
    discard: async () => {
      await publishLast(runtime, files);
      await keeping.discard();
    },
    readOutput: async (processId, stream) => await readOutput(runtime, processId, stream),
    readFile: async (path, maxBytes) =>
      await keeping.restored(async () => {
        if (isMounted(path)) await refresh(runtime, files);
        return await readBody(await runtime.request("file", { query: { path, max: String(maxBytes) } }));
      }),
    writeFile: async (path, bytes, replaces) => {
      const query = { path, ...(replaces !== undefined && { replaces }) };
      const write = async (): Promise<void> => {
        if (isMounted(path)) await refresh(runtime, files);
        await runtime.request("file", { method: "PUT", query, body: bytes });
      };
      await keeping.changing(async () => await keeping.restored(write));
      if (isMounted(path)) await publish(runtime, files);
    },
  };
}

interface Call<Result> {
  readonly route: string;
  /** Made when it is sent. */
  readonly body: () => object;
  readonly result: z.ZodType<Result>;
}

/** One request where the files are the same on both sides, before and after it. */
async function run<Result extends object>(
  runtime: RuntimeSandbox,
  files: MountedFiles,
  call: Call<Result>,
  watch: Watch,
): Promise<Result & { readonly notes?: readonly string[] }> {
  const send = async (held: Held): Promise<Response> =>
    await runtime.post(call.route, { ...call.body(), files: held }, watch.signal);
  const begun = await begin(runtime, files, send, watch.signal);
  return await finish(runtime, files, { ...begun, result: call.result }, watch);
}

interface Begun<Result> {
  readonly response: Response;
  readonly result: z.ZodType<Result>;
  readonly notes: readonly string[];
}

/** Reads an answer to its end, and brings out what its call has left in the files. */
async function finish<Result extends object>(
  runtime: RuntimeSandbox,
  files: MountedFiles,
  begun: Begun<Result>,
  { signal, onOutput }: Watch,
): Promise<Result & { readonly notes?: readonly string[] }> {
  for await (const line of readLines(begun.response, signal)) {
    const output = outputLine.safeParse(line);
    if (output.success) {
      onOutput?.(output.data.output);
      continue;
    }
    const { result: raw, changes, notes: during } = parseRuntime(lastLine, line);
    const result = parseRuntime(begun.result, raw);
    const after = await bringOut(runtime, files, changes);
    const said = [...new Set([...begun.notes, ...during, ...after])];
    return said.length === 0 ? result : { ...result, notes: said };
  }
  throw new ToolError("unavailable", "The sandbox did not answer; try again.");
}

type Held = { readonly digest: string } | { readonly lease: string };

/** Sends a call that needs the files in place, and brings them there where they are not. */
async function begin(
  runtime: RuntimeSandbox,
  files: MountedFiles,
  send: (held: Held) => Promise<Response>,
  signal?: AbortSignal,
): Promise<{ response: Response; notes: readonly string[] }> {
  try {
    return { response: await send({ digest: await listingDigest(await listFiles(files)) }), notes: [] };
  } catch (error) {
    if (!(error instanceof StaleFiles)) throw error;
  }
  const { lease, notes: said } = await bringIn(runtime, files, signal);
  try {
    return { response: await send({ lease }), notes: said };
  } catch (error) {
    await endLease(runtime, lease);
    throw error;
  }
}

async function refresh(runtime: RuntimeSandbox, files: MountedFiles): Promise<void> {
  await begin(runtime, files, async (held) => await runtime.post("mount/check", { files: held }));
}

async function publish(runtime: RuntimeSandbox, files: MountedFiles): Promise<void> {
  const answer = z.object({ changes: changesSchema });
  const { changes } = parseRuntime(answer, await readJsonBody(await runtime.post("mount/changes", {})));
  await bringOut(runtime, files, changes);
}

/** What processes have left in the files since the last call, before it goes; a sandbox that cannot start gives none. */
async function publishLast(runtime: RuntimeSandbox, files: MountedFiles): Promise<void> {
  await publish(runtime, files).catch((error: unknown) => {
    if (!(error instanceof ToolError || error instanceof Unrestored)) throw error;
  });
}

async function readOutput(
  runtime: RuntimeSandbox,
  process: string,
  stream: "stdout" | "stderr",
): Promise<StoredOutput> {
  const response = await runtime.request("output", { query: { process, stream } });
  const sizeBytes = Number(response.headers.get("content-length") ?? Number.NaN);
  if (!Number.isSafeInteger(sizeBytes))
    throw new ToolError("unavailable", "The sandbox did not say how long the output is; try again.");
  return { body: bodyOf(response), sizeBytes };
}

/** Links can lead there from elsewhere too; what is changed through them is seen with the next call. */
function isMounted(path: string): boolean {
  const absolute = path.startsWith("/") ? path : `/workspace/${path}`;
  return absolute.startsWith(`${FILES}/`);
}

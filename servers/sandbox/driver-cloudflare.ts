import type { Sandbox as SandboxObject } from "../../container/sandbox.ts";
import { ToolError } from "../shared/errors.ts";
import { type Guest, STATE, connectGuest } from "./container-guest.ts";
import type {
  Code,
  CodeResult,
  Command,
  CommandResult,
  Sandbox,
  SandboxDriver,
  StoredOutput,
  Watch,
} from "./driver.ts";
import { codeResult, commandResult, fileInfo, fileSlice, parseGuest } from "./guest.ts";

const WORKSPACE = "/workspace";
/** A value that crosses into a Durable Object may have 32 MiB; an isolate has 128 MB for all copies of it. */
const SLICE_BYTES = 4 * 1024 * 1024;

/**
 * Sandboxes in Cloudflare Containers. All work goes to small programs in the image, which the SDK starts: its own
 * `exec` has no standard input and keeps all output in memory, and its code contexts never answer again once the
 * code's process dies or something that it started prints.
 */
export function createContainerDriver(namespace: DurableObjectNamespace<SandboxObject>): SandboxDriver {
  return {
    open: (id, files) => openSandbox(async () => await connectGuest(namespace, id, files.prefix)),
  };
}

function openSandbox(connect: () => Promise<Guest>): Sandbox {
  return {
    exec: async (command, watch) => await exec(await connect(), command, watch),
    runCode: async (code, watch) => await runCode(await connect(), code, watch),
    readOutput: async (processId, stream) => await readOutput(await connect(), processId, stream),
    readFile: async (path, maxBytes) => await readFile(await connect(), path, maxBytes),
    writeFile: async (path, bytes) => await writeFile(await connect(), path, bytes),
  };
}

async function exec(guest: Guest, input: Command, watch: Watch): Promise<CommandResult> {
  const processId = crypto.randomUUID();
  const result = await guest.run(
    {
      program: "run.py",
      id: processId,
      request: { ...input, cwd: absolute(input.cwd ?? WORKSPACE) },
      answersWithinMs: Math.min(input.waitMs, input.timeoutMs),
    },
    watch,
  );
  return { processId, ...parseGuest(commandResult, result) };
}

async function runCode(guest: Guest, input: Code, watch: Watch): Promise<CodeResult> {
  const result = await guest.run(
    {
      program: "context.py",
      id: crypto.randomUUID(),
      request: { ...input, cwd: WORKSPACE },
      answersWithinMs: input.timeoutMs,
    },
    watch,
  );
  return parseGuest(codeResult, result);
}

async function readOutput(guest: Guest, processId: string, stream: "stdout" | "stderr"): Promise<StoredOutput> {
  const isId = /^[0-9a-f-]{36}$/.test(processId);
  const path = `${STATE}/commands/${processId}/${stream}`;
  const info = isId ? await look(guest, path) : undefined;
  if (info?.kind !== "file") {
    throw new ToolError("not_found", "There is no such process; what one has written goes when the sandbox sleeps.");
  }
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

async function readFile(guest: Guest, path: string, maxBytes: number): Promise<Uint8Array> {
  const { kind, sizeBytes } = await look(guest, absolute(path));
  if (kind === "none") throw new ToolError("not_found", `There is no ${path} in the sandbox; list its folder first.`);
  if (kind === "other") throw new ToolError("invalid_input", `${path} is not a file; give the path of one.`);
  if (sizeBytes > maxBytes) {
    throw new ToolError("too_large", `${path} has ${sizeBytes} bytes, over the limit of ${maxBytes}; read part of it.`);
  }
  const bytes = new Uint8Array(sizeBytes);
  for (let offset = 0; offset < sizeBytes;) {
    const slice = await readSlice(guest, absolute(path), offset, sizeBytes);
    bytes.set(slice, offset);
    offset += slice.length;
  }
  return bytes;
}

/** Parts first, then one program puts them together beside the file and renames: all of it or nothing. */
async function writeFile(guest: Guest, path: string, bytes: Uint8Array): Promise<void> {
  const id = crypto.randomUUID();
  const parts: string[] = [];
  for (let offset = 0; offset < bytes.length; offset += SLICE_BYTES) {
    const part = `${STATE}/parts/${id}-${parts.length}`;
    await guest.putPart(part, bytes.subarray(offset, offset + SLICE_BYTES));
    parts.push(part);
  }
  await guest.ask({ do: "join", path: absolute(path), parts });
}

async function look(guest: Guest, path: string): Promise<{ kind: "file" | "none" | "other"; sizeBytes: number }> {
  return parseGuest(fileInfo, await guest.ask({ do: "look", path }));
}

async function readSlice(guest: Guest, path: string, offset: number, sizeBytes: number): Promise<Uint8Array> {
  const length = Math.min(SLICE_BYTES, sizeBytes - offset);
  const slice = Uint8Array.fromBase64(parseGuest(fileSlice, await guest.ask({ do: "slice", path, offset, length })));
  if (slice.length === 0 || slice.length > length) {
    throw new ToolError("conflict", `${path} changed while it was read; try again.`);
  }
  return slice;
}

function absolute(path: string): string {
  return path.startsWith("/") ? path : `${WORKSPACE}/${path}`;
}

import { getSandbox, parseSSEStream } from "@cloudflare/sandbox";
import * as z from "zod";
import { sha256Hex } from "../../auth/secrets.ts";
import { FILES_AT, GUEST, type Sandbox as SandboxObject } from "../../container/sandbox.ts";
import { ToolError } from "../shared/errors.ts";
import type { Watch } from "./driver.ts";
import { type Frame, FrameReader, parseFrame, parseGuest } from "./guest.ts";

/** What the guest's programs keep: requests too long for the environment, parts of files, outputs of commands. */
export const STATE = "/var/lib/pincer";

/** With the default session a command that timed out is not killed, and parallel commands wait for each other. */
const SDK_OPTIONS = { enableDefaultSession: false } as const;
/** Linux takes 128 KiB for one variable. */
const MAX_INLINE_BYTES = 100_000;
/** A value that crosses into a Durable Object may have 32 MiB. */
const MAX_REQUEST_BYTES = 30 * 1024 * 1024;
/** How long a guest may be silent beyond its own deadline before its container is given up. */
const GRACE_MS = 15_000;

export interface Talk {
  readonly program: "run.py" | "context.py";
  /** Names the request, and of a command the process. */
  readonly id: string;
  readonly request: Readonly<Record<string, unknown>>;
  /** When the program has to have answered at the latest, by its own clock. */
  readonly answersWithinMs: number;
}

/** The programs of `container/guest` inside one container, which starts on the first call. */
export interface Guest {
  /** Runs a program that may take long. Its last word is the result; when `watch.signal` aborts it is ended. */
  run(talk: Talk, watch: Watch): Promise<unknown>;
  /** Asks the file program one thing. */
  ask(request: Readonly<Record<string, unknown>>): Promise<unknown>;
  /** Writes a part of a file into `STATE`; a few MiB. */
  putPart(path: string, bytes: Uint8Array): Promise<void>;
}

/** `prefix` is what of the bucket is seen at `FILES_AT`. */
export async function connectGuest(
  namespace: DurableObjectNamespace<SandboxObject>,
  sandboxId: string,
  prefix: string,
): Promise<Guest> {
  const sandbox = getSandbox(namespace, await containerName(sandboxId), SDK_OPTIONS);

  /** Mounts the files and tries once more where they are missing: after a sleep the disk is empty. */
  async function withFiles<Result>(attempt: () => Promise<Result | "unmounted">): Promise<Result> {
    const result = await attempt();
    if (result !== "unmounted") return result;
    let cause: unknown;
    await sandbox.mountFiles(prefix).catch((error: unknown) => (cause = error));
    // A call beside this one may have mounted them meanwhile: the second try tells.
    const second = await attempt();
    if (second !== "unmounted") return second;
    await sandbox.destroy();
    throw new ToolError("unavailable", `Your files could not be mounted, and the sandbox was ended; ${FRESH_NEXT}.`, {
      cause,
    });
  }

  async function environment(id: string, request: Readonly<Record<string, unknown>>): Promise<Record<string, string>> {
    const json = JSON.stringify({ ...request, id, filesAt: FILES_AT });
    const bytes = new TextEncoder().encode(json).length;
    if (bytes <= MAX_INLINE_BYTES) return { PINCER_REQUEST: json };
    if (bytes > MAX_REQUEST_BYTES) {
      throw new ToolError("too_large", "That is too much for one call; write it to a file first.");
    }
    const path = `${STATE}/requests/${id}.json`;
    await sandbox.writeFile(path, json);
    return { PINCER_REQUEST_FILE: path };
  }

  async function listen({ program, id, request, answersWithinMs }: Talk, watch: Watch): Promise<unknown> {
    const stop = async (): Promise<void> => {
      const env = { PINCER_REQUEST: JSON.stringify({ id }) };
      await sandbox.exec(`${GUEST}/stop.py`, { env }).catch(() => undefined);
    };
    const started = sandbox.execStream(`exec ${GUEST}/${program}`, { env: await environment(id, request) });
    const stream = await orAborted(started, watch.signal, stop);
    const deadline = AbortSignal.timeout(answersWithinMs + GRACE_MS);
    const frames = new FrameReader();
    let complaint = "";
    try {
      for await (const event of parseSSEStream<unknown>(stream, AbortSignal.any([watch.signal, deadline]))) {
        const { type, data = "" } = parseGuest(streamEvent, event);
        if (type === "stderr") complaint = (complaint + data).slice(-2_000);
        if (type !== "stdout") continue;
        for (const frame of frames.read(data)) {
          const end = endOf(frame, watch);
          if (end !== undefined) return end.value;
        }
      }
    } catch (error) {
      if (watch.signal.aborted) {
        await stop();
        throw cancelled(error);
      }
      if (!deadline.aborted) throw error;
      await sandbox.destroy();
      throw new ToolError("unavailable", `The sandbox no longer answered and was ended; ${FRESH_NEXT}.`, {
        cause: error,
      });
    }
    throw new Error(`The program ended without an answer: ${complaint}`);
  }

  /** An error that crossed the Durable Object has kept its name and message, not its code. */
  async function translated<Result>(work: () => Promise<Result>): Promise<Result> {
    try {
      return await work();
    } catch (error) {
      if (error instanceof ToolError) throw error;
      const said = error instanceof Error ? `${error.name} ${error.message}` : "";
      if (NO_CONTAINER.test(said)) {
        throw new ToolError("unavailable", "All sandboxes are in use; try again in a few minutes.", { cause: error });
      }
      if (NO_PROCESS.test(said)) {
        await sandbox.destroy();
        throw new ToolError("unavailable", `The sandbox had no process left and was ended; ${FRESH_NEXT}.`, {
          cause: error,
        });
      }
      throw new ToolError("unavailable", "The sandbox did not answer; try again in a minute.", { cause: error });
    }
  }

  return {
    run: async (talk, watch) => {
      if (watch.signal.aborted) throw cancelled();
      return await translated(async () => await withFiles(async () => await listen(talk, watch)));
    },
    ask: async (request) =>
      await translated(async () => {
        const id = crypto.randomUUID();
        return await withFiles(async () => {
          const { stdout, stderr } = await sandbox.exec(`${GUEST}/files.py`, { env: await environment(id, request) });
          if (stdout === "") throw new Error(stderr.slice(-2_000));
          const end = endOf(parseFrame(stdout), undefined);
          if (end === undefined) throw new Error("The file program gave no answer.");
          return end.value;
        });
      }),
    putPart: async (path, bytes) => {
      await translated(async () => await sandbox.writeFile(path, bytes.toBase64(), { encoding: "base64" }));
    },
  };
}

/** What the platform and the SDK say where no container is free, and the container's server where it cannot fork. */
const NO_CONTAINER = /CONTAINER_UNAVAILABLE|ContainerUnavailable|no container instance|max_?instances/i;
const NO_PROCESS = /EAGAIN|ENOMEM|Resource temporarily unavailable/;
const FRESH_NEXT = "the next call starts a fresh one with only /workspace/files";

/** A container takes seconds to start: who is cancelled meanwhile does not wait, and what starts late is ended. */
async function orAborted(
  started: Promise<ReadableStream<Uint8Array>>,
  signal: AbortSignal,
  stop: () => Promise<void>,
): Promise<ReadableStream<Uint8Array>> {
  const { promise: aborted, reject } = Promise.withResolvers<never>();
  const onAbort = (): void => {
    reject(cancelled());
    started.then(
      async (stream) => await Promise.all([stream.cancel(), stop()]),
      () => undefined,
    );
  };
  signal.addEventListener("abort", onAbort);
  if (signal.aborted) onAbort();
  try {
    return await Promise.race([started, aborted]);
  } finally {
    signal.removeEventListener("abort", onAbort);
  }
}

function cancelled(cause?: unknown): ToolError {
  return new ToolError("cancelled", "The call was cancelled; what it had started was ended.", { cause });
}

/** What the SDK says of a stream: output in pieces, then its end. */
const streamEvent = z.object({ type: z.string(), data: z.string().optional() });

function endOf(frame: Frame, watch: Watch | undefined): { readonly value: unknown } | undefined {
  if ("output" in frame) {
    watch?.onOutput?.(frame.output);
    return undefined;
  }
  if ("refused" in frame) throw new ToolError(frame.refused.code, frame.refused.message);
  return { value: "unmounted" in frame ? "unmounted" : frame.result };
}

/** The SDK takes at most 63 characters, and puts them into hostnames. */
async function containerName(sandboxId: string): Promise<string> {
  return (await sha256Hex(sandboxId)).slice(0, 32);
}

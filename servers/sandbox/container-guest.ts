import { getSandbox } from "@cloudflare/sandbox";
import { sha256Hex } from "../../auth/secrets.ts";
import { FILES_AT, type Lifecycle, type Sandbox as SandboxObject } from "../../container/sandbox.ts";
import { ToolError } from "../shared/errors.ts";
import { cancelled, containerFailure, endedContainer, isOutOfProcesses } from "./container-failures.ts";
import { type LastWord, lastWord, orAborted } from "./container-stream.ts";
import type { Watch } from "./driver.ts";
import { Unrestored } from "./workspace.ts";

/** What the guest's programs keep: parts of files, outputs of commands. */
export const STATE = "/var/lib/pincer";

/** With the default session a command that timed out is not killed, and parallel commands wait for each other. */
const SDK_OPTIONS = { enableDefaultSession: false } as const;
/** A value that crosses into a Durable Object may have 32 MiB. */
const MAX_REQUEST_BYTES = 30 * 1024 * 1024;
/** How long a guest may be silent beyond its own deadline before its container is given up. */
const GRACE_MS = 15_000;
/** The platform may say that a container has ended a little after its connections broke. */
const END_IS_KNOWN_WITHIN_MS = 2_000;
const LOOK_AGAIN_MS = 100;

type Request = Readonly<Record<string, unknown>>;

export interface Talk {
  /** `read` changes nothing: where it does not answer, the container is let be. */
  readonly program: "run" | "context" | "read";
  /** Names the request, and of a command the process. */
  readonly id: string;
  readonly request: Request;
  /** When the program has to have answered at the latest, by its own clock. */
  readonly answersWithinMs: number;
}

/** The programs of `container/guest` inside one container. */
export interface Guest {
  /** Where the container is in its life. Does not start it; everything else does. */
  lifecycle(): Promise<Lifecycle>;
  /** Runs a program that may take long. Its last word is the value; when `watch.signal` aborts it is ended. */
  run(talk: Talk, watch: Watch): Promise<LastWord>;
  /** Asks a program that answers at once. */
  ask(program: "files" | "tell" | "list" | "contexts" | "status" | "port", request: Request): Promise<unknown>;
}

/** `prefix` is what of the bucket is seen at `FILES_AT`. */
export async function connectGuest(
  namespace: DurableObjectNamespace<SandboxObject>,
  sandboxId: string,
  prefix: string,
): Promise<Guest> {
  const sandbox = await openContainer(namespace, sandboxId);

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
    throw endedContainer("Your files could not be mounted, and the sandbox was ended", cause);
  }

  async function call(
    program: string,
    id: string,
    request: Request,
    mark?: string,
  ): Promise<ReadableStream<Uint8Array>> {
    const json = JSON.stringify({ ...request, id, filesAt: FILES_AT }, wellFormed);
    if (new TextEncoder().encode(json).length > MAX_REQUEST_BYTES) {
      throw new ToolError("too_large", "That is too much for one call; write it to a file first.");
    }
    const { status, body } = await sandbox.callGuest(program, json, mark);
    if (status === 200 && body !== null) return body;
    if (status === 503) throw new Error(await new Response(body).text());
    await sandbox.destroy();
    throw endedContainer("Something else was in the place of the sandbox's own server, and the sandbox was ended");
  }

  /** Asked before the call and answered before it, since calls of one Durable Object keep their order. */
  async function tellOfStart({ onStarting }: Watch): Promise<void> {
    if (onStarting === undefined) return;
    const { state } = await sandbox.lifecycle();
    if (state !== "running") onStarting();
  }

  async function hasEnded(): Promise<boolean> {
    const until = Date.now() + END_IS_KNOWN_WITHIN_MS;
    for (;;) {
      const { state } = await sandbox.lifecycle();
      if (state !== "running") return true;
      if (Date.now() > until) return false;
      await new Promise((resolve) => setTimeout(resolve, LOOK_AGAIN_MS));
    }
  }

  async function listen(
    { program, id, request, answersWithinMs }: Talk,
    watch: Watch,
  ): Promise<LastWord | "unmounted"> {
    if (watch.signal.aborted) throw cancelled();
    const stop = async (): Promise<void> => {
      await call("stop", id, {}).then(
        async (stream) => await lastWord(stream),
        () => undefined,
      );
    };
    const mark = crypto.randomUUID();
    const stream = await orAborted(call(program, id, request, mark), watch.signal, stop);
    const deadline = AbortSignal.timeout(answersWithinMs + GRACE_MS);
    let cause: unknown;
    try {
      const end = await lastWord(stream, { watch, mark, signal: AbortSignal.any([watch.signal, deadline]) });
      if (end !== undefined) return end.value === "unmounted" ? "unmounted" : end;
    } catch (error) {
      if (error instanceof ToolError || error instanceof Unrestored) throw error;
      cause = error;
    }
    if (watch.signal.aborted) {
      await stop();
      throw cancelled(cause);
    }
    if (deadline.aborted && program !== "read") {
      await sandbox.destroy();
      throw endedContainer("The sandbox no longer answered and was ended", cause);
    }
    if (await hasEnded()) {
      throw endedContainer("The sandbox was stopped in the middle of the call, with all that ran in it", cause);
    }
    throw new Error("The program ended without an answer.", { cause });
  }

  async function translated<Result>(work: () => Promise<Result>): Promise<Result> {
    try {
      return await work();
    } catch (error) {
      if (!isOutOfProcesses(error)) throw containerFailure(error);
      await sandbox.destroy();
      throw endedContainer("The sandbox had no process left and was ended", error);
    }
  }

  return {
    lifecycle: async () => await translated(async () => await sandbox.lifecycle()),
    run: async (talk, watch) => {
      return await translated(async () => {
        const told = tellOfStart(watch);
        const [answer] = await Promise.all([withFiles(async () => await listen(talk, watch)), told]);
        return answer;
      });
    },
    ask: async (program, request) =>
      await translated(async () => {
        const id = crypto.randomUUID();
        return await withFiles(async () => {
          const end = await lastWord(await call(program, id, request));
          if (end === undefined) throw new Error("The program gave no answer.");
          return end.value;
        });
      }),
  };
}

/** Half a character is valid in JSON, and nowhere inside. */
function wellFormed(_: string, value: unknown): unknown {
  return typeof value === "string" ? value.toWellFormed() : value;
}

/** The Durable Object of the sandbox's container. */
export async function openContainer(
  namespace: DurableObjectNamespace<SandboxObject>,
  sandboxId: string,
): Promise<SandboxObject> {
  return getSandbox(namespace, await containerName(sandboxId), SDK_OPTIONS);
}

/** The SDK takes at most 63 characters, and puts them into hostnames. */
async function containerName(sandboxId: string): Promise<string> {
  return (await sha256Hex(sandboxId)).slice(0, 32);
}

import * as z from "zod";
import { type Sandbox, type SandboxPort, UNHEARD_STATES, type Watch } from "../../servers/sandbox/driver.ts";
import {
  codeResult,
  commandResult,
  contextList,
  outputPosition,
  processList,
  processOutput,
  sandboxStatus,
} from "../../servers/sandbox/guest.ts";
import { type ErrorCode, ToolError } from "../../servers/shared/errors.ts";
import type { ContractFiles } from "../support/sandbox-contract.ts";
import { type RemoteCall, answerSchema, errorSchema } from "./wire.ts";

const snapshot = z.object({ ageMs: z.number(), sizeBytes: z.number() }).exactOptional();
const notes = z.array(z.string()).exactOptional();

type WithoutTarget<Call> = Call extends unknown ? Omit<Call, "userId" | "sandboxId"> : never;

export interface RemoteSandbox {
  readonly id: string;
  readonly sandbox: Sandbox;
  readonly files: ContractFiles;
  /** Has a snapshot taken now. False where that failed. */
  readonly saveSnapshot: () => Promise<boolean>;
  /** Where a WebSocket to a port of it begins. */
  readonly socketUrl: (port: number) => string;
}

/** A sandbox and its caller's files behind the test Worker at that URL. */
export function remoteSandbox(url: string, userId: string, sandboxId = userId): RemoteSandbox {
  const post = async (what: WithoutTarget<RemoteCall>, signal?: AbortSignal, bytes?: Uint8Array): Promise<Response> => {
    const form = new FormData();
    form.set("call", JSON.stringify({ ...what, userId, sandboxId }));
    if (bytes !== undefined) form.set("bytes", new Blob([new Uint8Array(bytes)]), "bytes");
    return await fetch(url, { method: "POST", body: form, ...(signal === undefined ? {} : { signal }) });
  };

  const read = async (what: WithoutTarget<RemoteCall>): Promise<Response> => {
    const response = await post(what);
    if (!response.ok) throw errorOf(errorSchema.parse(await response.json()));
    return response;
  };

  const call = async (
    what: WithoutTarget<RemoteCall>,
    { watch, bytes }: { readonly watch?: Watch; readonly bytes?: Uint8Array } = {},
  ): Promise<unknown> => {
    try {
      const response = await post(what, watch?.signal, bytes);
      for await (const line of linesOf(response)) {
        const answer = answerSchema.parse(JSON.parse(line));
        if ("output" in answer) watch?.onOutput?.(answer.output);
        else if ("isStarting" in answer) watch?.onStarting?.();
        else if ("error" in answer) throw errorOf(answer);
        else return answer.result;
      }
    } catch (error) {
      if (watch?.signal.aborted === true)
        throw new ToolError("cancelled", "The test ended the call.", { cause: error });
      throw error;
    }
    throw new Error("The test Worker ended its answer early.");
  };

  return {
    id: sandboxId,
    sandbox: {
      exec: async (command, watch) =>
        commandResult.extend({ processId: z.string(), notes }).parse(await call({ do: "exec", command }, { watch })),
      runCode: async (code, watch) =>
        codeResult.extend({ notes }).parse(await call({ do: "runCode", code }, { watch })),
      listProcesses: async () => processList.parse(await call({ do: "listProcesses" })),
      readProcess: async (processId, read, watch) =>
        processOutput.extend({ notes }).parse(await call({ do: "readProcess", processId, read }, { watch })),
      writeInput: async (processId, input) => outputPosition.parse(await call({ do: "writeInput", processId, input })),
      signalProcess: async (processId, signal) =>
        outputPosition.parse(await call({ do: "signalProcess", processId, signal })),
      listContexts: async () => contextList.parse(await call({ do: "listContexts" })),
      port: (port) => remotePort(new URL(`/port/${userId}/${sandboxId}/${port}`, url).href),
      status: async () => sandboxStatus.extend({ costUsd: z.number(), snapshot }).parse(await call({ do: "status" })),
      reset: async () => {
        await call({ do: "reset" });
      },
      sleep: async () => {
        await call({ do: "sleep" });
      },
      fork: async (intoId) => {
        await call({ do: "fork", intoId });
      },
      discard: async () => {
        await call({ do: "discard" });
      },
      readOutput: async (processId, stream) => {
        const { body, headers } = await read({ do: "readOutput", processId, stream });
        return { body: body ?? new Blob([]).stream(), sizeBytes: Number(headers.get("x-size-bytes")) };
      },
      readFile: async (path, maxBytes) => await (await read({ do: "readFile", path, maxBytes })).bytes(),
      writeFile: async (path, bytes, replaces) => {
        await call({ do: "writeFile", path, ...(replaces === undefined ? {} : { replaces }) }, { bytes });
      },
    },
    files: {
      write: async (path, text) => {
        await call({ do: "storeWrite", path }, { bytes: new TextEncoder().encode(text) });
      },
      read: async (path) => await (await read({ do: "storeRead", path })).text(),
      remove: async (path) => {
        await call({ do: "storeRemove", path });
      },
    },
    socketUrl: (port) => new URL(`/port/${userId}/${sandboxId}/${port}/fetch`, url).href.replace("http", "ws"),
    saveSnapshot: async () => z.boolean().parse(await call({ do: "saveSnapshot" })),
  };
}

/** As `serveSandbox` answers for it. */
function remotePort(base: string): SandboxPort {
  const ask = async (what: string): Promise<Response> => {
    const response = await fetch(`${base}/${what}`);
    if (!response.ok) throw errorOf(errorSchema.parse(await response.json()));
    return response;
  };
  return {
    look: async () => z.enum(["listening", "closed", "asleep"]).parse(await (await ask("look")).json()),
    close: async () => void (await ask("close")),
    fetch: async (request, untilMs) => {
      const { pathname, search } = new URL(request.url);
      const { method, body, signal } = request;
      const headers = new Headers(request.headers);
      headers.set("x-test-until", String(untilMs));
      const stream = body === null ? {} : { body, duplex: "half" as const };
      const response = await fetch(`${base}/fetch${pathname}${search}`, {
        ...{ method, headers, signal, ...stream },
        redirect: "manual",
      });
      const state = response.headers.get("x-test-state");
      if (state === "answered") return { state, response };
      if (response.status === 400) throw errorOf(errorSchema.parse(await response.json()));
      return { state: z.enum(UNHEARD_STATES).parse(state) };
    },
  };
}

const CODES: Readonly<Record<ErrorCode, true>> = {
  invalid_input: true,
  not_found: true,
  conflict: true,
  too_large: true,
  forbidden: true,
  limit_reached: true,
  timeout: true,
  cancelled: true,
  unavailable: true,
  internal: true,
};

function errorOf({ error }: z.output<typeof errorSchema>): ToolError {
  return new ToolError(codeOf(error.code), error.message, { cause: error.cause });
}

function codeOf(text: string): ErrorCode {
  return isCode(text) ? text : "internal";
}

function isCode(text: string): text is ErrorCode {
  return Object.hasOwn(CODES, text);
}

async function* linesOf(response: Response): AsyncGenerator<string> {
  if (response.body === null) return;
  let held: string[] = [];
  for await (const piece of response.body.pipeThrough(new TextDecoderStream())) {
    const lines = piece.split("\n");
    const last = lines.pop() ?? "";
    for (const line of lines) {
      const whole = held.join("") + line;
      held = [];
      if (whole !== "") yield whole;
    }
    held.push(last);
  }
}

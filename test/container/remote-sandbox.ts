import * as z from "zod";
import type { Sandbox } from "../../servers/sandbox/driver.ts";
import { codeResult, commandResult } from "../../servers/sandbox/guest.ts";
import { type ErrorCode, ToolError } from "../../servers/shared/errors.ts";
import type { ContractFiles } from "../support/sandbox-contract.ts";
import { type RemoteCall, answerSchema, errorSchema } from "./wire.ts";

type WithoutTarget<Call> = Call extends unknown ? Omit<Call, "userId" | "sandboxId"> : never;

const bytesAnswer = z.object({ base64: z.string() });

/** A sandbox and its caller's files behind the test Worker at that URL. */
export function remoteSandbox(url: string, userId: string): { readonly sandbox: Sandbox; readonly files: ContractFiles } {
  const post = async (what: WithoutTarget<RemoteCall>, signal: AbortSignal | undefined): Promise<Response> =>
    await fetch(url, {
      method: "POST",
      body: JSON.stringify({ ...what, userId, sandboxId: userId }),
      ...(signal === undefined ? {} : { signal }),
    });

  const call = async (
    what: WithoutTarget<RemoteCall>,
    watch?: { readonly signal: AbortSignal; readonly onOutput?: (text: string) => void },
  ): Promise<unknown> => {
    const response = await post(what, watch?.signal);
    try {
      for await (const line of linesOf(response)) {
        const answer = answerSchema.parse(JSON.parse(line));
        if ("output" in answer) watch?.onOutput?.(answer.output);
        else if ("error" in answer) throw errorOf(answer);
        else return answer.result;
      }
    } catch (error) {
      if (watch?.signal.aborted === true) throw new ToolError("cancelled", "The test ended the call.", { cause: error });
      throw error;
    }
    throw new Error(`The test Worker ended its answer early (${response.status}).`);
  };

  return {
    sandbox: {
      exec: async (command, watch) =>
        commandResult.extend({ processId: z.string() }).parse(await call({ do: "exec", command }, watch)),
      runCode: async (code, watch) => codeResult.parse(await call({ do: "runCode", code }, watch)),
      readOutput: async (processId, stream) => {
        const response = await post({ do: "readOutput", processId, stream }, undefined);
        if (!response.ok || response.body === null) throw errorOf(errorSchema.parse(await response.json()));
        return { body: response.body, sizeBytes: Number(response.headers.get("x-size-bytes")) };
      },
      readFile: async (path, maxBytes) =>
        Buffer.from(bytesAnswer.parse(await call({ do: "readFile", path, maxBytes })).base64, "base64"),
      writeFile: async (path, bytes) => {
        await call({ do: "writeFile", path, base64: Buffer.from(bytes).toString("base64") });
      },
    },
    files: {
      write: async (path, text) => {
        await call({ do: "storeWrite", path, base64: Buffer.from(text).toString("base64") });
      },
      read: async (path) =>
        Buffer.from(bytesAnswer.parse(await call({ do: "storeRead", path })).base64, "base64").toString(),
      remove: async (path) => {
        await call({ do: "storeRemove", path });
      },
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

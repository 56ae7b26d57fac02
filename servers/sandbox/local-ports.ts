import * as z from "zod";
import { ToolError } from "../shared/errors.ts";
import type { SandboxPort } from "./driver.ts";
import {
  type Fetch,
  type LocalRuntimeSettings,
  type RuntimeSandbox,
  parseRuntime,
  readJsonBody,
} from "./local-runtime.ts";
import { PORT_UNTIL, readPortAnswer } from "./port-answer.ts";

/** Begins the names of a visitor's headers that would mean something to the runtime itself. */
export const VISITORS = "x-pincer-visitors-";

/** The way out of the sandbox is there. */
const EGRESS_PORT = 3128;
const RUNTIMES_OWN = ["authorization", "origin"];

const look = z.object({ state: z.enum(["listening", "closed", "asleep"]) });

export function localPort(
  { runtimeUrl, secret }: LocalRuntimeSettings,
  fetch: Fetch,
  id: string,
  runtime: RuntimeSandbox,
  port: number,
): SandboxPort {
  if (port === EGRESS_PORT) {
    throw new ToolError("invalid_input", `The sandbox itself uses port ${port}; let the server listen on another.`);
  }
  const query = { port: String(port) };
  return {
    look: async () => parseRuntime(look, await readJsonBody(await runtime.request("port", { query }))).state,
    close: async () => void (await runtime.request("port/close", { method: "POST", query })),
    fetch: async (request, untilMs) => {
      const { pathname, search } = new URL(request.url);
      const headers = new Headers(request.headers);
      for (const name of RUNTIMES_OWN) {
        const value = headers.get(name);
        headers.delete(name);
        if (value !== null) headers.set(VISITORS + name, value);
      }
      headers.set("authorization", `Bearer ${secret}`);
      headers.set(PORT_UNTIL, String(untilMs));
      const { method, body, signal } = request;
      const response = await fetch(`${runtimeUrl}/sandboxes/${id}/ports/${port}${pathname}${search}`, {
        ...{ method, headers, body, signal },
        redirect: "manual",
        // The server's own bytes, however it packed them.
        encodeResponseBody: "manual",
      }).catch((cause: unknown) => {
        if (signal.aborted) throw cause;
        throw new ToolError("unavailable", "The local sandbox runtime does not answer; try again.", { cause });
      });
      return await readPortAnswer(response);
    },
  };
}

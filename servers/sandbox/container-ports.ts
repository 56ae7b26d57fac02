import * as z from "zod";
import type { Sandbox as SandboxObject } from "../../container/sandbox.ts";
import { ToolError } from "../shared/errors.ts";
import { type Guest, openContainer } from "./container-guest.ts";
import { isAwake } from "./container-processes.ts";
import type { SandboxPort } from "./driver.ts";
import { parseGuest } from "./guest.ts";
import { CONTAINER_PORT, PORT_UNTIL, readPortAnswer } from "./port-answer.ts";

/** The SDK's server and ours: whoever reached the first could do whatever a command can. */
const CONTAINERS_OWN = [3000, 3777];

export function containerPort(
  namespace: DurableObjectNamespace<SandboxObject>,
  id: string,
  connect: () => Promise<Guest>,
  port: number,
): SandboxPort {
  if (CONTAINERS_OWN.includes(port)) {
    throw new ToolError("invalid_input", `The container itself uses port ${port}; let the server listen on another.`);
  }
  return {
    look: async () => {
      const guest = await connect();
      if (!(await isAwake(guest))) return "asleep";
      return parseGuest(z.boolean(), await guest.ask("port", { port })) ? "listening" : "closed";
    },
    close: async () => await (await openContainer(namespace, id)).hangUp(port),
    fetch: async (request, untilMs) => {
      const headers = new Headers(request.headers);
      headers.set(CONTAINER_PORT, String(port));
      headers.set(PORT_UNTIL, String(untilMs));
      const container = await openContainer(namespace, id);
      const response = await container
        .fetch(new Request(request, { headers, redirect: "manual" }))
        .catch((cause: unknown) => {
          if (request.signal.aborted) throw cause;
          throw new ToolError("unavailable", "The sandbox's container does not answer; try again.", { cause });
        });
      return await readPortAnswer(response);
    },
  };
}

import * as z from "zod";
import type { Sandbox as SandboxObject } from "../../container/sandbox.ts";
import { PORT, PORT_STATE, PORT_UNTIL } from "../../container/ports.ts";
import { ToolError } from "../shared/errors.ts";
import { type Guest, openContainer } from "./container-guest.ts";
import { isAwake } from "./container-processes.ts";
import { type SandboxPort, UNHEARD_STATES } from "./driver.ts";
import { parseGuest } from "./guest.ts";

/** The SDK's server and ours: whoever reached the first could do whatever a command can. */
const CONTAINERS_OWN = [3000, 3777];

const unheard = z.enum(UNHEARD_STATES);

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
      headers.set(PORT, String(port));
      headers.set(PORT_UNTIL, String(untilMs));
      const container = await openContainer(namespace, id);
      const response = await container
        .fetch(new Request(request, { headers, redirect: "manual" }))
        .catch((cause: unknown) => {
          if (request.signal.aborted) throw cause;
          throw new ToolError("unavailable", "The sandbox's container does not answer; try again.", { cause });
        });
      const state = response.headers.get(PORT_STATE);
      if (state === "answered") return { state, response };
      await response.body?.cancel();
      const parsed = unheard.safeParse(state);
      if (parsed.success) return { state: parsed.data };
      throw new ToolError("unavailable", "The sandbox's ports cannot be reached right now; try again.");
    },
  };
}

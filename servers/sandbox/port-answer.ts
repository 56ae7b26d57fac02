import * as z from "zod";
import { ToolError } from "../shared/errors.ts";
import { type PortAnswer, UNHEARD_STATES } from "./driver.ts";

/** What became of a request to a port; nothing inside can say it, since it is taken out of what it answers. */
export const PORT_STATE = "x-pincer-port-state";
/** Until when what is asked for may last. */
export const PORT_UNTIL = "x-pincer-port-until";

/** Which port a request to a container's object is for; without it the request is the SDK's. */
export const CONTAINER_PORT = "x-pincer-port";

/** What a request's address and headers may come to, as Cloudflare has it too; and those of an answer. */
export const MAX_HEAD_BYTES = 128 * 1024;

export type PortState = PortAnswer["state"];

const unheard = z.enum(UNHEARD_STATES);

/** What the other side of a driver says. Rejects with `unavailable` where it says nothing about the port. */
export async function readPortAnswer(response: Response): Promise<PortAnswer> {
  const state = response.headers.get(PORT_STATE);
  if (state === "answered") return { state, response };
  await response.body?.cancel();
  const parsed = unheard.safeParse(state);
  if (parsed.success) return { state: parsed.data };
  throw new ToolError("unavailable", "The sandbox's ports cannot be reached right now; try again.");
}

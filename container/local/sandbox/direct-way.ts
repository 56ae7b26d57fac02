import { once } from "node:events";
import { type FileHandle, open, stat } from "node:fs/promises";
import { type Socket, connect } from "node:net";
import type { AgentLink } from "./agent-link.ts";
import { TO_AGENT } from "./inside/frames.mjs";
import { descendants } from "./watch.ts";

export interface DirectWayOptions {
  /** The egress proxy's. */
  readonly egressSocket: string;
  /** The sandbox's for the proxy: its id, and the port. */
  readonly name: string;
  readonly link: AgentLink;
  /** Ends it. */
  readonly signal: AbortSignal;
}

const AGENT_TIMEOUT_MS = 10_000;

/**
 * Has the egress proxy listen in the sandbox's own network in its agent's place: what goes through the agent and this
 * process takes twice as long. Resolves when that is over, as it is where the proxy ends, with true; or with false where
 * it cannot be had. The agent listens before and after.
 */
export async function serveDirectWay(options: DirectWayOptions): Promise<boolean> {
  const { link, signal } = options;
  const order = await giveOrder(options);
  if (order === undefined) return false;
  const over = new Promise((resolve) => order.once("close", resolve));
  await tellAgent(link, { isOpen: false });
  await over;
  if (!signal.aborted) await tellAgent(link, { isOpen: true });
  return true;
}

async function tellAgent(link: AgentLink, egress: { readonly isOpen: boolean }): Promise<void> {
  await link.ask(TO_AGENT.egress, egress, AGENT_TIMEOUT_MS).catch(() => undefined);
}

/** A connection for as long as which the proxy listens in the sandbox. */
async function giveOrder({ egressSocket, name, link, signal }: DirectWayOptions): Promise<Socket | undefined> {
  const files = await openNamespaces(link).catch(() => []);
  if (files.length === 0) return undefined;
  const order = connect(egressSocket);
  order.on("error", () => undefined);
  signal.addEventListener("abort", () => order.destroy());
  if (signal.aborted) order.destroy();
  // They stay what they are for as long as they are open, whatever becomes of the process that they were found by.
  const paths = files.map(({ fd }) => `/proc/${process.pid}/fd/${fd}`);
  order.write(`${[name, ...paths].join(" ")}\n`);
  await Promise.race([once(order, "data"), once(order, "close")]).catch(() => undefined);
  for (const file of files) await file.close();
  return order.destroyed ? undefined : order;
}

/** Of the network, and unless this is root of the user namespace that it belongs to. */
async function openNamespaces(link: AgentLink): Promise<FileHandle[]> {
  const kinds = process.getuid?.() === 0 ? ["net"] : ["net", "user"];
  const own = await stat("/proc/self/ns/net");
  for (const { pid } of descendants(link.pid)) {
    const files = await Promise.all(kinds.map(async (kind) => await open(`/proc/${pid}/ns/${kind}`)));
    const isOwn = (await files[0]?.stat())?.ino === own.ino;
    // It may have ended before they were open, and another one may have its number.
    if (!isOwn && link.isOpen && descendants(link.pid).some((each) => each.pid === pid)) return files;
    for (const file of files) await file.close();
  }
  return [];
}

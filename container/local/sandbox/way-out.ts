import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { rm } from "node:fs/promises";
import { connect, createServer, type Socket } from "node:net";
import { dirname, join } from "node:path";
import { UNPRIVILEGED_PORT } from "../../../servers/shared/inside-hosts.ts";
import { MAX_CONNECTIONS_OF_ONE } from "../egress/inside.ts";
import { pipeBothWays } from "../egress/pipe-both-ways.ts";
import type { AgentLink } from "./agent-link.ts";
import { serveDirectWay } from "./direct-way.ts";
import { isSocket, openToSandbox } from "./jail.ts";

export interface WayOut {
  /** Whether the sandbox is to have the ports below 1024, one of which leads here too. */
  readonly hasLowPorts: boolean;
  /** The sandbox's own: nobody else is given it. */
  readonly socket: string;
  /** Once the sandbox is seen to go out, what comes later goes directly, where that can be had. Ends with the sandbox. */
  shorten(link: AgentLink): Promise<void>;
  close(): Promise<void>;
}

/**
 * A sandbox's way to the egress proxy, which is told whose each connection is before a byte of the sandbox's own.
 * Nothing where no proxy is.
 */
export async function openWayOut(
  egressSocket: string,
  sandboxId: string,
  hasLowPorts: boolean,
): Promise<WayOut | undefined> {
  if (!(await isSocket(egressSocket))) return undefined;
  const name = `${sandboxId} ${hasLowPorts ? 80 : UNPRIVILEGED_PORT}`;
  const open = new Set<Socket>();
  const server = createServer({ allowHalfOpen: true }, (inside) => {
    const proxy = connect({ path: egressSocket, allowHalfOpen: true });
    proxy.write(`${name}\n`);
    open.add(inside);
    inside.once("close", () => open.delete(inside));
    pipeBothWays(inside, proxy);
  });
  server.maxConnections = MAX_CONNECTIONS_OF_ONE;
  // As short as the proxy's own: the path of a unix socket ends at about 100 bytes.
  const socket = join(dirname(egressSocket), `${randomBytes(5).toString("hex")}.sock`);
  server.listen(socket);
  await once(server, "listening");
  await openToSandbox(socket);
  const closing = new AbortController();
  return {
    ...{ hasLowPorts, socket },
    shorten: async (link) => {
      const { signal } = closing;
      // Nobody pays for it whose programs stay inside.
      do await new Promise((resolve) => server.once("connection", resolve));
      while (await serveDirectWay({ egressSocket, name, link, signal }));
    },
    close: async () => {
      closing.abort();
      server.close();
      for (const connection of open) connection.destroy();
      await rm(socket, { force: true });
    },
  };
}

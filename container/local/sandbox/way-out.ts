import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { rm } from "node:fs/promises";
import { connect, createServer, type Socket } from "node:net";
import { dirname, join } from "node:path";
import { UNPRIVILEGED_PORT } from "../../../servers/shared/inside-hosts.ts";
import { pipeBothWays } from "../egress/pipe-both-ways.ts";
import { isSocket, openToSandbox } from "./jail.ts";

export interface WayOut {
  /** Whether the sandbox is to have the ports below 1024, one of which leads here too. */
  readonly hasLowPorts: boolean;
  /** The sandbox's own: nobody else is given it. */
  readonly socket: string;
  close(): Promise<void>;
}

/** Fewer than the proxy takes from all of them together. */
const MAX_CONNECTIONS = 256;

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
  const line = `${sandboxId} ${hasLowPorts ? 80 : UNPRIVILEGED_PORT}\n`;
  const open = new Set<Socket>();
  const server = createServer({ allowHalfOpen: true }, (inside) => {
    const proxy = connect({ path: egressSocket, allowHalfOpen: true });
    proxy.write(line);
    open.add(inside);
    inside.once("close", () => open.delete(inside));
    pipeBothWays(inside, proxy);
  });
  server.maxConnections = MAX_CONNECTIONS;
  // As short as the proxy's own: the path of a unix socket ends at about 100 bytes.
  const socket = join(dirname(egressSocket), `${randomBytes(5).toString("hex")}.sock`);
  server.listen(socket);
  await once(server, "listening");
  await openToSandbox(socket);
  return {
    ...{ hasLowPorts, socket },
    close: async () => {
      server.close();
      for (const connection of open) connection.destroy();
      await rm(socket, { force: true });
    },
  };
}

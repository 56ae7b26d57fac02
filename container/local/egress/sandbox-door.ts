import { createServer, type Server, type Socket } from "node:net";
import { MAX_CONNECTIONS_OF_ONE, type Sender, readSandbox } from "./inside.ts";
import { listenInNetwork } from "./network.ts";

export interface SandboxDoorOptions {
  /** For the line that a connection begins with. */
  readonly lineMs: number;
  /** Told of every connection before a byte of it is read. */
  readonly track: (socket: Socket) => void;
  readonly admit: (socket: Socket, sender: Sender) => void;
}

export const MAX_CONNECTIONS = 512;

/**
 * Where connections of sandboxes come in. The runtime passes them on to this server, each with a first line that says
 * whose it is. Or it orders the proxy to listen in a sandbox's own network, where whatever comes is that sandbox's.
 */
export function createSandboxDoor({ lineMs, track, admit }: SandboxDoorOptions): Server {
  const inside = new Map<Socket, string>();

  const receive = (socket: Socket): void => {
    track(socket);
    socket.on("error", () => socket.destroy());
  };

  const enter = (socket: Socket, sender: Sender): void => {
    const ofOne = [...inside.values()].filter((sandbox) => sandbox === sender.sandbox);
    if (inside.size >= MAX_CONNECTIONS || ofOne.length >= MAX_CONNECTIONS_OF_ONE) return void socket.destroy();
    inside.set(socket, sender.sandbox);
    socket.once("close", () => inside.delete(socket));
    admit(socket, sender);
  };

  /** Until the order's own connection ends, and with it all that has come in. */
  const listenFor = async (order: Socket, sender: Sender): Promise<void> => {
    const over = new AbortController();
    const clients = new Set<Socket>();
    order.once("close", () => {
      over.abort();
      for (const client of clients) client.destroy();
    });
    order.once("end", () => order.destroy()).resume();
    const onClient = (client: Socket): void => {
      receive(client);
      clients.add(client);
      client.once("close", () => clients.delete(client));
      enter(client, sender);
    };
    if (await listenInNetwork(sender, onClient, over.signal)) order.write("listening\n");
    else order.destroy();
  };

  const welcome = async (socket: Socket): Promise<void> => {
    receive(socket);
    const sender = await readSandbox(socket, lineMs);
    if (sender === undefined) socket.destroy();
    else if (sender.namespaces.length === 0) enter(socket, sender);
    else await listenFor(socket, sender);
  };

  return createServer({ allowHalfOpen: true }, (socket) => void welcome(socket));
}

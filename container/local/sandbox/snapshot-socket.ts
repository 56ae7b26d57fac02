import { once } from "node:events";
import { open, rm } from "node:fs/promises";
import { createServer, type Socket } from "node:net";
import { join } from "node:path";
import { decode } from "./bytes.ts";
import { openToSandbox } from "./jail.ts";
import { Problem } from "./problem.ts";

/** Where snapshots enter one sandbox and leave it: what packs and unpacks them inside holds the other end itself. */
export interface SnapshotSocket {
  readonly path: string;
  /** The connection that begins with the token, of `TOKEN_CHARS`. Rejects where none comes. */
  meet(token: string): Promise<Socket>;
  close(): Promise<void>;
}

export const TOKEN_CHARS = 32;
const NAME = "snapshots.sock";
/** Programs in the sandbox may connect too, and get nowhere. */
const MAX_CONNECTIONS = 16;
const MEET_MS = 60_000;

/** Makes the socket in the sandbox's folder, for what is started in it next. */
export async function openSnapshotSocket(dir: string): Promise<SnapshotSocket> {
  const path = join(dir, NAME);
  const awaited = new Map<string, (connection: Socket) => void>();
  const connections = new Set<Socket>();
  const server = createServer((connection) => {
    connections.add(connection);
    connection.once("close", () => connections.delete(connection));
    readToken(connection, (token) => {
      const meet = awaited.get(token);
      awaited.delete(token);
      if (meet === undefined) connection.destroy();
      else meet(connection);
    });
  });
  server.maxConnections = MAX_CONNECTIONS;
  await rm(path, { force: true });
  // The path of a socket ends at about 100 bytes, that of a sandbox's folder need not. The server removes it by the same
  // name when it is closed.
  const folder = await open(dir);
  const close = async (): Promise<void> => {
    for (const connection of connections) connection.destroy();
    await new Promise((resolve) => server.close(resolve));
    await folder.close();
  };
  try {
    server.listen(`/proc/self/fd/${folder.fd}/${NAME}`);
    await once(server, "listening");
    await openToSandbox(path);
  } catch (error) {
    await close();
    throw error;
  }
  return {
    path,
    meet: async (token) => {
      const { promise, resolve, reject } = Promise.withResolvers<Socket>();
      awaited.set(token, resolve);
      const late = setTimeout(() => {
        awaited.delete(token);
        reject(new Problem("unavailable", "The sandbox did not answer; try again."));
      }, MEET_MS);
      return await promise.finally(() => clearTimeout(late));
    },
    close,
  };
}

/** What comes behind the token stays where it is. */
function readToken(connection: Socket, onToken: (token: string) => void): void {
  const late = setTimeout(() => connection.destroy(), MEET_MS);
  connection.once("close", () => clearTimeout(late));
  // Whoever reads or writes hears of it.
  connection.on("error", () => undefined);
  const read = (): void => {
    const token: unknown = connection.read(TOKEN_CHARS);
    if (!(token instanceof Uint8Array)) return;
    clearTimeout(late);
    connection.off("readable", read);
    onToken(decode(token));
  };
  connection.on("readable", read);
}

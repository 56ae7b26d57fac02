import type { IncomingMessage, ServerResponse } from "node:http";
import type { Duplex } from "node:stream";

/** Clients that send the next request before they have an answer do so with a few. */
const MAX_AHEAD = 16;

interface Line {
  length: number;
  end: Promise<void>;
}

/**
 * Has each request of a connection wait until the one before it is answered: for every one that is on its way a connection
 * of its own goes out, and whoever has one in would have as many as they like.
 */
export class RequestTurns {
  readonly #lines = new WeakMap<Duplex, Line>();

  /** Whether it is its turn. It never is where the connection has gone, as one does on which too many wait. */
  async take({ socket }: IncomingMessage, response: ServerResponse): Promise<boolean> {
    const line = this.#lines.get(socket) ?? { length: 0, end: Promise.resolve() };
    this.#lines.set(socket, line);
    if (line.length >= MAX_AHEAD) {
      socket.destroy();
      return false;
    }
    const ahead = line.end;
    line.length += 1;
    line.end = new Promise((resolve) => {
      response.once("close", () => {
        line.length -= 1;
        resolve();
      });
    });
    await ahead;
    return !socket.destroyed;
  }
}

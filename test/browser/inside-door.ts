import { once } from "node:events";
import { type IncomingMessage, createServer, request } from "node:http";
import type { Duplex } from "node:stream";

/** A way to the Worker for a program in one person's sandbox. */
export interface InsideDoor extends AsyncDisposable {
  readonly origin: string;
}

/** Says whose sandbox it is, and hands on all else, as what stands between a sandbox and the Worker does. */
export async function serveInsideDoor(worker: URL, userId: string): Promise<InsideDoor> {
  const open = new Set<Duplex>();
  const ask = ({ method, url, headers }: IncomingMessage) => {
    // To compress what stays on one machine takes longer than the rest of the way.
    const { "sec-websocket-extensions": _, ...rest } = headers;
    return request({
      ...{ host: worker.hostname, port: worker.port, method, path: url },
      headers: { ...rest, person: userId },
    });
  };
  const server = createServer((asked, answer) => {
    const asking = ask(asked);
    asking.on("response", (response) => {
      answer.writeHead(response.statusCode ?? 502, response.headers);
      response.pipe(answer);
    });
    asking.on("error", () => answer.destroy());
    asked.pipe(asking);
  });
  server.on("upgrade", (asked: IncomingMessage, socket: Duplex) => {
    const asking = ask(asked);
    const sayHead = ({ statusCode, statusMessage, rawHeaders }: IncomingMessage): void => {
      const fields = rawHeaders.map((text, index) => (index % 2 === 0 ? `${text}: ` : `${text}\r\n`)).join("");
      socket.write(`HTTP/1.1 ${statusCode} ${statusMessage}\r\n${fields}\r\n`);
    };
    asking.on("upgrade", (response, other) => {
      sayHead(response);
      for (const [from, to] of [
        [socket, other],
        [other, socket],
      ] as const) {
        open.add(from);
        from.pipe(to);
        from.on("error", () => to.destroy());
        from.on("close", () => to.destroy());
      }
    });
    asking.on("response", (response) => {
      sayHead(response);
      response.pipe(socket);
    });
    asking.on("error", () => socket.destroy());
    asking.end();
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("The door has no port.");
  return {
    origin: `http://127.0.0.1:${address.port}`,
    [Symbol.asyncDispose]: async () => {
      for (const socket of open) socket.destroy();
      server.closeAllConnections();
      server.close();
    },
  };
}

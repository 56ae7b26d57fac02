import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { Duplex } from "node:stream";

/** A site of hard pages on a free loopback port. */
export interface Site extends AsyncDisposable {
  /** `127.0.0.1:41234`. */
  readonly host: string;
  readonly origin: string;
  /** Paths that were asked for. */
  readonly asked: string[];
}

type Answer = (request: IncomingMessage, response: ServerResponse) => unknown;
/** By path; `/some/*` stands for all in that folder. HTML, or what answers. */
export type Pages = Readonly<Record<string, string | Answer>>;

/** Serves `pages` under that name for loopback, and WebSockets where there is something to answer them. */
export async function serveSite(
  name: "127.0.0.1" | "localhost",
  pages: Pages,
  onUpgrade?: (request: IncomingMessage, socket: Duplex) => void,
): Promise<Site> {
  const asked: string[] = [];
  const server = createServer((request, response) => {
    const path = (request.url ?? "").split("?")[0] ?? "";
    asked.push(path);
    const page = pages[path] ?? pages[path.replace(/[^/]*$/, "*")];
    if (page === undefined) {
      response.writeHead(404).end("nothing here");
    } else if (typeof page === "string") {
      response.writeHead(200, { "Content-Type": "text/html; charset=utf-8" }).end(`<!doctype html>${page}`);
    } else {
      void Promise.try(page, request, response).catch(() => response.destroy());
    }
  });
  if (onUpgrade !== undefined) server.on("upgrade", onUpgrade);
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("The site listens on no port.");
  const host = `${name}:${address.port}`;
  return {
    host,
    origin: `http://${host}`,
    asked,
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      server.close();
    },
  };
}

export function redirectTo(url: string): Answer {
  return (_request, response) => response.writeHead(302, { Location: url }).end();
}

export function script(code: string): Answer {
  return (_request, response) => response.writeHead(200, { "Content-Type": "text/javascript" }).end(code);
}

/** A server that takes the request and says nothing. */
export function silence(): void {
  // The response stays open until the site is taken down.
}

import { type IncomingHttpHeaders, createServer, request } from "node:http";

export interface TokenProxy extends AsyncDisposable {
  readonly mcpUrl: URL;
}

/**
 * Stands before a suite for a client that cannot send a token: adds it to each request. Host and Origin pass as the
 * client wrote them, so that the suite refuses strangers itself; only the proxy's own name becomes the suite's.
 */
export async function startTokenProxy(suiteMcpUrl: URL, token: string): Promise<TokenProxy> {
  let ownHost = "";
  const rename = (text: string | undefined): string | undefined => text?.replace(ownHost, suiteMcpUrl.host);
  const forwarded = (headers: IncomingHttpHeaders): IncomingHttpHeaders => ({
    ...headers,
    host: rename(headers.host),
    ...(headers.origin === undefined ? {} : { origin: rename(headers.origin) }),
    authorization: `Bearer ${token}`,
  });
  const server = createServer((incoming, response) => {
    const outgoing = request(
      {
        host: suiteMcpUrl.hostname,
        port: suiteMcpUrl.port,
        path: incoming.url,
        method: incoming.method,
        headers: forwarded(incoming.headers),
      },
      (answer) => {
        response.writeHead(answer.statusCode ?? 502, answer.headers);
        answer.pipe(response);
      },
    );
    outgoing.on("error", () => response.destroy());
    response.on("close", () => outgoing.destroy());
    incoming.pipe(outgoing);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("The proxy has no port.");
  ownHost = `127.0.0.1:${address.port}`;
  return {
    mcpUrl: new URL(suiteMcpUrl.pathname, `http://${ownHost}`),
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

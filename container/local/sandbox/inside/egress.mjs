import { existsSync } from "node:fs";
import { connect, createServer } from "node:net";

const SOCKET = "/run/egress.sock";
/** What HTTP_PROXY names. */
const PROXY_PORT = 3128;
/** What /etc/hosts has for the names that exist only inside, and where programs that know no proxy find them. */
const INSIDE_ADDRESS = "127.0.0.2";
const [HTTP_PORT, PORT_WITHOUT_RIGHTS] = [80, 9222];

/** @type {import("node:net").Server[]} */
let servers = [];

/** Lets programs reach the egress proxy, the only way out, at ports of the sandbox's own loopback. */
export function openEgress() {
  if (!existsSync(SOCKET)) return;
  listen(PROXY_PORT, "127.0.0.1", report);
  listen(HTTP_PORT, INSIDE_ADDRESS, () => listen(PORT_WITHOUT_RIGHTS, INSIDE_ADDRESS, report));
}

/** The proxy listens at these ports by now. What has come in goes on. */
export function closeEgress() {
  for (const server of servers) server.close();
  servers = [];
}

/** @param {number} port @param {string} address @param {(error: Error) => void} onError */
function listen(port, address, onError) {
  const server = createServer({ allowHalfOpen: true, noDelay: true }, (client) => {
    const proxy = connect({ path: SOCKET, allowHalfOpen: true });
    client.pipe(proxy).pipe(client);
    for (const [one, other] of [
      [client, proxy],
      [proxy, client],
    ]) {
      one?.on("error", () => other?.destroy());
      one?.on("close", () => other?.destroy());
    }
  });
  servers.push(server);
  server.on("error", onError);
  // The proxy may come to listen there too.
  server.listen({ port, host: address, reusePort: true });
}

/** @param {Error} error */
function report(error) {
  console.error(`egress: ${error.message}`);
}

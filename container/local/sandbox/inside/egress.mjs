import { existsSync } from "node:fs";
import { connect, createServer } from "node:net";

const SOCKET = "/run/egress.sock";
/** What HTTP_PROXY names. */
const PORT = 3128;

/** Lets programs reach the egress proxy, the only way out, at a port of the sandbox's own loopback. */
export function openEgress() {
  if (!existsSync(SOCKET)) return;
  const server = createServer({ allowHalfOpen: true }, (client) => {
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
  server.on("error", (error) => console.error(`egress: ${error.message}`));
  server.listen(PORT, "127.0.0.1");
}

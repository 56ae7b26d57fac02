// Runs in the network of a sandbox, and in nothing else of it: listens there for the egress proxy, hands it the
// sockets, and ends. The agent inside listens at the same places, which the kernel allows to sockets of one user.
import { once } from "node:events";
import { createServer } from "node:net";

const [uid, ...places] = process.argv.slice(2);
if (process.getuid?.() === 0) {
  process.setgroups?.([]);
  process.setgid?.(Number(uid));
  process.setuid?.(Number(uid));
}
for (const place of places) {
  const [host, port] = place.split(":");
  const server = createServer();
  server.listen({ host, port: Number(port), reusePort: true });
  await once(server, "listening");
  process.send?.(place, server);
  // Before anybody could come to it here.
  server.close();
  await once(process, "message");
}
process.disconnect();

import { spawn } from "node:child_process";
import { once } from "node:events";
import { createServer, Server, type Socket } from "node:net";
import { join } from "node:path";
import { INSIDE_ADDRESS, PROXY_PLACE, SANDBOX_UID } from "../sandbox/jail.ts";
import { MAX_CONNECTIONS_OF_ONE, type Sender } from "./inside.ts";

const PROGRAM = join(import.meta.dirname, "listen-in-network.mjs");
const START_TIMEOUT_MS = 10_000;

/**
 * Listens in a sandbox's own network, at the places of the agent inside, until the signal fires. False where that
 * cannot be had: a process that may enter the network makes the sockets there, and hands them over.
 */
export async function listenInNetwork(
  { namespaces: [network = "", user], port }: Sender,
  onClient: (client: Socket) => void,
  signal: AbortSignal,
): Promise<boolean> {
  const places = [PROXY_PLACE, `${INSIDE_ADDRESS}:${port}`];
  const enter = user === undefined ? [] : [`--user=${user}`, "--preserve-credentials"];
  const helper = spawn(
    "/usr/bin/nsenter",
    [...enter, `--net=${network}`, "--", process.execPath, PROGRAM, String(SANDBOX_UID), ...places],
    { stdio: ["ignore", "ignore", "ignore", "ipc"], env: {}, timeout: START_TIMEOUT_MS, killSignal: "SIGKILL" },
  );
  // Whatever fails, it ends, which is waited for.
  helper.on("error", () => undefined);
  const servers: Server[] = [];
  helper.on("message", (_place, handle) => {
    if (!(handle instanceof Server)) return;
    const server = createServer({ allowHalfOpen: true, noDelay: true }, onClient);
    // Whoever floods it is turned away before there is anything of theirs to count.
    server.maxConnections = MAX_CONNECTIONS_OF_ONE;
    servers.push(server.listen(handle));
    helper.send("next", () => undefined);
  });
  const close = (): void => {
    helper.kill("SIGKILL");
    for (const server of servers) server.close();
  };
  signal.addEventListener("abort", close);
  await once(helper, "close").catch(() => undefined);
  const isListening = servers.length === places.length && !signal.aborted;
  if (!isListening) close();
  return isListening;
}

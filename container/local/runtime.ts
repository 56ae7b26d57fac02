import { once } from "node:events";
import { createServer } from "node:http";
import { resolve } from "node:path";
import { createInterface } from "node:readline";
import * as z from "zod";
import { answer } from "./sandbox/api.ts";
import { MAX_HEAD_BYTES } from "../../servers/sandbox/port-answer.ts";
import { isAllowed } from "./sandbox/gate.ts";
import { readPortTarget, servePort, upgradePort } from "./sandbox/port-api.ts";
import { Problem } from "./sandbox/problem.ts";
import { Sandboxes, type SandboxesOptions } from "./sandbox/sandboxes.ts";

const configSchema = z.object({
  dataDir: z.string().min(1),
  secret: z.string().min(32),
  egressSocket: z.string().exactOptional(),
  caBundle: z.string().exactOptional(),
  driver: z.enum(["local", "simulated"]).exactOptional(),
  simulatedBecause: z.string().exactOptional(),
  /** Where it listened before, when it is started again. */
  port: z.int().min(0).max(65_535).default(0),
});

export interface RuntimeOptions extends SandboxesOptions {
  readonly secret: string;
  readonly port?: number;
}

export interface Runtime {
  readonly url: string;
  /** As in `Sandboxes`. */
  readonly simulatedBecause: string | undefined;
  close(): Promise<void>;
}

const CLOSE_MS = 2_000;
/** A visitor's, and what the Worker says with them. */
const MAX_HEADER_BYTES = 2 * MAX_HEAD_BYTES;

/** Serves sandboxes on loopback to whoever knows the secret. */
export async function startRuntime(options: RuntimeOptions): Promise<Runtime> {
  const sandboxes = await Sandboxes.open({ ...options, dataDir: resolve(options.dataDir) });
  if (sandboxes.simulatedBecause !== undefined)
    options.log(`Sandboxes are simulated (just-bash). ${sandboxes.simulatedBecause}`);
  const limits = { requestTimeout: 0, keepAliveTimeout: 60_000, maxHeaderSize: MAX_HEADER_BYTES };
  const server = createServer(limits, (request, response) => {
    const target = readPortTarget(request.url);
    if (!isAllowed(request, options.secret)) {
      response.writeHead(403, { "content-type": "text/plain", connection: "close" }).end("Forbidden\n");
    } else if (target === undefined) void answer(request, response, sandboxes);
    else void servePort(request, response, target, sandboxes);
  });
  server.on("upgrade", (request, socket) => {
    const target = readPortTarget(request.url);
    if (target === undefined || !isAllowed(request, options.secret)) socket.destroy();
    else void upgradePort(request, socket, target, sandboxes);
  });
  server.listen(options.port ?? 0, "127.0.0.1");
  await once(server, "listening");
  const address = z.object({ port: z.int() }).parse(server.address());
  return {
    url: `http://127.0.0.1:${address.port}`,
    simulatedBecause: sandboxes.simulatedBecause,
    close: async () => {
      server.close();
      await sandboxes.close();
      server.closeAllConnections();
    },
  };
}

/** Reads its settings from the first line of standard input, and ends when standard input does. */
async function main(): Promise<void> {
  const input = createInterface({ input: process.stdin });
  const closed = once(input, "close");
  const [line] = z.tuple([z.string()]).parse(await once(input, "line"));
  const config = configSchema.parse(JSON.parse(line));
  const runtime = await startRuntime({ ...config, log: (text) => process.stderr.write(`${text}\n`) }).catch(
    (error: unknown) => {
      if (!(error instanceof Problem)) throw error;
      process.stdout.write(`${JSON.stringify({ problem: error.message })}\n`);
      return process.exit(1);
    },
  );
  const { url, simulatedBecause } = runtime;
  process.stdout.write(`${JSON.stringify({ url, simulatedBecause })}\n`);
  const end = async (): Promise<void> => {
    setTimeout(() => process.exit(1), CLOSE_MS).unref();
    await runtime.close();
    process.exit(0);
  };
  void closed.then(end);
  process.once("SIGTERM", () => void end());
  process.once("SIGINT", () => void end());
}

if (import.meta.main) await main();

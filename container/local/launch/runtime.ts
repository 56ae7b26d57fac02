import path from "node:path";
import * as z from "zod";
import type { HostSecrets } from "../../../servers/shared/sandbox-secrets.ts";
import { startEgressProxy } from "../egress/proxy.ts";
import { startChild } from "./child.ts";
import type { Ground } from "./ground.ts";
import type { SandboxDriverName } from "./options.ts";

export interface LocalRuntime {
  /** The same after a restart. */
  readonly url: string;
  /** For the banner: the driver, and why it is not the real one. */
  readonly description: string;
}

/** Long, for a machine that is busy with something else. */
const START_TIMEOUT_MS = 60_000;

const readySchema = z.object({ url: z.url(), simulatedBecause: z.string().exactOptional() });

export interface RuntimeOrders {
  /** The Worker shows it with each request. */
  readonly secret: string;
  /** The egress proxy shows it to the Worker with what sandboxes ask of the suite; the runtime is not told. */
  readonly insideSecret: string;
  /** What the egress proxy adds to the sandboxes' requests; the runtime is not told. */
  readonly hostSecrets: readonly HostSecrets[];
  /** Absent for what this machine allows. */
  readonly driver: SandboxDriverName | undefined;
}

/** The sandbox runtime, and the egress proxy that is the only way out of its sandboxes. */
export async function startSandboxRuntime(
  ground: Ground,
  { secret, insideSecret, hostSecrets, driver }: RuntimeOrders,
): Promise<LocalRuntime> {
  const { dataDir, tempDir, allowedHosts, suiteOrigin, env, report, log, closers } = ground;
  const proxy = await startEgressProxy({
    mode: "sandbox",
    allowedHosts,
    suiteOrigin,
    secrets: hostSecrets,
    insideSecret,
    socketPath: path.join(tempDir, "sandbox.sock"),
    log: (line) => log.write("sandbox egress", line),
  });
  closers.add(async () => await proxy.close());
  const runtime = await startChild({
    script: "runtime.ts",
    name: "The sandbox runtime",
    config: async (first) => ({
      dataDir,
      secret,
      egressSocket: proxy.socketPath,
      ...(proxy.caBundle !== undefined && { caBundle: proxy.caBundle }),
      ...(driver !== undefined && { driver }),
      ...(first !== undefined && orderAgain(first)),
    }),
    ready: readySchema,
    startTimeoutMs: START_TIMEOUT_MS,
    env,
    log,
    report,
  });
  closers.add(async () => await runtime.close());
  const { url, simulatedBecause } = runtime.ready;
  const description =
    simulatedBecause === undefined
      ? "local (bubblewrap on this machine)"
      : `simulated (just-bash; ${simulatedBecause})`;
  return { url, description };
}

/** The Worker knows one address, and a caller's sandbox must not become another one behind its back. */
function orderAgain({ url, simulatedBecause }: z.output<typeof readySchema>): object {
  const port = Number(new URL(url).port);
  return simulatedBecause === undefined ? { port, driver: "local" } : { port, driver: "simulated", simulatedBecause };
}

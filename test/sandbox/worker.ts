import { createLocalDriver } from "../../servers/sandbox/driver-local.ts";
import { serveSandbox } from "../support/sandbox-worker.ts";

interface Env {
  readonly FILES: R2Bucket;
  readonly RUNTIME_URL: string;
  readonly RUNTIME_SECRET: string;
}

export default {
  async fetch(request: Request, env: Env, ctx: ExecutionContext): Promise<Response> {
    const settings = { runtimeUrl: env.RUNTIME_URL, secret: env.RUNTIME_SECRET };
    const driver = createLocalDriver(settings, async (input, init) => await fetch(input, init));
    return await serveSandbox(request, env.FILES, driver, ctx);
  },
};

import type { Sandbox as SandboxObject } from "../../container/sandbox.ts";
import { createContainerDriver } from "../../servers/sandbox/driver-cloudflare.ts";
import { serveSandbox } from "../support/sandbox-worker.ts";

export { ContainerProxy, Sandbox } from "../../container/sandbox.ts";

interface Env {
  readonly FILES: R2Bucket;
  readonly SANDBOX: DurableObjectNamespace<SandboxObject>;
}

export default {
  async fetch(request: Request, env: Env, ctx: ExecutionContext): Promise<Response> {
    return await serveSandbox(request, env.FILES, createContainerDriver(env.SANDBOX, "standard-1"), ctx);
  },
};

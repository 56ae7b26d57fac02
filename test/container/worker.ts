import type { Sandbox as SandboxObject } from "../../container/sandbox.ts";
import { createContainerDriver } from "../../servers/sandbox/driver-cloudflare.ts";
import { type FilesBindings, serveSandbox } from "../support/sandbox-worker.ts";

export { ContainerProxy, Sandbox } from "../../container/sandbox.ts";
export { Account } from "../../servers/account/account.ts";

interface Env extends FilesBindings {
  readonly SANDBOX: DurableObjectNamespace<SandboxObject>;
}

export default {
  async fetch(request: Request, env: Env, ctx: ExecutionContext): Promise<Response> {
    return await serveSandbox(request, env, createContainerDriver(env.SANDBOX, "standard-1"), ctx);
  },
};

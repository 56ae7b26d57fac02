import { createLocalDriver } from "../../servers/sandbox/driver-local.ts";
import { type FilesBindings, serveSandbox } from "../support/sandbox-worker.ts";

export { Account } from "../../servers/account/account.ts";

interface Env extends FilesBindings {
  readonly LOCAL_RUNTIME_URL: string;
  readonly LOCAL_RUNTIME_SECRET: string;
}

export default {
  async fetch(request: Request, env: Env, ctx: ExecutionContext): Promise<Response> {
    const settings = { runtimeUrl: env.LOCAL_RUNTIME_URL, secret: env.LOCAL_RUNTIME_SECRET };
    const driver = createLocalDriver(settings, async (input, init) => await fetch(input, init));
    return await serveSandbox(request, env, driver, ctx);
  },
};

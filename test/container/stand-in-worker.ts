import { Sandbox as ProductSandbox } from "../../container/sandbox.ts";

export { ContainerProxy } from "../../container/sandbox.ts";
export { Account } from "../../servers/account/account.ts";
export { default } from "./worker.ts";

type Env = Readonly<Record<string, unknown>>;

/** The product's Durable Object and the SDK's, on a stand-in for the platform: containers are served at `STAND_IN`. */
export class Sandbox extends ProductSandbox {
  constructor(ctx: DurableObjectState<{}>, env: Env) {
    Object.defineProperty(ctx, "container", { value: standInContainer(ctx.id.toString(), String(env["STAND_IN"])) });
    super(ctx, env);
  }
}

/** As much of `ctx.container` as the SDK touches. */
function standInContainer(id: string, url: string): object {
  const headers = { "x-container": id };
  const container = {
    running: false,
    start: () => {
      container.running = true;
    },
    /** Comes to its end with the container, whoever ended it. */
    monitor: async () => {
      await fetch(new URL("/stand-in/end", url), { headers });
      container.running = false;
    },
    signal: () => container.destroy(),
    destroy: async () => {
      container.running = false;
      await fetch(url, { method: "DELETE", headers });
    },
    getTcpPort: (port: number) => ({
      fetch: async (input: RequestInfo, init?: RequestInit) => {
        const request = new Request(input, init);
        const { pathname, search } = new URL(request.url);
        const headers = new Headers(request.headers);
        headers.set("x-container", id);
        headers.set("x-port", String(port));
        return await fetch(new URL(pathname + search, url), {
          method: request.method,
          headers,
          body: request.body,
          signal: request.signal,
        });
      },
    }),
    interceptOutboundHttp: async () => await Promise.resolve(),
    interceptAllOutboundHttp: async () => await Promise.resolve(),
  };
  return container;
}

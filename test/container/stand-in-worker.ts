import { Sandbox as ProductSandbox } from "../../container/sandbox.ts";
import worker, { ContainerProxy, SandboxSnapshots } from "./worker.ts";

export { Account } from "../../servers/account/account.ts";
export { Directory } from "../../servers/directory/directory.ts";
export { ContainerProxy, SandboxSnapshots };

type WorkerEnv = Omit<Parameters<typeof worker.fetch>[1], "SANDBOX"> & {
  readonly SANDBOX: DurableObjectNamespace<Sandbox>;
  readonly STAND_IN: string;
};

export default {
  async fetch(request: Request, env: WorkerEnv, ctx: ExecutionContext): Promise<Response> {
    const id = request.headers.get("x-stand-in-leaves");
    if (id === null) return await worker.fetch(request, env, ctx);
    return await env.SANDBOX.get(env.SANDBOX.idFromString(id)).leave(request);
  },
};

/** What is intercepted by no name. */
const ANY_HOST = "*";

/** The product's Durable Object and the SDK's, on a stand-in for the platform: containers are served at `STAND_IN`. */
export class Sandbox extends ProductSandbox {
  readonly #proxies: Map<string, Fetcher>;

  constructor(ctx: DurableObjectState<{}>, env: WorkerEnv) {
    const proxies = new Map<string, Fetcher>();
    const container = standInContainer(ctx.id.toString(), env.STAND_IN, proxies);
    Object.defineProperty(ctx, "container", { value: container });
    super(ctx, env);
    this.#proxies = proxies;
  }

  /** What a program in the container asks a host for. */
  async leave(request: Request): Promise<Response> {
    const proxy = this.#proxies.get(new URL(request.url).hostname) ?? this.#proxies.get(ANY_HOST);
    return (await proxy?.fetch(request)) ?? new Response(null, { status: 502 });
  }
}

/** As much of `ctx.container` as the SDK touches. */
function standInContainer(id: string, url: string, proxies: Map<string, Fetcher>): object {
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
        headers.set("x-host", new URL(request.url).host);
        const answer = await fetch(new URL(pathname + search, url), {
          ...{ method: request.method, headers, body: request.body, signal: request.signal },
          redirect: "manual",
          encodeResponseBody: "manual",
        });
        // As the platform says it.
        if (answer.headers.has("x-stand-in-refused")) throw new Error("The container is not listening on that port.");
        return answer;
      },
    }),
    interceptOutboundHttp: async (host: string, proxy: Fetcher) => {
      await Promise.resolve(proxies.set(host, proxy));
    },
    interceptAllOutboundHttp: async (proxy: Fetcher) => {
      await Promise.resolve(proxies.set(ANY_HOST, proxy));
    },
  };
  return container;
}

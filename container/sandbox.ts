import { ContainerProxy as SdkContainerProxy, Sandbox as SdkSandbox } from "@cloudflare/sandbox";
import { checkUrl, isListed } from "../servers/shared/network-policy.ts";
import { parseSettings } from "../servers/shared/settings.ts";

type Env = Readonly<Record<string, unknown>>;

/** The name that the SDK gives the bucket inside the container; only its own handler ever answers it. */
const MOUNT_HOST = "r2.internal";
/** Refused by the platform's own list too, before any code of ours is asked. */
const NEVER_ALLOWED = ["169.254.*", "fd00:ec2::*", "100.100.100.200", "metadata.google.internal", "metadata.goog"];

/** One caller's container: without internet but for the hosts that the operator lists, asleep when nobody calls. */
export class Sandbox extends SdkSandbox<Env> {
  override sleepAfter = "15m";
  override enableInternet = false;
  override deniedHosts = NEVER_ALLOWED;
  override labels = { product: "pincer" };

  constructor(ctx: DurableObjectState<{}>, env: Env) {
    super(ctx, env);
    // Without it a listed host can be reached by http alone; with it the container waits for Cloudflare's CA.
    this.interceptHttps = parseSettings(env).ALLOWED_HOSTS.length > 0;
  }
}

/**
 * Every request that leaves a container comes through here; the platform finds this class by its name on the Worker.
 * The bucket's prefix comes from the Durable Object, so the container cannot choose another caller's.
 */
export class ContainerProxy extends SdkContainerProxy {
  override async fetch(request: Request): Promise<Response> {
    const url = new URL(request.url);
    if (url.hostname === MOUNT_HOST) return await super.fetch(request);
    const settings = parseSettings({ ...this.env });
    const policy = { allowedHosts: settings.ALLOWED_HOSTS, suiteOrigin: settings.PUBLIC_URL };
    const port = url.port === "" ? (url.protocol === "https:" ? 443 : 80) : Number(url.port);
    if (!isListed(url.hostname, port, policy)) {
      return new Response(`The sandbox may not reach ${url.hostname}; ask the operator to list it in ALLOWED_HOSTS.\n`, {
        status: 403,
      });
    }
    const verdict = checkUrl(request.url, policy);
    if (!verdict.allowed) return new Response(`${verdict.reason}\n`, { status: 403 });
    return await fetch(request, { redirect: "manual" });
  }
}

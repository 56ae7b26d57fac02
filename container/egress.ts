import { ContainerProxy as SdkContainerProxy } from "@cloudflare/sandbox";
import { checkUrl, isListed } from "../servers/shared/network-policy.ts";
import { withSecrets } from "../servers/shared/sandbox-secrets.ts";
import { parseSettings } from "../servers/shared/settings.ts";
import { MOUNT_HOST, type MountBindings, serveMount } from "./mount/serve.ts";

/**
 * Every request that leaves a container comes through here; the platform finds this class by its name on the Worker.
 * The SDK's own answers to s3fs would overwrite and remove whatever is there.
 */
export class ContainerProxy extends SdkContainerProxy {
  declare protected env: Cloudflare.Env & MountBindings;

  override async fetch(request: Request): Promise<Response> {
    const url = new URL(request.url);
    if (url.hostname === MOUNT_HOST) {
      return await serveMount(request, this.ctx.props, this.env, (work) => this.ctx.waitUntil(work));
    }
    const settings = parseSettings({ ...this.env });
    const policy = { allowedHosts: settings.ALLOWED_HOSTS, suiteOrigin: settings.PUBLIC_URL };
    const port = url.port === "" ? (url.protocol === "https:" ? 443 : 80) : Number(url.port);
    if (!isListed(url.hostname, port, policy)) {
      return refuse(`The sandbox may not reach ${url.hostname}; ask the operator to list it in ALLOWED_HOSTS.`);
    }
    const verdict = checkUrl(request.url, policy);
    if (!verdict.allowed) return refuse(verdict.reason);
    return await fetch(withSecrets(request, settings.SANDBOX_SECRETS), { redirect: "manual" });
  }
}

export function refuse(reason: string): Response {
  return new Response(`${reason}\n`, { status: 403 });
}

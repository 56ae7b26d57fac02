import { ContainerProxy as SdkContainerProxy } from "@cloudflare/sandbox";
import * as z from "zod";
import type { Arrival } from "../servers/inside/arrival.ts";
import { insideHost } from "../servers/shared/inside-hosts.ts";
import { checkUrl, isListed } from "../servers/shared/network-policy.ts";
import { withSecrets } from "../servers/shared/sandbox-secrets.ts";
import { parseSettings } from "../servers/shared/settings.ts";
import { MOUNT_HOST, type MountBindings, serveMount } from "./mount/serve.ts";

/** What the Durable Object gave the proxy when it started the container, which has no say in it. */
const propsSchema = z.object({ containerId: z.string() });
const NOT_READY = "The sandbox is not restored yet; try again in a moment.";

/**
 * Every request that leaves a container comes through here; the platform finds this class by its name on the Worker.
 * The SDK's own answers to s3fs would overwrite and remove whatever is there.
 */
export abstract class ContainerEgress extends SdkContainerProxy {
  declare protected env: Cloudflare.Env & MountBindings;

  /** Answers what the sandbox asks of a name that exists only inside. */
  protected abstract answerInside(arrival: Arrival): Promise<Response>;

  override async fetch(request: Request): Promise<Response> {
    const url = new URL(request.url);
    if (url.hostname === MOUNT_HOST) {
      return await serveMount(request, this.ctx.props, this.env, (work) => this.ctx.waitUntil(work));
    }
    const port = url.port === "" ? (url.protocol === "https:" ? 443 : 80) : Number(url.port);
    if (url.protocol === "http:" && insideHost(url.hostname, port) !== undefined) {
      const sandboxId = await this.#sandboxId();
      return sandboxId === undefined ? refuse(NOT_READY) : await this.answerInside({ request, sandboxId });
    }
    const settings = parseSettings({ ...this.env });
    const policy = { allowedHosts: settings.ALLOWED_HOSTS, suiteOrigin: settings.PUBLIC_URL };
    if (!isListed(url.hostname, port, policy)) {
      return refuse(`The sandbox may not reach ${url.hostname}; ask the operator to list it in ALLOWED_HOSTS.`);
    }
    const verdict = checkUrl(request.url, policy);
    if (!verdict.allowed) return refuse(verdict.reason);
    return await fetch(withSecrets(request, settings.SANDBOX_SECRETS), { redirect: "manual" });
  }

  /** By what the container's Durable Object keeps: nothing that comes from inside has a say in it. */
  async #sandboxId(): Promise<string | undefined> {
    const props = propsSchema.safeParse(this.ctx.props);
    if (!props.success) return undefined;
    return await this.env.SANDBOX.get(this.env.SANDBOX.idFromString(props.data.containerId)).sandboxId();
  }
}

export function refuse(reason: string): Response {
  return new Response(`${reason}\n`, { status: 403 });
}

import { normalizeHost } from "./network-policy.ts";

/** Names that exist only inside a sandbox: the suite answers at them, as its owner would be answered. */
export const INSIDE_HOSTS = ["browser.internal", "model.internal", "pincer.internal"] as const;

export type InsideHost = (typeof INSIDE_HOSTS)[number];

/** What the egress proxy of a local suite adds to what a sandbox asks these names for. */
export const INSIDE_SECRET = "x-pincer-inside-secret";
export const INSIDE_SANDBOX = "x-pincer-inside-sandbox";

/** Where they are, for programs that know no proxy in a local sandbox that may not listen at port 80. */
export const UNPRIVILEGED_PORT = 9222;
const PORTS = [80, UNPRIVILEGED_PORT];

/** Which of them that host is; nothing for any other, and at a port where none of them is. */
export function insideHost(hostname: string, port: number): InsideHost | undefined {
  if (!PORTS.includes(port)) return undefined;
  const host = normalizeHost(hostname);
  return INSIDE_HOSTS.find((name) => name === host);
}

/** Which of them a request is for, by its URL. */
export function hostInside({ url }: Pick<Request, "url">): InsideHost | undefined {
  const { protocol, hostname, port } = new URL(url);
  return protocol === "http:" ? insideHost(hostname, port === "" ? 80 : Number(port)) : undefined;
}

import { addressKind, isMetadataAddress, normalizeAddress } from "./ip-address.ts";

/** What browser and sandbox may reach, decided from names and numbers alone; the egress proxy does the resolving. */
export interface NetworkPolicy {
  /** What the operator opened with `--allow-host`: `HOST:PORT`, or `HOST` for ports 80 and 443 of a public host. */
  readonly allowedHosts: readonly string[];
  /** `PUBLIC_URL`. Of the suite itself only share links and previews are open, even where `allowedHosts` lists it. */
  readonly suiteOrigin: string;
}

/** `reason` is one sentence that says what to do; it names the host and never the rest of a URL. */
export type NetworkVerdict = { readonly allowed: true } | { readonly allowed: false; readonly reason: string };

/** Where share links live; the only part of the suite's own origin that the suite's browser may open. */
export const SHARE_PATH = "/s/";
/** Where files come in by a link; closed to the suite's browser, which has no file that the suite has not. */
export const UPLOAD_PATH = "/u/";

const ONLY_LINKS =
  "Of Pincer itself only share links can be opened; files_share makes one, sandbox_expose with share_for one of a preview.";
/** What names of previews look like; to make one up opens nothing (preview-label.ts). */
const PREVIEW_NAME = /^[0-9a-z]{1,32}-[0-9a-f]{30}\.localhost$/;

const ALLOWED: NetworkVerdict = { allowed: true };
const DEFAULT_PORTS: Readonly<Record<string, number>> = { "http:": 80, "ws:": 80, "https:": 443, "wss:": 443 };
const METADATA_NAMES = [
  "metadata.google.internal",
  "metadata.goog",
  "metadata.azure.internal",
  "instance-data.ec2.internal",
];
/** RFC 6761, RFC 6762, RFC 8375 and ICANN's reservation of `.internal`. */
const PRIVATE_SUFFIXES = [".localhost", ".local", ".internal", ".home.arpa"];

/**
 * Whether a page, frame or request may be loaded from that URL. Only http, https, ws and wss reach the network;
 * `about:blank`, `data:` and `blob:` are the browser's own business and are refused here.
 */
export function checkUrl(url: string, policy: NetworkPolicy): NetworkVerdict {
  const parsed = parseUrl(url);
  if (parsed === undefined) return refuse("That is not a URL; give one such as https://example.com/.");
  const defaultPort = DEFAULT_PORTS[parsed.protocol];
  if (defaultPort === undefined)
    return refuse("Only http and https pages can be opened; give a URL that starts with https://.");
  if (parsed.username !== "" || parsed.password !== "")
    return refuse("Leave the user name and password out of the URL.");
  const host = hostOf(parsed);
  const port = parsed.port === "" ? defaultPort : Number(parsed.port);
  if (!isSuite(host, port, policy)) return checkTarget(host, port, policy);
  if (isLocalPreview(host, port, policy)) return ALLOWED;
  const isShareLink = parsed.protocol.startsWith("http") && parsed.pathname.startsWith(SHARE_PATH);
  return isShareLink ? ALLOWED : refuse(ONLY_LINKS);
}

/**
 * Whether a connection to that host and port may be made, before the host is resolved: what a proxy's `CONNECT`
 * asks for. The suite itself is refused, since nobody sees which path a tunnel asks for.
 */
export function checkTarget(hostname: string, port: number, policy: NetworkPolicy): NetworkVerdict {
  const host = normalizeHost(hostname);
  if (host === undefined || !isPort(port))
    return refuse("That is not a host and a port; give one such as example.com:443.");
  if (isSuite(host, port, policy)) return refuse(ONLY_LINKS);
  if (normalizeAddress(host) !== undefined) return checkAddress(host, port, policy);
  if (METADATA_NAMES.includes(host)) return refuseMetadata(host);
  if (hasEntry(host, port, policy)) return ALLOWED;
  return isPrivateName(host) ? refuseUnlisted(host, host, "a private name", port) : ALLOWED;
}

/**
 * Whether a connection may be made to that address, which `name` (where given) has resolved to. A private address
 * is open where it, or the name, is listed with its port. Cloud metadata addresses are open to nobody.
 */
export function checkAddress(ip: string, port: number, policy: NetworkPolicy, name?: string): NetworkVerdict {
  const address = normalizeAddress(ip);
  if (address === undefined || !isPort(port))
    return refuse("That is not an address and a port; give one such as 93.184.216.34:443.");
  if (isMetadataAddress(address)) return refuseMetadata(name ?? address);
  if (isSuite(address, port, policy)) return refuse(ONLY_LINKS);
  const kind = addressKind(address);
  if (kind === "public") return ALLOWED;
  if (kind === "unspecified") return refuse(`${address} names no machine; give the address of one.`);
  const host = name === undefined ? address : normalizeHost(name);
  if (hasEntry(address, port, policy) || (host !== undefined && hasEntry(host, port, policy))) return ALLOWED;
  const shown = host === undefined || host === address ? address : `${host} (${address})`;
  return refuseUnlisted(shown, host ?? address, `a ${kind} address`, port);
}

/** Whether the operator opened that host and port by name: all that the sandbox may reach. */
export function isListed(hostname: string, port: number, policy: NetworkPolicy): boolean {
  const host = normalizeHost(hostname);
  if (host === undefined) return false;
  return hasEntry(host, port, policy) || ((port === 80 || port === 443) && hasEntry(host, undefined, policy));
}

/** The one spelling of a host: lower case, punycode, dotted decimal, no brackets, no dot at the end. */
export function normalizeHost(hostname: string): string | undefined {
  if (/[/?#@\\\s]/.test(hostname)) return undefined;
  const isBareIpv6 = hostname.includes(":") && !hostname.startsWith("[");
  const parsed = parseUrl(`http://${isBareIpv6 ? `[${hostname}]` : hostname}/`);
  if (parsed === undefined || parsed.port !== "" || parsed.username !== "") return undefined;
  const host = hostOf(parsed);
  return host === "" ? undefined : host;
}

/** Reads `HOST` or `HOST:PORT`; nothing where it is neither. */
export function parseHostAndPort(entry: string): { readonly host: string; readonly port?: number } | undefined {
  const withPort = /^(.+):(\d{1,5})$/.exec(entry);
  const isBareIpv6 = !entry.startsWith("[") && entry.split(":").length > 2;
  const [hostname, port] = withPort === null || isBareIpv6 ? [entry, undefined] : [withPort[1], Number(withPort[2])];
  const host = normalizeHost(hostname ?? "");
  if (host === undefined) return undefined;
  if (port === undefined) return { host };
  return isPort(port) ? { host, port } : undefined;
}

/**
 * Whether that host and port reach the suite: every port of a public suite's host; every loopback address, at its
 * port, of a suite on loopback.
 */
export function isSuite(hostname: string, port: number, policy: NetworkPolicy): boolean {
  const suite = new URL(policy.suiteOrigin);
  const suiteHost = hostOf(suite);
  const host = normalizeHost(hostname);
  if (!isLoopbackHost(suiteHost)) return host === suiteHost;
  const suitePort = suite.port === "" ? DEFAULT_PORTS[suite.protocol] : Number(suite.port);
  return port === suitePort && host !== undefined && isLoopbackHost(host);
}

/** Whether that is the origin of a preview of a suite on loopback, where nothing of the suite itself answers. */
export function isLocalPreview(hostname: string, port: number, policy: NetworkPolicy): boolean {
  const host = normalizeHost(hostname);
  return host !== undefined && isSuite(host, port, policy) && PREVIEW_NAME.test(host);
}

function isLoopbackHost(host: string): boolean {
  if (host === "localhost" || host.endsWith(".localhost")) return true;
  const address = normalizeAddress(host);
  return address !== undefined && ["loopback", "unspecified"].includes(addressKind(address));
}

/** Entries that cannot be read open nothing. */
function hasEntry(host: string, port: number | undefined, policy: NetworkPolicy): boolean {
  return policy.allowedHosts.some((entry) => {
    const listed = parseHostAndPort(entry);
    return listed !== undefined && listed.host === host && listed.port === port;
  });
}

function isPrivateName(host: string): boolean {
  return !host.includes(".") || PRIVATE_SUFFIXES.some((suffix) => host.endsWith(suffix));
}

function hostOf(url: URL): string {
  const host = url.hostname.toLowerCase().replace(/\.+$/, "");
  return normalizeAddress(host) ?? host;
}

function parseUrl(url: string): URL | undefined {
  return URL.canParse(url) ? new URL(url) : undefined;
}

function isPort(port: number): boolean {
  return Number.isInteger(port) && port > 0 && port < 65_536;
}

function refuse(reason: string): NetworkVerdict {
  return { allowed: false, reason };
}

function refuseMetadata(host: string): NetworkVerdict {
  return refuse(`${host} is a cloud metadata address, which Pincer opens to nobody; use another address.`);
}

function refuseUnlisted(shown: string, host: string, kind: string, port: number): NetworkVerdict {
  const entry = host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
  return refuse(
    `${shown} is ${kind}; to open it, start Pincer with --allow-host ${entry} (in a deployment, list it in ALLOWED_HOSTS).`,
  );
}

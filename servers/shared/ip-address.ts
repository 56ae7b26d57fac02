export type AddressKind =
  | "public"
  | "unspecified"
  | "loopback"
  | "private"
  | "shared"
  | "link-local"
  | "multicast"
  | "documentation"
  | "benchmarking"
  | "reserved";

type Range = readonly [base: bigint, prefixLength: number, kind: AddressKind];

/** IANA's special-purpose registry (RFC 6890 and its successors); all else of IPv4 is public. */
const IPV4_RANGES: readonly Range[] = ipv4Ranges([
  ["0.0.0.0", 8, "unspecified"],
  ["10.0.0.0", 8, "private"],
  ["100.64.0.0", 10, "shared"],
  ["127.0.0.0", 8, "loopback"],
  ["169.254.0.0", 16, "link-local"],
  ["172.16.0.0", 12, "private"],
  ["192.0.0.0", 24, "reserved"],
  ["192.0.2.0", 24, "documentation"],
  ["192.88.99.0", 24, "reserved"],
  ["192.168.0.0", 16, "private"],
  ["198.18.0.0", 15, "benchmarking"],
  ["198.51.100.0", 24, "documentation"],
  ["203.0.113.0", 24, "documentation"],
  ["224.0.0.0", 4, "multicast"],
  ["240.0.0.0", 4, "reserved"],
]);

/** The first match counts. Outside `2000::/3` nothing is public, so a range that this list forgets stays closed. */
const IPV6_RANGES: readonly Range[] = ipv6Ranges([
  ["::", 128, "unspecified"],
  ["::1", 128, "loopback"],
  ["fe80::", 10, "link-local"],
  ["fc00::", 7, "private"],
  ["ff00::", 8, "multicast"],
  ["2001:db8::", 32, "documentation"],
  ["3fff::", 20, "documentation"],
  ["2001::", 23, "reserved"],
  ["2002::", 16, "reserved"],
  ["2000::", 3, "public"],
  ["::", 0, "reserved"],
]);

/** Prefixes that carry an IPv4 address in their last 32 bits and lead to it: mapped, and NAT64 (RFC 6052). */
const EMBEDDING_PREFIXES = [ipv6("::ffff:0:0"), ipv6("64:ff9b::")].map((base) => base >> 32n);

/** Where clouds hand out credentials: AWS, GCP, Azure, Oracle, Alibaba, and the container endpoints among them. */
const METADATA_ADDRESSES: ReadonlySet<string> = new Set([
  "169.254.169.254",
  "169.254.170.2",
  "169.254.170.23",
  "169.254.169.253",
  "168.63.129.16",
  "192.0.0.192",
  "100.100.100.200",
  "fd00:ec2::254",
  "fd00:ec2::23",
  "fd20:ce::254",
]);

/**
 * The one spelling of an address: dotted decimal, or compressed lower-case IPv6 with an embedded IPv4 address taken
 * out. Takes every spelling that a URL parser takes (`0x7f.1`, `[::FFFF:127.0.0.1]`); undefined for anything else.
 */
export function normalizeAddress(address: string): string | undefined {
  const bare = address.replace(/^\[(.*)\]$/, "$1");
  const url = bare.includes(":") ? `http://[${bare}]/` : `http://${bare}/`;
  if (/[/?#@\\\s%]/.test(bare) || !URL.canParse(url)) return undefined;
  const { hostname, port } = new URL(url);
  if (port !== "") return undefined;
  const host = hostname.replace(/\.$/, "");
  if (/^\d+\.\d+\.\d+\.\d+$/.test(host)) return host;
  if (!host.startsWith("[")) return undefined;
  const value = ipv6(host.slice(1, -1));
  return EMBEDDING_PREFIXES.includes(value >> 32n) ? dotted(value & 0xffff_ffffn) : host.slice(1, -1);
}

/** What a normal address is for. */
export function addressKind(address: string): AddressKind {
  const isIpv6 = address.includes(":");
  const value = isIpv6 ? ipv6(address) : ipv4(address);
  const width = isIpv6 ? 128 : 32;
  const ranges = isIpv6 ? IPV6_RANGES : IPV4_RANGES;
  const range = ranges.find(([base, length]) => value >> BigInt(width - length) === base >> BigInt(width - length));
  return range?.[2] ?? "public";
}

/** What one household or machine has to itself of a normal address: all of IPv4, the first half of IPv6. */
export function networkOf(address: string): string {
  return address.includes(":") ? (ipv6(address) >> 64n).toString(16) : address;
}

/** Whether a normal address is one where a cloud hands out credentials. */
export function isMetadataAddress(address: string): boolean {
  return METADATA_ADDRESSES.has(address);
}

function ipv4Ranges(ranges: readonly (readonly [string, number, AddressKind])[]): Range[] {
  return ranges.map(([base, length, kind]) => [ipv4(base), length, kind]);
}

function ipv6Ranges(ranges: readonly (readonly [string, number, AddressKind])[]): Range[] {
  return ranges.map(([base, length, kind]) => [ipv6(base), length, kind]);
}

function ipv4(address: string): bigint {
  return address.split(".").reduce((value, part) => (value << 8n) | BigInt(part), 0n);
}

/** Reads compressed hexadecimal groups, as URL parsers write them. */
function ipv6(address: string): bigint {
  const [head = "", tail] = address.split("::");
  const left = head === "" ? [] : head.split(":");
  const right = tail === undefined || tail === "" ? [] : tail.split(":");
  const groups = [...left, ...Array<string>(8 - left.length - right.length).fill("0"), ...right];
  return groups.reduce((value, group) => (value << 16n) | BigInt(`0x${group}`), 0n);
}

function dotted(value: bigint): string {
  return [24n, 16n, 8n, 0n].map((shift) => (value >> shift) & 0xffn).join(".");
}

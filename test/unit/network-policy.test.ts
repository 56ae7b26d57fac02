import { describe, expect, test } from "vitest";
import { addressKind, normalizeAddress } from "../../servers/shared/ip-address.ts";
import {
  checkAddress,
  checkTarget,
  checkUrl,
  isListed,
  type NetworkPolicy,
} from "../../servers/shared/network-policy.ts";

const SUITE = "http://localhost:8717";

function policyOf(...allowedHosts: readonly string[]): NetworkPolicy {
  return { allowedHosts, suiteOrigin: SUITE };
}

/** The first and last address of every closed range, and one between them. */
const CLOSED_IPV4 = [
  ["0.0.0.0", "0.255.255.255", "0.1.2.3"],
  ["10.0.0.0", "10.255.255.255", "10.1.2.3"],
  ["100.64.0.0", "100.127.255.255", "100.100.1.1"],
  ["127.0.0.0", "127.255.255.255", "127.0.0.1"],
  ["169.254.0.0", "169.254.255.255", "169.254.1.1"],
  ["172.16.0.0", "172.31.255.255", "172.20.1.1"],
  ["192.0.0.0", "192.0.0.255", "192.0.0.8"],
  ["192.0.2.0", "192.0.2.255", "192.0.2.9"],
  ["192.88.99.0", "192.88.99.255", "192.88.99.1"],
  ["192.168.0.0", "192.168.255.255", "192.168.1.1"],
  ["198.18.0.0", "198.19.255.255", "198.19.0.1"],
  ["198.51.100.0", "198.51.100.255", "198.51.100.7"],
  ["203.0.113.0", "203.0.113.255", "203.0.113.7"],
  ["224.0.0.0", "239.255.255.255", "239.1.2.3"],
  ["240.0.0.0", "255.255.255.255", "250.1.2.3"],
].flat();

/** The neighbours of those ranges, and what lies far from them. */
const OPEN_IPV4 = [
  "1.1.1.1",
  "9.255.255.255",
  "11.0.0.0",
  "100.63.255.255",
  "100.128.0.0",
  "126.255.255.255",
  "128.0.0.0",
  "169.253.255.255",
  "169.255.0.0",
  "172.15.255.255",
  "172.32.0.0",
  "191.255.255.255",
  "192.0.1.0",
  "192.0.3.0",
  "192.88.98.255",
  "192.88.100.0",
  "192.167.255.255",
  "192.169.0.0",
  "198.17.255.255",
  "198.20.0.0",
  "198.51.99.255",
  "198.51.101.0",
  "203.0.112.255",
  "203.0.114.0",
  "223.255.255.255",
];

/** Every way in which a URL may write an IPv4 address. */
function spellings(address: string): string[] {
  const [a = 0, b = 0, c = 0, d = 0] = address.split(".").map(Number);
  const number = ((a * 256 + b) * 256 + c) * 256 + d;
  const hex = (value: number) => `0x${value.toString(16)}`;
  const octal = (value: number) => `0${value.toString(8)}`;
  const groups = `${(a * 256 + b).toString(16)}:${(c * 256 + d).toString(16)}`;
  return [
    address,
    `${address}.`,
    `${number}`,
    hex(number),
    octal(number),
    [a, b, c, d].map(hex).join("."),
    [a, b, c, d].map(octal).join("."),
    `${a}.${(b * 256 + c) * 256 + d}`,
    `${a}.${b}.${c * 256 + d}`,
    `${hex(a)}.${octal(b)}.${c * 256 + d}`,
    address.replace(/\d/g, (digit) => String.fromCodePoint(0xff10 + Number(digit))),
    address.replaceAll(".", "。"),
    address.replace(/\d/g, (digit) => `%3${digit}`),
    `[::ffff:${address}]`,
    `[::FFFF:${groups}]`,
    `[0:0:0:0:0:ffff:${groups}]`,
    `[64:ff9b::${address}]`,
    `[64:ff9b::${groups}]`,
  ];
}

describe("addresses", () => {
  test.each(CLOSED_IPV4)("%s is refused in every spelling, in a URL and as a resolved address", (address) => {
    for (const host of spellings(address)) {
      expect.soft(checkUrl(`http://${host}/`, policyOf()).allowed, host).toBe(false);
      expect.soft(checkUrl(`wss://${host}:8443/x`, policyOf()).allowed, host).toBe(false);
    }
    for (const ip of [address, `::ffff:${address}`, `64:ff9b::${address}`]) {
      expect.soft(checkAddress(ip, 443, policyOf(), "name.test").allowed, ip).toBe(false);
    }
  });

  test.each(OPEN_IPV4)("%s is open in every spelling", (address) => {
    for (const host of spellings(address))
      expect.soft(checkUrl(`https://${host}/`, policyOf()), host).toEqual({ allowed: true });
    expect(checkAddress(address, 443, policyOf(), "name.test")).toEqual({ allowed: true });
  });

  test("every IPv4 address is of the kind that its registry entry says", () => {
    // A walk through the whole space in steps that share no factor with any range.
    let closed = 0;
    for (let value = 0; value < 2 ** 32; value += 65_537 * 3) {
      const address = [24, 16, 8, 0].map((shift) => (value >>> shift) & 255).join(".");
      const [a = 0, b = 0, c = 0] = address.split(".").map(Number);
      const isClosed =
        a === 0 ||
        a === 10 ||
        a === 127 ||
        a >= 224 ||
        (a === 100 && b >= 64 && b < 128) ||
        (a === 169 && b === 254) ||
        (a === 172 && b >= 16 && b < 32) ||
        (a === 192 && (b === 168 || (b === 0 && (c === 0 || c === 2)) || (b === 88 && c === 99))) ||
        (a === 198 && (b === 18 || b === 19 || (b === 51 && c === 100))) ||
        (a === 203 && b === 0 && c === 113);
      if (isClosed) closed += 1;
      if (isClosed === (addressKind(address) === "public")) expect.fail(`${address} is ${addressKind(address)}`);
    }
    expect(closed).toBeGreaterThan(2_000);
  });

  test.each([
    "::",
    "::1",
    "fe80::1",
    "febf::1",
    "fc00::1",
    "fdff::1",
    "fec0::1",
    "ff02::1",
    "2001:db8::1",
    "2001::1",
    "2001:1ff::1",
    "2002:c000:204::",
    "2002:7f00:1::",
    "3fff::1",
    "3fff:fff::1",
    "::7f00:1",
    "::93.184.216.34",
    "64:ff9b:1::1",
    "100::1",
    "4000::1",
    "5f00::1",
    "::ffff:0:127.0.0.1",
  ])("[%s] is refused", (address) => {
    expect(checkUrl(`http://[${address}]/`, policyOf()).allowed).toBe(false);
    expect(checkAddress(address, 443, policyOf()).allowed).toBe(false);
  });

  test.each([
    "2606:4700::1111",
    "2a00:1450:4001::200e",
    "2001:200::1",
    "2400::1",
    "64:ff9b::93.184.216.34",
    "::ffff:93.184.216.34",
  ])("[%s] is open", (address) => {
    expect(checkUrl(`http://[${address}]/`, policyOf())).toEqual({ allowed: true });
    expect(checkAddress(address, 443, policyOf())).toEqual({ allowed: true });
  });

  test.each([
    "",
    "example.com",
    "1.2.3.4:80",
    "fe80::1%eth0",
    "1.2.3.4/8",
    "[::1",
    "12345::",
    "999.1.1.1",
    "1.2.3.4 ",
    "a@1.2.3.4",
  ])("%j is no address", (text) => {
    expect(normalizeAddress(text)).toBeUndefined();
    expect(checkAddress(text, 80, policyOf()).allowed).toBe(false);
  });

  test.each([0, -1, 65_536, 1.5, Number.NaN])("%s is no port", (port) => {
    expect(checkAddress("1.1.1.1", port, policyOf()).allowed).toBe(false);
    expect(checkTarget("example.com", port, policyOf()).allowed).toBe(false);
  });
});

describe("names and URLs", () => {
  test.each([
    "https://example.com/",
    "http://example.com:8080/a?b#c",
    "wss://example.com/chat",
    "ws://example.com/",
    "HTTPS://EXAMPLE.COM.",
    "https://bücher.de/",
    "https://sub.domain.example.co.uk/",
    "https://localhost.example.com/",
    "https://internal.example.com/",
  ])("%s is open", (url) => {
    expect(checkUrl(url, policyOf())).toEqual({ allowed: true });
  });

  test.each([
    "http://localhost/",
    "http://LOCALHOST:3000/",
    "http://localhost./",
    "http://ｌｏｃａｌｈｏｓｔ/",
    "http://a.localhost/",
    "http://db.internal/",
    "http://printer.local/",
    "http://nas.home.arpa./",
    "http://intranet/",
    "http://host.docker.internal/",
    "http://kubernetes/",
    "http://metadata.goog/",
    "http://METADATA.google.internal/computeMetadata/v1/",
  ])("%s is refused", (url) => {
    expect(checkUrl(url, policyOf()).allowed).toBe(false);
  });

  test.each([
    "file:///etc/passwd",
    "ftp://example.com/",
    "chrome://settings",
    "data:text/html,x",
    "blob:https://example.com/1",
    "about:blank",
    "javascript:alert(1)",
    "view-source:https://example.com/",
    "gopher://example.com/",
  ])("%s is refused with the schemes that work", (url) => {
    expect(checkUrl(url, policyOf())).toEqual({
      allowed: false,
      reason: "Only http and https pages can be opened; give a URL that starts with https://.",
    });
  });

  test.each([
    "",
    "example.com",
    "//example.com",
    "http://",
    "http://a b/",
    "https://exa mple.com",
    "http://1.2.3.4.5/",
    "http://[::1",
  ])("%j is no URL", (url) => {
    expect(checkUrl(url, policyOf())).toEqual({
      allowed: false,
      reason: "That is not a URL; give one such as https://example.com/.",
    });
  });

  test.each(["http://user@example.com/", "http://user:secret@example.com/", "http://example.com@127.0.0.1/"])(
    "%s is refused for its userinfo, without repeating it",
    (url) => {
      expect(checkUrl(url, policyOf())).toEqual({
        allowed: false,
        reason: "Leave the user name and password out of the URL.",
      });
    },
  );

  test("a refusal names the host and says how to open it, and keeps path and query to itself", () => {
    expect(checkUrl("http://10.1.2.3:8080/secret?token=1", policyOf())).toEqual({
      allowed: false,
      reason:
        "10.1.2.3 is a private address; to open it, start Pincer with --allow-host 10.1.2.3:8080 (in a deployment, list it in ALLOWED_HOSTS).",
    });
    expect(checkUrl("http://[::1]:99/", policyOf())).toMatchObject({
      reason: expect.stringContaining("--allow-host [::1]:99 "),
    });
    expect(checkAddress("10.1.2.3", 443, policyOf(), "Shop.Example")).toMatchObject({
      reason: expect.stringMatching(
        /^shop\.example \(10\.1\.2\.3\) is a private address; .* --allow-host shop\.example:443 /,
      ),
    });
  });

  test.each(["a.com/b", "a.com?b", "a.com#b", "u@a.com", "a.com\\b", "a b.com", "", "a.com:1"])(
    "%j is no host to connect to",
    (host) => {
      expect(checkTarget(host, 443, policyOf()).allowed).toBe(false);
    },
  );
});

describe("the allow list", () => {
  test("a private host is open where it is listed literally, with that port alone", () => {
    const policy = policyOf(
      ...["localhost:3000", "10.0.0.5:80", "[fd00::1]:99", "nas.local:5000", "169.254.7.7:80", "[fe80::7]:80"],
    );
    for (const url of [
      "http://localhost:3000/",
      "http://LocalHost.:3000/",
      "http://10.0.0.5/",
      "http://0xa000005:80/",
      "http://[fd00:0::1]:99/",
      "ws://nas.local:5000/",
      "http://169.254.7.7/",
      "http://[fe80::7]/",
    ]) {
      expect.soft(checkUrl(url, policy), url).toEqual({ allowed: true });
    }
    for (const url of [
      "http://localhost:3001/",
      "http://localhost/",
      "http://127.0.0.1:3000/",
      "http://x.localhost:3000/",
      "https://10.0.0.5/",
      "http://10.0.0.6/",
      "http://169.254.7.7:81/",
      "http://169.254.7.8/",
      "http://[fe80::8]/",
      "http://[fd00::1]/",
    ]) {
      expect.soft(checkUrl(url, policy).allowed, url).toBe(false);
    }
  });

  test("a listed name may resolve to a private address, and no other name to the same one", () => {
    const policy = policyOf("localhost:3000", "10.0.0.5:80");
    expect(checkAddress("127.0.0.1", 3000, policy, "localhost")).toEqual({ allowed: true });
    expect(checkAddress("::1", 3000, policy, "localhost")).toEqual({ allowed: true });
    expect(checkAddress("127.0.0.1", 3000, policy, "evil.test").allowed).toBe(false);
    expect(checkAddress("127.0.0.1", 3001, policy, "localhost").allowed).toBe(false);
    expect(checkAddress("10.0.0.5", 80, policy, "any.test")).toEqual({ allowed: true });
  });

  test("without a port an entry opens nothing private", () => {
    const policy = policyOf("localhost", "10.0.0.5", "intranet", "fd00::1");
    for (const url of ["http://localhost/", "http://10.0.0.5/", "http://intranet/", "http://[fd00::1]/"]) {
      expect.soft(checkUrl(url, policy).allowed, url).toBe(false);
    }
    expect(checkAddress("10.0.0.5", 80, policy, "intranet").allowed).toBe(false);
  });

  test("what the sandbox may reach is listed with its port, or without one for 80 and 443", () => {
    const policy = policyOf("Site.example", "git.example:22", "bücher.de:8443", "2606:4700::1");
    expect(isListed("site.example.", 443, policy)).toBe(true);
    expect(isListed("site.example", 80, policy)).toBe(true);
    expect(isListed("site.example", 22, policy)).toBe(false);
    expect(isListed("git.example", 22, policy)).toBe(true);
    expect(isListed("git.example", 443, policy)).toBe(false);
    expect(isListed("xn--bcher-kva.de", 8443, policy)).toBe(true);
    expect(isListed("[2606:4700:0::1]", 443, policy)).toBe(true);
    expect(isListed("evilsite.example", 443, policy)).toBe(false);
    expect(isListed("files.site.example", 443, policy)).toBe(false);
  });

  test.each([
    "",
    ":80",
    "*",
    "*:80",
    "*.local:80",
    "http://localhost:3000",
    "localhost:3000/",
    "localhost:99999",
    "10.0.0.0/8:80",
    "u@localhost:3000",
    "localhost:",
  ])("the entry %j opens nothing", (entry) => {
    for (const url of ["http://localhost:3000/", "http://localhost/", "http://10.0.0.5/", "http://a.local/"]) {
      expect.soft(checkUrl(url, policyOf(entry)).allowed, url).toBe(false);
    }
  });

  test.each([
    "169.254.169.254",
    "169.254.170.2",
    "100.100.100.200",
    "168.63.129.16",
    "192.0.0.192",
    "[fd00:ec2::254]",
    "metadata.google.internal",
    "[::ffff:169.254.169.254]",
    "2852039166",
    "metadata.google.internal.",
  ])("%s stays closed even where it is listed", (host) => {
    const policy = policyOf(`${host}:80`, host, "169.254.169.254:80", "metadata.google.internal:80", "name.test:80");
    expect(checkUrl(`http://${host}/latest`, policy)).toMatchObject({
      allowed: false,
      reason: expect.stringContaining("cloud metadata address"),
    });
    expect(checkTarget(host, 80, policy).allowed).toBe(false);
    if (normalizeAddress(host) !== undefined) expect(checkAddress(host, 80, policy, "name.test").allowed).toBe(false);
  });
});

describe("the suite itself", () => {
  test("only its share links are open, in every spelling of its address", () => {
    for (const host of [
      "localhost",
      "LOCALHOST.",
      "127.0.0.1",
      "2130706433",
      "[::1]",
      "[::ffff:127.0.0.1]",
      "127.8.8.8",
      "0.0.0.0",
      "x.localhost",
    ]) {
      expect.soft(checkUrl(`http://${host}:8717/s/abc?d=1`, policyOf()), host).toEqual({ allowed: true });
      for (const path of [
        "",
        "mcp",
        "s",
        "s%2fabc",
        "S/abc",
        "s/../mcp",
        "s/%2E%2e/mcp",
        "s/./../token",
        "/s/abc",
        "u/abc",
        "s/../u/abc",
        ".well-known/x",
        "admin",
        "admin/limits",
        "account/limits",
        "s/../admin/limits",
      ]) {
        expect.soft(checkUrl(`http://${host}:8717/${path}`, policyOf()).allowed, `${host} ${path}`).toBe(false);
      }
    }
    expect(checkUrl("ws://localhost:8717/s/abc", policyOf()).allowed).toBe(false);
  });

  test("what could be a preview of a local suite is open whole, and no other name below localhost", () => {
    const preview = `${"0a".repeat(16)}-${"f".repeat(30)}.localhost`;
    for (const url of [`http://${preview}:8717/`, `http://${preview}:8717/mcp?x`, `ws://${preview}:8717/hmr`]) {
      expect.soft(checkUrl(url, policyOf()), url).toEqual({ allowed: true });
    }
    for (const url of [
      ...[`http://${preview}/`, `http://${preview}:8718/`, `http://x.${preview}:8717/`, `file://${preview}/etc/passwd`],
      ...[`http://x${preview.replace("-", "")}:8717/`, `http://f.localhost:8717/`],
    ]) {
      expect.soft(checkUrl(url, policyOf()).allowed, url).toBe(false);
    }
    // A tunnel shows nobody what goes through it; the egress proxy looks into those to previews.
    expect(checkTarget(preview, 8717, policyOf()).allowed).toBe(false);
    expect(
      checkUrl(`http://${preview}:443/`, { ...policyOf(), suiteOrigin: "https://pincer.example.com" }).allowed,
    ).toBe(false);
  });

  test("listing it opens nothing more, nor does a name that leads to it", () => {
    const policy = policyOf("localhost:8717", "127.0.0.1:8717", "alias.test:8717");
    expect(checkUrl("http://localhost:8717/mcp", policy).allowed).toBe(false);
    expect(checkTarget("127.0.0.1", 8717, policy).allowed).toBe(false);
    expect(checkAddress("127.0.0.1", 8717, policy, "alias.test").allowed).toBe(false);
    expect(checkAddress("::ffff:127.9.9.9", 8717, policy, "alias.test").allowed).toBe(false);
  });

  test("a deployed suite is closed on every port of its host, and its neighbours are open", () => {
    const policy: NetworkPolicy = { allowedHosts: [], suiteOrigin: "https://pincer.example.com" };
    expect(checkUrl("https://pincer.example.com/s/abc", policy)).toEqual({ allowed: true });
    expect(checkUrl("https://PINCER.example.com./mcp", policy).allowed).toBe(false);
    expect(checkUrl("http://pincer.example.com/mcp", policy).allowed).toBe(false);
    expect(checkUrl("https://pincer.example.com:8443/mcp", policy).allowed).toBe(false);
    expect(checkTarget("pincer.example.com", 443, policy).allowed).toBe(false);
    expect(checkUrl("https://other.example.com/mcp", policy)).toEqual({ allowed: true });
  });
});

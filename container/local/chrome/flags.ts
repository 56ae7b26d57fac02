/** Chrome's traffic leaves through the proxy or not at all; what would go around it is off. */
const NETWORK_FLAGS = [
  // Chrome sends loopback addresses past every proxy unless this rule is taken away.
  "--proxy-bypass-list=<-loopback>",
  // Nothing is resolved here: a name that is looked up has leaked, and the proxy resolves for itself.
  "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1",
  "--dns-over-https-mode=off",
  "--dns-prefetch-disable",
  "--disable-quic",
  "--force-webrtc-ip-handling-policy=disable_non_proxied_udp",
  "--disable-background-networking",
  "--disable-component-update",
  // On-device models are fetched all the same, gigabytes of them: from a port that Chrome itself will not connect to.
  "--component-updater=url-source=http://127.0.0.1:1/",
  "--disable-domain-reliability",
  "--disable-sync",
  "--no-pings",
  "--no-service-autorun",
];

const HOUSE_FLAGS = [
  "--no-first-run",
  "--no-default-browser-check",
  "--disable-breakpad",
  "--disable-crash-reporter",
  "--disable-dev-shm-usage",
  "--deny-permission-prompts",
  "--disk-cache-size=67108864",
];

const DISABLED_FEATURES = [
  "DnsOverHttps",
  "AsyncDns",
  "NetworkTimeServiceQuerying",
  "OptimizationHints",
  "MediaRouter",
  "DialMediaRouteProvider",
  "Translate",
];

/** What a launcher may not decide: where traffic goes, and whether pages are in a sandbox (CI sets `--no-sandbox`). */
const OURS =
  /^--(no-sandbox|no-zygote|single-process|disable-.*sandbox|disable-web-security|allow-file-access.*|disable-features|user-data-dir|proxy-.*|no-proxy-server|host-resolver-rules|remote-debugging-(address|pipe)|remote-allow-origins)(=|$)/;

export interface FlagOptions {
  readonly proxyPort: number;
  /** Kept as it is where it is absent. */
  readonly profile?: string;
  /** Whether Chrome can sandbox its pages itself where it runs. */
  readonly hasOwnSandbox: boolean;
}

/** Miniflare's arguments for Chrome with ours in place of what is ours to decide. */
export function chromeFlags(given: readonly string[], { proxyPort, profile, hasOwnSandbox }: FlagOptions): string[] {
  const features = given.flatMap((flag) => /^--disable-features=(.*)$/.exec(flag)?.[1]?.split(",") ?? []);
  const givenProfile = given.find((flag) => flag.startsWith("--user-data-dir="));
  return [
    ...given.filter((flag) => !OURS.test(flag)),
    ...NETWORK_FLAGS,
    ...HOUSE_FLAGS,
    `--proxy-server=http://127.0.0.1:${proxyPort}`,
    `--disable-features=${[...new Set([...features, ...DISABLED_FEATURES])].join(",")}`,
    ...(profile === undefined ? (givenProfile === undefined ? [] : [givenProfile]) : [`--user-data-dir=${profile}`]),
    ...(hasOwnSandbox ? [] : ["--no-sandbox"]),
  ];
}

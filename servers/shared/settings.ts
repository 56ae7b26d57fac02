import * as z from "zod";
import { preregisteredClients, redirectUris } from "./client-settings.ts";
import { identityProblems, identityShape } from "./identity-settings.ts";
import { roleLimits } from "./limits.ts";
import { type HostSecrets, readSandboxSecrets } from "./sandbox-secrets.ts";
import { baseUrl, commaSeparated, duration, flag, hostName, modelPrices, origin } from "./setting-kinds.ts";

/**
 * Every setting there is, read from the Worker's environment (`vars`, secrets, `.dev.vars`). Durable Objects read
 * theirs with this same parser. A value that is wrong stops the Worker; none of them loosens a check by its absence.
 */
const settingsSchema = z.object({
  /** The origin that clients use, `https://pincer.example.com`; the OAuth issuer. */
  PUBLIC_URL: origin,
  /** Where previews of what runs in sandboxes are, each at a name below it: `previews.example.com`. */
  PREVIEW_HOST: hostName.optional(),
  ...identityShape,
  /** Where clients may come back to beside the known ones and apps on the person's own machine. */
  REDIRECT_URIS: redirectUris,
  /** JSON: clients that need not register themselves, by id. */
  PREREGISTERED_CLIENTS: preregisteredClients,
  /** Signs share links and personal access tokens. */
  SIGNING_SECRET: z.string().min(32),
  /** JSON by role: what a person may use, until an admin says otherwise at /admin/limits. */
  LIMITS: roleLimits,
  /** How much of R2 one person's files and trash may take together. */
  FILES_QUOTA_MB: z.coerce.number().int().min(1).default(10_240),
  /** After so many days a day's folder in `artifacts/` is removed, past the trash; kept for ever where absent. */
  ARTIFACTS_KEEP_DAYS: z.coerce.number().int().min(1).max(36_500).optional(),
  /** After so many days a person's account hands its audit rows over to R2. */
  AUDIT_KEEP_DAYS: z.coerce.number().int().min(1).max(36_500).default(90),
  SANDBOX_DRIVER: z.enum(["local", "container"]),
  /** How long a container is idle before it sleeps and forgets all but the caller's files: `90s`, `15m`, `2h`. */
  SANDBOX_SLEEP_AFTER: duration.default("15m"),
  /** How long after the last change in a sandbox its workspace is snapshotted: what a crash may lose. */
  SNAPSHOT_AFTER: duration.default("30s"),
  /** The container's size, for prices and limits; what it really is stands under `containers` in wrangler.jsonc. */
  SANDBOX_INSTANCE_TYPE: z
    .enum(["lite", "basic", "standard-1", "standard-2", "standard-3", "standard-4"])
    .default("standard-1"),
  /** Local mode: where the sandbox runtime listens, and the secret it asks for. */
  LOCAL_RUNTIME_URL: baseUrl.optional(),
  LOCAL_RUNTIME_SECRET: z.string().min(32).optional(),
  /** Local mode: what the egress proxy shows with requests from sandboxes for the names that exist only inside. */
  LOCAL_INSIDE_SECRET: z.string().min(32).optional(),
  /** Scopes, comma-separated, that what runs in a sandbox never has of its owner's; `admin` is always one of them. */
  INSIDE_WITHHOLDS: commaSeparated,
  /** Hosts, `HOST[:PORT]`, comma-separated, that sandbox and browser may reach beyond the network policy. */
  ALLOWED_HOSTS: commaSeparated,
  /** JSON: host, header, name of a secret (`SECRET_*`) that the sandbox's requests carry without its seeing it. */
  SANDBOX_SECRETS: z.string().optional(),
  /** An OpenAI-compatible endpoint, `https://…/v1`, for sub-agents. */
  MODEL_BASE_URL: baseUrl.optional(),
  MODEL_API_KEY: z.string().min(1).optional(),
  /** The model that delegate_run uses when the caller names none. */
  MODEL_DEFAULT: z.string().min(1).optional(),
  /** Models, comma-separated, in order, that a run goes on with where one does not serve. */
  MODEL_FALLBACKS: commaSeparated,
  /** JSON: what models cost, in USD per million tokens. Goes before the listed prices. */
  MODEL_PRICES: modelPrices,
  /** How many delegated runs of one person may be under way at once, those that runs start among them. */
  DELEGATE_RUNS_AT_ONCE: z.coerce.number().int().min(1).max(1_000).default(4),
  /** What one person's runs and sandboxes may use of models in a day (UTC). Tokens bound what has no known price. */
  DELEGATE_DAILY_USD: z.coerce.number().min(0).max(1_000_000).default(10),
  DELEGATE_DAILY_TOKENS: z.coerce.number().int().min(0).default(20_000_000),
  /** Instead of MODEL_BASE_URL: Cloudflare AI Gateway by account, gateway and token. */
  AI_GATEWAY_ACCOUNT_ID: z.string().min(1).optional(),
  AI_GATEWAY_ID: z.string().min(1).optional(),
  AI_GATEWAY_TOKEN: z.string().min(1).optional(),
  /** `compat`: gateway.ai.cloudflare.com, keys of any kind. `rest`: api.cloudflare.com, billed by Cloudflare. */
  AI_GATEWAY_API: z.enum(["compat", "rest"]).default("compat"),
  /** Instead of Cloudflare's own address: all before `/chat/completions`. */
  AI_GATEWAY_BASE_URL: baseUrl.optional(),
  /** Which of the keys that the gateway stores is used. */
  AI_GATEWAY_BYOK_ALIAS: z
    .string()
    .regex(/^[\w.-]{1,100}$/, "give the alias as the gateway shows it")
    .optional(),
  /** How long a model may take to begin its answer before the gateway gives it up. */
  AI_GATEWAY_TIMEOUT: duration.optional(),
  /** How often the gateway itself tries a request; a run has tries of its own besides. */
  AI_GATEWAY_ATTEMPTS: z.coerce.number().int().min(1).max(5).default(1),
  /** For so many seconds the same question is answered from the gateway's cache, whoever asks; never where absent. */
  AI_GATEWAY_CACHE_TTL: z.coerce.number().int().min(60).max(2_592_000).optional(),
  /** Whether the gateway's log keeps what was asked and answered. */
  AI_GATEWAY_LOG_PAYLOADS: flag,
  /** Whether the gateway is asked for zero data retention at the provider. */
  AI_GATEWAY_ZDR: flag,
});

type Parsed = Readonly<z.output<typeof settingsSchema>>;

export type Settings = Omit<Parsed, "SANDBOX_SECRETS"> & { readonly SANDBOX_SECRETS: readonly HostSecrets[] };

/** Settings that go together: each name on the left needs those on the right. */
const NEEDS: readonly (readonly [
  when: (settings: Parsed) => boolean,
  needed: readonly (keyof Parsed)[],
  why: string,
])[] = [
  [(s) => s.SANDBOX_DRIVER === "local", ["LOCAL_RUNTIME_URL", "LOCAL_RUNTIME_SECRET"], "SANDBOX_DRIVER is local"],
  [
    (s) =>
      [
        s.AI_GATEWAY_ACCOUNT_ID,
        s.AI_GATEWAY_ID,
        s.AI_GATEWAY_TOKEN,
        s.AI_GATEWAY_BASE_URL,
        s.AI_GATEWAY_BYOK_ALIAS,
        s.AI_GATEWAY_TIMEOUT,
        s.AI_GATEWAY_CACHE_TTL,
      ].some((value) => value !== undefined) ||
      s.AI_GATEWAY_API === "rest" ||
      s.AI_GATEWAY_LOG_PAYLOADS ||
      s.AI_GATEWAY_ZDR,
    ["AI_GATEWAY_ACCOUNT_ID", "AI_GATEWAY_ID", "AI_GATEWAY_TOKEN"],
    "part of AI_GATEWAY_* is set",
  ],
];

/** Settings that contradict each other, and what to do about it. */
const CONTRADICTIONS: readonly (readonly [when: (settings: Parsed) => boolean, problem: string])[] = [
  [
    (s) => s.IDENTITY === "local" && !isLoopback(new URL(s.PUBLIC_URL).hostname),
    "IDENTITY is local while PUBLIC_URL is not loopback; choose access-oidc to serve other machines.",
  ],
  [
    ({ PREVIEW_HOST, PUBLIC_URL }) =>
      PREVIEW_HOST !== undefined && `.${new URL(PUBLIC_URL).hostname}`.endsWith(`.${PREVIEW_HOST}`),
    "PREVIEW_HOST is PUBLIC_URL's own host or a parent of it, and a preview could pass for Pincer; choose another.",
  ],
  [
    (s) => s.AI_GATEWAY_API === "rest" && s.MODEL_BASE_URL === undefined && s.MODEL_API_KEY !== undefined,
    "MODEL_API_KEY is set while AI_GATEWAY_API is rest, which takes no provider's key; choose compat to pass it through.",
  ],
  [
    (s) => s.AI_GATEWAY_API === "rest" && s.AI_GATEWAY_BYOK_ALIAS !== undefined,
    "AI_GATEWAY_BYOK_ALIAS is set while AI_GATEWAY_API is rest, which uses no stored key; choose compat.",
  ],
  [
    (s) => s.AI_GATEWAY_BYOK_ALIAS !== undefined && s.MODEL_BASE_URL === undefined && s.MODEL_API_KEY !== undefined,
    "AI_GATEWAY_BYOK_ALIAS and MODEL_API_KEY are both set, and the gateway takes one key; remove the other.",
  ],
  [
    (s) => s.AI_GATEWAY_ZDR && s.MODEL_BASE_URL !== undefined,
    "AI_GATEWAY_ZDR is true while MODEL_BASE_URL leads past the gateway; remove one of them.",
  ],
  [
    (s) => isPlainHttp(s.AI_GATEWAY_BASE_URL),
    "AI_GATEWAY_BASE_URL would show the token to the network; give an https:// address.",
  ],
  [
    (s) => isPlainHttp(s.ACCESS_OIDC_ISSUER) || isPlainHttp(s.ACCESS_TEAM_DOMAIN),
    "ACCESS_OIDC_ISSUER and ACCESS_TEAM_DOMAIN decide who gets in; give https:// addresses.",
  ],
];

/** What is wrong with the settings, one sentence each, naming the setting and never its value. */
export class SettingsError extends Error {
  readonly problems: readonly string[];

  constructor(problems: readonly string[]) {
    super(`Settings are wrong: ${problems.join(" ")}`);
    this.name = "SettingsError";
    this.problems = problems;
  }
}

/** Parses the environment once. Throws `SettingsError` with every problem that it finds. */
export function parseSettings(env: object): Settings {
  const given = Object.entries(env).filter(([name, value]) => name in settingsSchema.shape && value !== "");
  const parsed = settingsSchema.safeParse(Object.fromEntries(given));
  if (!parsed.success) {
    throw new SettingsError(parsed.error.issues.map((issue) => `${issue.path.join(".")}: ${issue.message}.`));
  }
  const settings = parsed.data;
  const problems = identityProblems(settings);
  for (const [when, needed, why] of NEEDS) {
    if (!when(settings)) continue;
    const missing = needed.filter((name) => settings[name] === undefined);
    problems.push(...missing.map((name) => `${name} is missing while ${why}.`));
  }
  problems.push(...CONTRADICTIONS.filter(([when]) => when(settings)).map(([, problem]) => problem));
  const policy = { allowedHosts: settings.ALLOWED_HOSTS, suiteOrigin: settings.PUBLIC_URL };
  const sandbox = readSandboxSecrets(settings.SANDBOX_SECRETS, env, policy);
  problems.push(...sandbox.problems);
  if (problems.length > 0) throw new SettingsError(problems);
  return { ...settings, SANDBOX_SECRETS: sandbox.secrets };
}

/** Whether a URL's hostname can only be this machine. */
export function isLoopback(hostname: string): boolean {
  return hostname === "localhost" || hostname === "[::1]" || /^127(\.\d{1,3}){3}$/.test(hostname);
}

function isPlainHttp(url: string | undefined): boolean {
  return url?.startsWith("http://") === true && !isLoopback(new URL(url).hostname);
}

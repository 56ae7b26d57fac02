import * as z from "zod";
import { type NetworkPolicy, checkTarget, isListed, normalizeHost, parseHostAndPort } from "./network-policy.ts";
import { parseJson } from "./parse-json.ts";

/** What is added, outside the sandbox, to its requests to one host and port over TLS. */
export interface HostSecrets {
  readonly host: string;
  readonly port: number;
  /** By their names in lower case. They replace what the client sent under these names. */
  readonly headers: Readonly<Record<string, string>>;
}

const declarationSchema = z.record(z.string(), z.record(z.string(), z.string()));

/** RFC 9110 §5.6.2. */
const HEADER_NAME = /^[a-z0-9!#$%&'*+.^_`|~-]+$/;
const HEADER_VALUE = /^[\x21-\x7e]([\t\x20-\x7e]*[\x21-\x7e])?$/;
/** They say where a request goes or where its body ends. */
const CONNECTION_HEADER =
  /^(host|connection|keep-alive|content-length|transfer-encoding|te|trailer|upgrade|expect|proxy-.*)$/;
/** No other setting can be given away by a slip. */
const SECRET_NAME = /^SECRET_[A-Z0-9_]+$/;

export interface SandboxSecrets {
  readonly secrets: readonly HostSecrets[];
  /** One sentence each; none shows what could be a secret in the wrong place. */
  readonly problems: readonly string[];
}

/** Reads `SANDBOX_SECRETS`: JSON of host, header and name of the secret in `env`. */
export function readSandboxSecrets(setting: string | undefined, env: object, policy: NetworkPolicy): SandboxSecrets {
  if (setting === undefined) return { secrets: [], problems: [] };
  const declared = declarationSchema.safeParse(parseJson(setting));
  if (!declared.success) {
    const example = '{"api.example.com": {"authorization": "SECRET_EXAMPLE"}}';
    return { secrets: [], problems: [`SANDBOX_SECRETS is not the JSON that is needed; give it as in ${example}.`] };
  }
  const values = new Map<string, unknown>(Object.entries(env));
  const secrets: HostSecrets[] = [];
  const problems: string[] = [];
  for (const [entry, names] of Object.entries(declared.data)) {
    const { host, port = 443 } = parseHostAndPort(entry) ?? {};
    if (host === undefined) {
      problems.push("SANDBOX_SECRETS names a host that is none; give HOST or HOST:PORT, such as api.example.com.");
      continue;
    }
    const target = `${host}:${port}`;
    if (!isListed(host, port, policy) || !checkTarget(host, port, policy).allowed) {
      problems.push(
        `SANDBOX_SECRETS names ${target}, which the sandbox may not reach; list it in ALLOWED_HOSTS (locally by --allow-host).`,
      );
    }
    if (findHost(host, port, secrets) !== undefined) {
      problems.push(`SANDBOX_SECRETS names ${target} twice; put all its headers into one entry.`);
    }
    const headers: Record<string, string> = {};
    for (const [given, secretName] of Object.entries(names)) {
      const name = given.toLowerCase();
      const value = values.get(secretName);
      const problem = problemOf(target, name, secretName, value);
      if (Object.hasOwn(headers, name)) problems.push(`SANDBOX_SECRETS sets a header of ${target} twice; set it once.`);
      else if (problem !== undefined) problems.push(problem);
      else if (typeof value === "string") headers[name] = value;
    }
    secrets.push({ host, port, headers });
  }
  return problems.length === 0 ? { secrets, problems } : { secrets: [], problems };
}

/** The one for exactly that host, however it is spelled, and port. */
export function findHost<Each extends Pick<HostSecrets, "host" | "port">>(
  hostname: string,
  port: number,
  all: readonly Each[],
): Each | undefined {
  const host = normalizeHost(hostname);
  return all.find((each) => each.host === host && each.port === port);
}

/** The request as it goes on: with what is declared for its host, over TLS only. */
export function withSecrets(request: Request, secrets: readonly HostSecrets[]): Request {
  const url = new URL(request.url);
  const port = url.port === "" ? 443 : Number(url.port);
  const declared = url.protocol === "https:" ? findHost(url.hostname, port, secrets) : undefined;
  if (declared === undefined) return request;
  const passed = new Request(request);
  for (const [name, value] of Object.entries(declared.headers)) passed.headers.set(name, value);
  return passed;
}

function problemOf(target: string, header: string, secretName: string, value: unknown): string | undefined {
  if (!HEADER_NAME.test(header)) {
    return `SANDBOX_SECRETS names a header of ${target} that is none; give one such as authorization.`;
  }
  if (CONNECTION_HEADER.test(header)) {
    return `SANDBOX_SECRETS may not set ${header} for ${target}; choose a header such as authorization.`;
  }
  if (!SECRET_NAME.test(secretName)) {
    return `SANDBOX_SECRETS must give ${header} of ${target} by the name of a secret that begins with SECRET_; put the secret itself there.`;
  }
  if (typeof value !== "string" || value === "") return `${secretName} is missing while SANDBOX_SECRETS names it.`;
  if (!HEADER_VALUE.test(value)) {
    return `${secretName} cannot be sent in a header; make it one line of ASCII characters, without blanks around it.`;
  }
  return undefined;
}

import { createRequire } from "node:module";
import { join } from "node:path";
import {
  ANY_KEY,
  BROWSER_URL,
  MODEL,
  MODEL_URL,
  SKILLS,
  SUITE_URL,
  filled,
  readSettings,
  writeSettings,
} from "../program/settings.mjs";

/** From where the Worker reaches a port: loopback in a local sandbox, a private network in a container. */
const WORKER = ["127.0.0.1", "::1", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"];
/** Nobody is called that: what nobody can open lets nobody in. */
const NOBODY = "nobody";

/**
 * The page is behind the preview, whose Worker says in `X-Pincer-User` that it is the sandbox's person who visits, and
 * takes that header from everybody else. So these settings are written each time, whatever was there; of all others the
 * person's own stay.
 * @param {{ home: string, modules: string, port: number, url: string | undefined }} place
 */
export function configure({ home, modules, port, url }) {
  const path = join(home, ".openclaw", "openclaw.json");
  const { parse } = createRequire(join(modules, "openclaw", "package.json"))("json5");
  const settings = filled(readSettings(path, parse), {
    agents: { defaults: { model: { primary: `pincer/${MODEL}` }, heartbeat: { every: "0m" } } },
    browser: {
      defaultProfile: "pincer",
      profiles: { pincer: { cdpUrl: BROWSER_URL } },
      // The name is one of the sandbox's own network. What that browser may open is the suite's to say.
      ssrfPolicy: { dangerouslyAllowPrivateNetwork: true },
    },
    discovery: { mdns: { mode: "off" } },
    update: { checkOnStart: false },
    skills: { load: { extraDirs: [SKILLS] } },
    gateway: { controlUi: { communityInvite: false } },
  });
  writeSettings(path, withDoor(settings, port, url));
}

/** @param {any} settings @param {number} port @param {string | undefined} url */
export function withDoor(settings, port, url) {
  const origin = url === undefined ? undefined : new URL(url);
  // A preview's host is `<person>-<preview>.…`.
  const person = origin?.hostname.split("-")[0] ?? NOBODY;
  return {
    ...settings,
    gateway: {
      ...settings.gateway,
      ...{ mode: "local", port, bind: "lan", trustedProxies: WORKER },
      auth: {
        mode: "trusted-proxy",
        trustedProxy: {
          userHeader: "x-pincer-user",
          requiredHeaders: ["x-forwarded-host", "x-forwarded-proto"],
          allowUsers: [person],
          allowLoopback: true,
          deviceAutoApprove: { enabled: true },
        },
        identityScopes: { [person]: ["operator.admin"] },
      },
      controlUi: { ...settings.gateway.controlUi, allowedOrigins: origin === undefined ? [] : [origin.origin] },
    },
    models: {
      ...settings.models,
      providers: { ...settings.models?.providers, pincer: PROVIDER },
    },
    mcp: {
      ...settings.mcp,
      servers: { ...settings.mcp?.servers, pincer: { url: SUITE_URL, transport: "streamable-http" } },
    },
  };
}

const PROVIDER = {
  baseUrl: `${MODEL_URL}/v1`,
  apiKey: ANY_KEY,
  api: "openai-completions",
  models: [
    { id: MODEL, name: "The suite's model", input: ["text", "image"], contextWindow: 128_000, maxTokens: 8_192 },
  ],
};

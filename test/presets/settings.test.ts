import { execFile } from "node:child_process";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import path from "node:path";
import { promisify } from "node:util";
import { expect, test } from "vitest";
import { type Place, place } from "./tiny.ts";

const REPOSITORY = path.resolve(import.meta.dirname, "../..");
const URL_OF_PAGE = "https://0123abcd-0123456789.previews.example.net/";

/** Has a preset write its agent's settings, as `preset start` does once it is installed. */
async function configure({ home }: Place, preset: string, url = URL_OF_PAGE): Promise<void> {
  const script = path.join(REPOSITORY, "container/presets", preset, "configure.mjs");
  const modules = path.join(home, "node_modules");
  // In place of the one that OpenClaw brings: whatever is JSON5 is an expression of JavaScript.
  await mkdir(path.join(modules, "json5"), { recursive: true });
  await writeFile(path.join(modules, "json5/index.js"), "exports.parse = (text) => Function(`return (${text})`)();");
  const given = JSON.stringify({ home, modules, port: 18_789, ...(url === "" ? {} : { url }) });
  const program = `const { configure } = await import(${JSON.stringify(script)}); await configure(${given});`;
  await promisify(execFile)(process.execPath, ["--input-type=module", "--eval", program], { env: { HOME: home } });
}

async function write({ home }: Place, name: string, content: string): Promise<void> {
  const file = path.join(home, name);
  await mkdir(path.dirname(file), { recursive: true });
  await writeFile(file, content);
}

async function read({ home }: Place, name: string): Promise<unknown> {
  return JSON.parse(await readFile(path.join(home, name), "utf8"));
}

test("OpenClaw's door lets in the person of its preview alone, whatever was set there, and all else of a person's stays", async () => {
  await using it = await place({});
  const own = `{
    // A person's own, in OpenClaw's JSON5.
    agents: { defaults: { model: { primary: "mine/own" }, heartbeat: { every: "1h" } } },
    models: { providers: { mine: { baseUrl: "https://models.example.com/v1" } } },
    gateway: {
      auth: { mode: "none", token: "old", allowTailscale: true },
      trustedProxies: ["0.0.0.0/0"],
      controlUi: { allowedOrigins: ["*"], environment: { label: "mine" } },
      terminal: { enabled: false },
    },
    channels: { telegram: { enabled: true } },
  }`;
  await write(it, ".openclaw/openclaw.json", own);
  await configure(it, "openclaw");
  const settings = await read(it, ".openclaw/openclaw.json");
  expect(settings).toMatchObject({
    agents: { defaults: { model: { primary: "mine/own" }, heartbeat: { every: "1h" } } },
    channels: { telegram: { enabled: true } },
    mcp: { servers: { pincer: { url: "http://pincer.internal/mcp", transport: "streamable-http" } } },
    models: {
      providers: {
        mine: { baseUrl: "https://models.example.com/v1" },
        pincer: { baseUrl: "http://model.internal/v1", apiKey: "sandbox", api: "openai-completions" },
      },
    },
    gateway: {
      ...{ mode: "local", port: 18_789, bind: "lan", terminal: { enabled: false } },
      auth: {
        mode: "trusted-proxy",
        trustedProxy: { userHeader: "x-pincer-user", allowUsers: ["0123abcd"] },
        identityScopes: { "0123abcd": ["operator.admin"] },
      },
      controlUi: { environment: { label: "mine" }, allowedOrigins: [new URL(URL_OF_PAGE).origin] },
    },
  });
  expect(JSON.stringify(settings)).not.toMatch(/"token"|allowTailscale|0\.0\.0\.0\/0|"\*"/);
  await configure(it, "openclaw", "http://ffff-11.localhost:8717/");
  expect(await read(it, ".openclaw/openclaw.json")).toMatchObject({
    gateway: {
      auth: { trustedProxy: { allowUsers: ["ffff"] }, identityScopes: { ffff: ["operator.admin"] } },
      controlUi: { allowedOrigins: ["http://ffff-11.localhost:8717"] },
    },
  });
});

test("without a preview nobody can open OpenClaw's page", async () => {
  await using it = await place({});
  await configure(it, "openclaw", "");
  expect(await read(it, ".openclaw/openclaw.json")).toMatchObject({
    gateway: {
      auth: { mode: "trusted-proxy", trustedProxy: { allowUsers: ["nobody"] } },
      controlUi: { allowedOrigins: [] },
    },
  });
});

test("Claude Code and opencode are pointed at the suite, and what a person has set goes before it", async () => {
  await using it = await place({});
  await write(it, ".claude/settings.json", '{"env":{"ANTHROPIC_BASE_URL":"https://own.example.com"},"theme":"dark"}');
  await write(it, ".config/opencode/opencode.json", '{"model":"own/model","mcp":{"own":{"type":"local"}}}');
  for (const preset of ["claude-code", "opencode"]) for (const _ of [1, 2]) await configure(it, preset);
  expect(await read(it, ".claude/settings.json")).toMatchObject({
    theme: "dark",
    env: { ANTHROPIC_BASE_URL: "https://own.example.com", ANTHROPIC_AUTH_TOKEN: "sandbox" },
    permissions: { allow: ["mcp__pincer"] },
  });
  expect(await read(it, ".claude.json")).toEqual({
    hasCompletedOnboarding: true,
    mcpServers: { pincer: { type: "http", url: "http://pincer.internal/mcp" } },
  });
  expect(await read(it, ".config/opencode/opencode.json")).toMatchObject({
    model: "own/model",
    mcp: { own: { type: "local" }, pincer: { type: "remote", url: "http://pincer.internal/mcp", oauth: false } },
    provider: { pincer: { options: { baseURL: "http://model.internal/v1", apiKey: "sandbox" } } },
  });
});

test("settings that cannot be read are left as they are, and named", async () => {
  await using it = await place({});
  await write(it, ".claude/settings.json", "{ broken");
  await expect(configure(it, "claude-code")).rejects.toThrow("settings.json holds no settings that can be read");
  expect(await readFile(path.join(it.home, ".claude/settings.json"), "utf8")).toBe("{ broken");
});

import { execFile } from "node:child_process";
import { mkdir, readFile, readdir, symlink, writeFile } from "node:fs/promises";
import path from "node:path";
import { promisify } from "node:util";
import { expect, test } from "vitest";
import { type Place, place } from "./tiny.ts";

/** As Moltworker's start script leaves it, on OpenClaw 2026.2.3. */
const SETTINGS = {
  agents: {
    defaults: {
      workspace: "/root/clawd",
      maxConcurrent: 4,
      model: { primary: "cf-ai-gw-openai/gpt-4o" },
      models: { "anthropic/claude-opus-4-5": { alias: "Opus 4.5" } },
    },
    list: [{ id: "main", model: "openai/gpt-5", workspace: "/root/clawd/main", name: "Clawd" }],
  },
  gateway: {
    ...{ port: 18789, mode: "local", bind: "lan", trustedProxies: ["10.1.0.0"] },
    auth: { token: "gateway-token-secret" },
  },
  models: {
    providers: {
      "cf-ai-gw-openai": { baseUrl: "https://gateway.ai.cloudflare.com/v1/acc/gw/openai", apiKey: "cf-key-secret" },
    },
  },
  auth: { profiles: { "anthropic:default": { provider: "anthropic", mode: "api_key" } } },
  browser: { profiles: { cloudflare: { cdpUrl: "https://molt.example.workers.dev/cdp?secret=cdp-secret" } } },
  env: { ANTHROPIC_API_KEY: "env-secret", MY_WEATHER_KEY: "mine", vars: { CF_ACCOUNT_ID: "env-secret", CITY: "Graz" } },
  channels: { telegram: { botToken: "telegram-token", enabled: true, dmPolicy: "pairing", allowFrom: ["123"] } },
  cron: { enabled: true },
};

const MAPPED = {
  agents: {
    defaults: { maxConcurrent: 4 },
    list: [{ id: "main", workspace: "HOME/.openclaw/workspace/main", name: "Clawd" }],
  },
  channels: SETTINGS.channels,
  cron: { enabled: true },
  env: { MY_WEATHER_KEY: "mine", vars: { CITY: "Graz" } },
};

const STATE = {
  "openclaw.json": JSON.stringify(SETTINGS),
  "agents/main/agent/auth-profiles.json": '{"key":"profile-secret"}',
  "agents/main/agent/models.json": '{"key":"profile-secret"}',
  "agents/main/sessions/sessions.json":
    '{"agent:main:main":{"sessionFile":"/root/.clawdbot/agents/main/sessions/a.jsonl"}}',
  "agents/main/sessions/a.jsonl": '{"type":"message"}\n',
  "agents/main/sessions/a.jsonl.lock": "1",
  "credentials/oauth.json": '{"key":"oauth-secret"}',
  "credentials/telegram-allowFrom.json": '["123"]',
  "devices/paired.json": '{"token":"device-secret"}',
  "identity/device.json": '{"key":"device-secret"}',
  "cron/jobs.json": "[]",
  "gateway.lock": "1",
};
const AGENT = { "MEMORY.md": "The cat is called Maunzi.", "memory/2026-02-01.md": "A day.", ".git/config": "x" };
const SKILLS = { "mine/SKILL.md": "# Mine", "cloudflare-browser/SKILL.md": "# CDP_SECRET" };

/** What of `STATE`, `AGENT` and `SKILLS` comes along. */
const KEPT = [
  ...["agents/main/sessions/a.jsonl", "agents/main/sessions/sessions.json", "credentials/telegram-allowFrom.json"],
  ...["cron/jobs.json", "openclaw.json", "workspace/MEMORY.md", "workspace/memory/2026-02-01.md"],
  "workspace/skills/mine/SKILL.md",
];

async function writeTree(root: string, files: Readonly<Record<string, string>>): Promise<void> {
  for (const [name, content] of Object.entries(files)) {
    await mkdir(path.dirname(path.join(root, name)), { recursive: true });
    await writeFile(path.join(root, name), content);
  }
}

function below(folder: string, files: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(files).map(([name, content]) => [path.join(folder, name), content]));
}

const BUCKET = { ...below("openclaw", STATE), ...below("workspace", AGENT), ...below("skills", SKILLS) };

async function listTree(root: string): Promise<string[]> {
  const all = await readdir(root, { recursive: true, withFileTypes: true });
  const files = all.filter((entry) => !entry.isDirectory());
  return files.map((entry) => path.relative(root, path.join(entry.parentPath, entry.name))).toSorted();
}

async function settingsOf({ home }: Place): Promise<unknown> {
  const text = await readFile(path.join(home, ".openclaw/openclaw.json"), "utf8");
  return JSON.parse(text.replaceAll(home, "HOME"));
}

/** Whatever is named a secret above. */
async function secretsIn(folder: string): Promise<string[]> {
  const texts = await Promise.all(
    (await listTree(folder)).map(async (name) => await readFile(path.join(folder, name), "utf8")),
  );
  return texts.filter((text) => /-secret|CDP_SECRET/.test(text));
}

test("a backup is imported: settings, sessions, memory, skills and channels, and no key of models or of the old door", async () => {
  await using it = await place({});
  const backup = path.join(it.home, "files/backup");
  await writeTree(backup, BUCKET);
  const { code, stdout, stderr } = await it.run("import-moltworker", backup);
  const state = path.join(it.home, ".openclaw");
  expect({ code, stderr, lines: stdout.split("\n") }).toEqual({
    code: 0,
    stderr: "",
    lines: [
      "Found openclaw/openclaw.json.",
      "Left behind: gateway (its token, and from where it was reached).",
      "Left behind: models (endpoints and their keys).",
      "Left behind: auth (which keys models had).",
      "Left behind: browser (the CDP address and its secret).",
      "Left behind: env ANTHROPIC_API_KEY.",
      "Left behind: env CF_ACCOUNT_ID.",
      `The backup is in ${state}. Now: preset start openclaw`,
      "",
    ],
  });
  expect(await listTree(state)).toEqual(KEPT);
  expect(await settingsOf(it)).toEqual(MAPPED);
  expect(JSON.parse(await readFile(path.join(state, "agents/main/sessions/sessions.json"), "utf8"))).toEqual({
    "agent:main:main": { sessionFile: `${state}/agents/main/sessions/a.jsonl` },
  });
  expect(await readFile(path.join(state, "workspace/MEMORY.md"), "utf8")).toBe("The cat is called Maunzi.");
  expect(await secretsIn(state)).toEqual([]);
  // The backup is the person's, and stays as it was.
  expect((await listTree(backup)).length).toBe(Object.keys(BUCKET).length);
});

test.each([
  ["clawdbot", { ...below("clawdbot", { "clawdbot.json": STATE["openclaw.json"] }), ...below("skills", SKILLS) }],
  ["moltbot", { ...below("moltbot", { "moltbot.json": STATE["openclaw.json"] }), ...below("skills", SKILLS) }],
  ["openclaw", { ...below("openclaw", { "clawdbot.json": STATE["openclaw.json"] }), ...below("skills", SKILLS) }],
  ["the bucket itself", { "clawdbot.json": STATE["openclaw.json"], ...below("skills", SKILLS) }],
])("a backup from when the state was in %s, by an older name, is found", async (_, files) => {
  await using it = await place({});
  await writeTree(path.join(it.home, "backup"), files);
  expect((await it.run("import-moltworker", "backup")).code).toBe(0);
  expect(await listTree(path.join(it.home, ".openclaw"))).toEqual(["openclaw.json", "workspace/skills/mine/SKILL.md"]);
  expect(await settingsOf(it)).toEqual(MAPPED);
});

test("of an old and a new backup in one bucket, the new one is taken, as Moltworker did", async () => {
  await using it = await place({});
  const old = { "clawdbot/clawdbot.json": '{"cron":{"enabled":false}}' };
  await writeTree(path.join(it.home, "backup"), { ...BUCKET, ...old });
  await it.run("import-moltworker", "backup");
  expect(await settingsOf(it)).toEqual(MAPPED);
});

test("the workspace is the one that the agent worked in, and the other one is kept beside it", async () => {
  const within = JSON.stringify({ agents: { defaults: { workspace: "/root/.openclaw/workspace" } } });
  for (const [settings, memory, unused] of [
    [within, "within", "beside"],
    [STATE["openclaw.json"], "beside", "within"],
  ] as const) {
    await using it = await place({});
    await writeTree(path.join(it.home, "backup"), {
      "openclaw/openclaw.json": settings,
      "openclaw/workspace/MEMORY.md": "within",
      "workspace/MEMORY.md": "beside",
    });
    const { stdout } = await it.run("import-moltworker", "backup");
    expect(stdout).toContain("A second workspace, not in use, is in workspace-unused.");
    const read = async (name: string): Promise<string> =>
      await readFile(path.join(it.home, ".openclaw", name, "MEMORY.md"), "utf8");
    expect([await read("workspace"), await read("workspace-unused")]).toEqual([memory, unused]);
  }
});

test.each([
  ["backup.tar", []],
  ["backup.tgz", ["--gzip"]],
  ["backup.tar.zst", ["--zstd"]],
])("an archive is unpacked: %s", async (name, flags) => {
  await using it = await place({});
  await writeTree(path.join(it.home, "away/moltbot-data"), BUCKET);
  const file = path.join(it.home, name);
  await promisify(execFile)("tar", ["--create", ...flags, "--file", file, "moltbot-data"], {
    cwd: path.join(it.home, "away"),
  });
  expect((await it.run("import-moltworker", file)).stderr).toBe("");
  expect(await listTree(path.join(it.home, ".openclaw"))).toEqual(KEPT);
  expect(await readdir(path.join(it.home, ".cache"))).toEqual([]);
});

test("what was there is kept, whichever is newer", async () => {
  await using it = await place({});
  await writeTree(path.join(it.home, ".openclaw"), {
    "openclaw.json": '{"mine":true}',
    "workspace/MEMORY.md": "newer",
  });
  await writeTree(path.join(it.home, "backup"), BUCKET);
  const { stdout } = await it.run("import-moltworker", "backup");
  const [, kept = ""] = /^What was in \S+ is kept in (\S+)\.$/m.exec(stdout) ?? [];
  expect(await listTree(kept)).toEqual(["openclaw.json", "workspace/MEMORY.md"]);
  expect(await readFile(path.join(kept, "workspace/MEMORY.md"), "utf8")).toBe("newer");
  expect(await settingsOf(it)).toEqual(MAPPED);
});

test("links in a backup lead nowhere, and names in an archive out of nothing", async () => {
  await using it = await place({});
  const backup = path.join(it.home, "backup");
  await writeFile(path.join(it.home, "own"), "not the backup's");
  await writeTree(backup, BUCKET);
  await symlink("/etc", path.join(backup, "workspace/etc"));
  await symlink(path.join(it.home, "own"), path.join(backup, "openclaw/own"));
  expect((await it.run("import-moltworker", "backup")).code).toBe(0);
  expect(await listTree(path.join(it.home, ".openclaw"))).toEqual(KEPT);
  const flags = ["--create", "--file", "evil.tar", "--absolute-names", "--transform", "s#^own#../../../taken#", "own"];
  await promisify(execFile)("tar", flags, { cwd: it.home });
  const { code, stderr } = await it.run("import-moltworker", "evil.tar");
  expect([code, stderr]).toEqual([1, expect.stringMatching(/^There is no Moltworker backup|^\S+ is no tar/)]);
  expect(await readdir(it.home)).not.toContain("taken");
});

test("what is no backup changes nothing, and is told what is missing", async () => {
  await using it = await place({});
  await writeTree(path.join(it.home, ".openclaw"), { "openclaw.json": '{"mine":true}' });
  await writeTree(path.join(it.home, "empty"), { "readme.txt": "nothing" });
  await writeTree(path.join(it.home, "broken"), { "openclaw/openclaw.json": "{not json" });
  await writeFile(path.join(it.home, "text.tar"), "no tar at all".repeat(100));
  await writeFile(path.join(it.home, "cut.tar.gz"), new Uint8Array([0x1f, 0x8b, 8, 0, 0, 0, 0]));
  for (const [given, words] of [
    ["empty", "no openclaw/openclaw.json"],
    ["broken", "holds no settings that can be read"],
    ["text.tar", "is no tar that can be unpacked"],
    ["cut.tar.gz", "is no tar that can be unpacked"],
    ["missing", "There is nothing at"],
  ] as const) {
    const { code, stderr } = await it.run("import-moltworker", given);
    expect([given, code, stderr]).toEqual([given, 1, expect.stringContaining(words)]);
  }
  expect(await settingsOf(it)).toEqual({ mine: true });
  expect((await readdir(it.home)).filter((name) => name.startsWith(".openclaw"))).toEqual([".openclaw"]);
});

import { reset } from "cloudflare:test";
import { afterEach, expect, test } from "vitest";
import type { PersonsThings } from "../../servers/admin/desk.ts";
import type { ProcessInfo } from "../../servers/sandbox/process.ts";
import {
  NOTHING_STARTED,
  accountOf,
  directory,
  entry,
  scriptedActs,
  signedInOwner,
  signedInReaderAndAdmin,
} from "./admin-suite.ts";

afterEach(async () => {
  await reset();
});

interface Scene {
  readonly state?: "running" | "asleep";
  readonly driver?: "local" | "simulated";
  readonly processes?: readonly ProcessInfo[];
  /** Ports that something listens on. */
  readonly ports?: readonly number[];
  readonly stderr?: string;
}

function scene({ state = "running", driver = "local", processes = [], ports = [], stderr = "" }: Scene): PersonsThings {
  const text = { text: stderr, totalBytes: stderr.length, isCut: false };
  return {
    sandbox: () => ({
      status: async () => ({ driver, state, costUsd: 0 }),
      listProcesses: async () => processes,
      readProcess: async (processId) => ({
        ...started("", {}),
        processId,
        stdout: text,
        stderr: text,
        isReached: true,
      }),
      port: (port) => ({
        ...NOTHING_STARTED.port(port),
        look: async () => {
          if (state !== "running") throw new Error("It was looked at though it sleeps.");
          return ports.includes(port) ? "listening" : "closed";
        },
      }),
    }),
    previews: async (sandbox) => [{ sandbox, port: 18_789, url: "http://label.localhost:1/" }],
    browser: async () => undefined,
    run: async () => undefined,
  };
}

function started(preset: string, end: Pick<ProcessInfo, "exitCode">): ProcessInfo {
  const isRunning = end.exitCode === undefined;
  const info = { processId: "0123abcd", startedAtMs: Date.now(), hasTimedOut: false, durationMs: 5 };
  return { ...info, command: `preset start ${preset}`, isRunning, ...end };
}

/** What the overview says of each agent, and the button beside it. */
async function rows(of: Scene): Promise<readonly (readonly string[])[]> {
  const { visit, userId } = await signedInOwner((desk) => ({ ...desk, thingsOf: () => scene(of) }));
  await accountOf(userId).record(userId, [entry({}, { handle: { kind: "sandbox", name: "main" } })]);
  const { text } = await visit.read("/account");
  const [, list = ""] = /<details id="sandbox-main-presets">.*?<tbody[^>]*>(.*?)<\/tbody>/s.exec(text) ?? [];
  const cells = [...list.matchAll(/<t[dh][^>]*>(.*?)<\/t[dh]>/gs)].map(([, cell = ""]) =>
    cell
      .replaceAll(/<span class="unseen">.*?<\/span>|<span class="soft">.*?<\/span>|<[^>]*>/gs, "")
      .replaceAll(/\s+/g, " ")
      .trim(),
  );
  return Array.from({ length: cells.length / 3 }, (_, row) => cells.slice(row * 3, row * 3 + 3));
}

test("a sandbox's agents are shown with how they are and what can be done, whether it runs or sleeps", async () => {
  const still = [
    ["OpenClaw", "does not run", "Start"],
    ["opencode", "does not run", "Start"],
    ["Claude Code", "not known", "Install"],
  ];
  expect(await rows({})).toEqual(still);
  expect(await rows({ state: "asleep" })).toEqual(still);
  const processes = [started("opencode", {}), started("claude-code", { exitCode: 0 })];
  expect(await rows({ processes, ports: [18_789] })).toEqual([
    ["OpenClaw", "runs at its page", "Stop"],
    ["opencode", "being started", ""],
    ["Claude Code", "installed", "Install"],
  ]);
  expect(await rows({ driver: "simulated" })).toEqual([]);
});

test("an agent that did not start says why, as text", async () => {
  const processes = [started("openclaw", { exitCode: 1 }), started("openclaw", { exitCode: 0 })];
  expect(await rows({ processes, stderr: "<script>alert(1)</script> has ended.\n" })).toContainEqual([
    "OpenClaw",
    "did not start &lt;script&gt;alert(1)&lt;/script&gt; has ended.",
    "Start",
  ]);
});

test("agents are started by their own person alone, where their role has commands", async () => {
  const done: string[] = [];
  const owner = await signedInOwner((desk) => ({ ...desk, actsOn: scriptedActs(done), thingsOf: () => scene({}) }));
  const form = { act: "start-preset", kind: "sandbox", name: "main", preset: "openclaw" };
  const answer = await owner.visit.post("/account/act", { key: owner.key, ...form });
  expect([answer.status, answer.headers.get("Location")]).toEqual([303, "/account?done=start-preset"]);
  expect((await owner.visit.read("/account?done=start-preset")).text).toContain("It is being installed and started");
  await owner.visit.post("/account/act", { key: owner.key, ...form, act: "stop-preset", preset: "opencode" });
  expect(done).toEqual([`start-preset ${owner.userId} main openclaw`, `stop-preset ${owner.userId} main opencode`]);
  expect((await accountOf(owner.userId).listAudit(10)).map(({ tool, outcome }) => [tool, outcome])).toEqual([
    ["account/stop-preset", "ok"],
    ["account/start-preset", "ok"],
  ]);
  for (const preset of ["", "nope", "openclaw; rm -rf /", "../openclaw"]) {
    expect((await owner.visit.post("/account/act", { key: owner.key, ...form, preset })).status).toBe(400);
  }
  const other = "b".repeat(32);
  await directory().notePerson({ userId: other, displayName: "bob@example.com", role: "member" }, Date.now());
  const others = await owner.visit.post(`/admin/people/${other}/act`, { key: owner.key, ...form });
  expect([others.status, await others.text()]).toEqual([403, expect.stringContaining("by their own person")]);
  await accountOf(other).record(other, [entry({}, { handle: { kind: "sandbox", name: "main" } })]);
  expect((await owner.visit.read(`/admin/people/${other}`)).text).not.toContain("start-preset");
  expect(done).toHaveLength(2);
});

test("a reader, who has no commands, is shown no agents and starts none", async () => {
  const { reader } = await signedInReaderAndAdmin();
  const form = { act: "start-preset", kind: "sandbox", name: "main", preset: "openclaw" };
  expect((await reader.visit.post("/account/act", { key: reader.key, ...form })).status).toBe(403);
  expect((await accountOf(reader.userId).listAudit(10)).map(({ outcome }) => outcome)).toEqual(["forbidden"]);
});

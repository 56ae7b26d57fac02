import { Client, StreamableHTTPClientTransport } from "@modelcontextprotocol/client";
import { afterAll, beforeAll, expect, test } from "vitest";
import * as z from "zod";
import { sharedSuite } from "../support/suite.ts";

const suite = sharedSuite();
const SANDBOX = "presets";
let client: Client;

beforeAll(async () => {
  client = new Client({ name: "presets-test", version: "1.0.0" });
  const requestInit = { headers: { Authorization: `Bearer ${await suite.token()}` } };
  await client.connect(new StreamableHTTPClientTransport(new URL("/mcp", suite.url), { requestInit }));
});

afterAll(async () => await client.close());

const resultSchema = z.object({ exit_code: z.int(), stdout: z.string(), stderr: z.string() });

async function exec(command: string, sandbox = SANDBOX): Promise<z.output<typeof resultSchema>> {
  const { structuredContent } = await client.callTool({ name: "sandbox_exec", arguments: { command, sandbox } });
  return resultSchema.parse(structuredContent);
}

const PRESET = JSON.stringify({
  ...{
    title: "Greeter",
    description: "a test's",
    node: "22.0.0",
    install: {},
    programs: {},
    kept: [],
    hint: "Open it.",
  },
  start: ["node", "-e", 'require("http").createServer((_, r) => r.end("hello")).listen(4321, "127.0.0.1")'],
  ...{ port: 4321, ready: "/", expose: true },
});
/** The program with a preset of the test's own beside it. */
const OWN = "/workspace/presets/program/preset.mjs";

test("a preset is started by one call, lives on after it, and is at its person's preview", async () => {
  await exec("cp -r /opt/presets presets && mkdir presets/greeter");
  await client.callTool({
    name: "sandbox_write",
    arguments: { path: "presets/greeter/preset.json", content: PRESET, sandbox: SANDBOX },
  });
  const started = await exec(`${OWN} start greeter`);
  const { structuredContent } = await client.callTool({
    name: "sandbox_expose",
    arguments: { sandbox: SANDBOX, port: 4321 },
  });
  const { url } = z.object({ url: z.string() }).parse(structuredContent);
  expect(started).toMatchObject({ exit_code: 0, stderr: "" });
  expect(started.stdout).toBe(
    `Starting Greeter; its log is /workspace/.cache/presets/greeter.log.\nGreeter runs at ${url}. Open it.\n`,
  );
  expect((await exec("curl -sS http://localhost:4321/")).stdout).toBe("hello");
  expect((await exec(`${OWN} status`)).stdout).toMatch(
    new RegExp(`^greeter\\truns for 0 min as process \\d+, at ${url}$`, "m"),
  );
  expect((await exec(`${OWN} stop greeter`)).stdout).toBe("Greeter has stopped.\n");
  expect((await exec("curl -sS http://localhost:4321/")).exit_code).toBe(7);
});

test("every sandbox has the presets, and one that cannot be installed says which host to open, and the sandbox goes on", async () => {
  expect((await exec("preset list")).stdout).toMatch(/^claude-code\t.*\nopenclaw\t.*\nopencode\t.*\n$/);
  const { exit_code: code, stderr } = await exec(
    "npm_config_registry=https://registry.example.com preset start claude-code",
  );
  expect(code).toBe(1);
  expect(stderr).toMatch(/^npm could not install @anthropic-ai\/claude-code@[\d.]+:\n/);
  expect(stderr).toContain("The npm registry registry.example.com:443 cannot be reached from this sandbox");
  expect(stderr).toContain("locally npm start -- --allow-host registry.example.com:443");
  expect((await exec("preset status; echo on")).stdout).toMatch(/^claude-code\tnot installed\n.*\non\n$/s);
  expect((await exec("touch /opt/presets/x; command -v preset")).stdout).toBe("/opt/node/bin/preset\n");
});

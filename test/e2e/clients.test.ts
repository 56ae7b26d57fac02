import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import * as z from "zod";
import {
  type ToolClient,
  connectMcpRemote,
  connectOfficial,
  connectSdk1,
  runInspector,
  textOf,
} from "../support/mcp-clients.ts";
import { sharedSuite } from "../support/suite.ts";

const FILES_TOOLS = [
  "files_list",
  "files_read",
  "files_write",
  "files_edit",
  "files_copy",
  "files_move",
  "files_delete",
  "files_search",
  "files_share",
];

const TOOLS = [
  "sandbox_exec",
  "sandbox_wait",
  "sandbox_send",
  "sandbox_read",
  "sandbox_write",
  "sandbox_edit",
  "sandbox_search",
  "sandbox_status",
  "sandbox_reset",
  "sandbox_expose",
  "interpreter_run",
  "interpreter_list",
  ...FILES_TOOLS,
  "browser_open",
  "browser_snapshot",
  "browser_screenshot",
  "browser_read",
  "browser_click",
  "browser_type",
  "browser_fill",
  "browser_dialog",
  "browser_wait",
  "browser_evaluate",
  "browser_handoff",
  "browser_close",
  "delegate_cancel",
  "delegate_list",
  "delegate_run",
  "delegate_status",
].toSorted();

const suite = sharedSuite();
const mcpUrl = new URL("/mcp", suite.url);
let token: string;
let configDir: string;

beforeAll(async () => {
  token = await suite.token();
  configDir = await mkdtemp(path.join(tmpdir(), "pincer-clients-"));
});

afterAll(async () => {
  await rm(configDir, { recursive: true, force: true });
});

interface ClientCase {
  readonly name: string;
  readonly revision: string;
  readonly connect: (url: URL) => Promise<ToolClient>;
}

const CLIENTS: readonly ClientCase[] = [
  {
    name: "the official client of the new era",
    revision: "2026-07-28",
    connect: async (url) => await connectOfficial(url, token, "modern"),
  },
  {
    name: "the official client of the old era",
    revision: "2025-11-25",
    connect: async (url) => await connectOfficial(url, token, "legacy"),
  },
  {
    name: "the client of the first SDK",
    revision: "2025-11-25",
    connect: async (url) => await connectSdk1(url, token),
  },
  {
    name: "mcp-remote with a token",
    revision: "2025-11-25",
    connect: async (url) => await connectMcpRemote(url, { configDir, token }),
  },
];

describe.for(CLIENTS)("$name", ({ name, revision, connect }) => {
  test("lists every tool of the suite", async () => {
    await using client = await connect(mcpUrl);
    expect(client.revision).toBe(revision);
    expect((await client.listTools()).toSorted()).toEqual(TOOLS);
  });

  test("lists the tools of one server at that server's endpoint", async () => {
    await using client = await connect(new URL("/mcp/files", suite.url));
    expect((await client.listTools()).toSorted()).toEqual(FILES_TOOLS.toSorted());
  });

  test("gets back from files what it wrote", async () => {
    await using client = await connect(mcpUrl);
    const file = `clients/${name.replaceAll(" ", "-")}.txt`;
    const written = await client.callTool("files_write", { path: file, content: `kept for ${name}` });
    expect(written.isError).toBe(false);
    expect(written.structuredContent).toMatchObject({ path: file });
    expect(textOf(await client.callTool("files_read", { path: file }))).toMatch(new RegExp(`\nkept for ${name}$`));
  });

  test("runs a command in the sandbox", async () => {
    await using client = await connect(mcpUrl);
    const answer = await client.callTool("sandbox_exec", { command: "echo out; echo err >&2; exit 3" });
    expect(answer.isError).toBe(false);
    expect(answer.structuredContent).toMatchObject({ exit_code: 3, stdout: "out\n", stderr: "err\n" });
  });

  test("is told what is wrong with its arguments, and goes on", async () => {
    await using client = await connect(mcpUrl);
    const refused = await client.callTool("files_read", { path: 7, colour: "red" });
    expect(refused.isError).toBe(true);
    expect(textOf(refused)).toMatch(/^invalid_input: .*path.*colour.*call again\.$/);
    expect((await client.callTool("files_list", {})).isError).toBe(false);
  });
});

describe("the Inspector's command line", () => {
  test.for(["modern", "legacy"])("finds no fault with the tools in the %s era", async (era) => {
    const args = ["--protocol-era", era, "--method", "tools/list", "--strict"];
    const { exitCode, stdout, stderr } = await runInspector(mcpUrl, token, configDir, args);
    expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: "" });
    const { tools } = z.object({ tools: z.array(z.object({ name: z.string() })) }).parse(JSON.parse(stdout));
    expect(tools.map(({ name }) => name).toSorted()).toEqual(TOOLS);
  });

  test.for(["modern", "legacy"])("calls a tool in the %s era", async (era) => {
    const call = ["--method", "tools/call", "--tool-name", "files_list", "--tool-arg", "folder=inspector"];
    const { exitCode, stdout } = await runInspector(mcpUrl, token, configDir, ["--protocol-era", era, ...call]);
    expect(exitCode).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({ structuredContent: { folders: [], files: [] } });
  });
});

import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { promisify } from "node:util";
import { expect, test } from "vitest";
import { sharedSuite } from "../support/suite.ts";

const suite = sharedSuite();
const TOOL = path.resolve(import.meta.dirname, "../../container/skills/pincer-suite/scripts/tool.mjs");

/** Runs the script that skills tell of, in a folder of its own, at the suite's door instead of a sandbox's. */
async function runTool(args: readonly string[], folder = tmpdir(), token?: string) {
  const env = {
    PATH: process.env["PATH"],
    PINCER_MCP_URL: `${suite.url}/mcp`,
    PINCER_TOKEN: token ?? (await suite.token()),
  };
  return await promisify(execFile)(process.execPath, [TOOL, ...args], { cwd: folder, env }).then(
    ({ stdout }) => ({ exitCode: 0, stdout, stderr: "" }),
    ({ code, stdout, stderr }: { code: number; stdout: string; stderr: string }) => ({
      exitCode: code,
      stdout,
      stderr,
    }),
  );
}

test("the script of the skills lists the tools and tells what one takes", async () => {
  const { stdout } = await runTool([]);
  expect(stdout).toMatch(/^sandbox_exec: Runs bash/m);
  expect(stdout).toMatch(/^delegate_run: /m);
  const described: unknown = JSON.parse((await runTool(["--describe", "files_share"])).stdout);
  expect(described).toMatchObject({ name: "files_share", inputSchema: { properties: { path: { type: "string" } } } });
  expect(await runTool(["--describe", "files_fly"])).toMatchObject({
    exitCode: 1,
    stderr: "There is no tool files_fly.\n",
  });
});

test("the script of the skills calls a tool, saves pictures, and fails where the tool does", async () => {
  const folder = await mkdtemp(path.join(tmpdir(), "skill-"));
  const dot = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";
  const picture = { path: "skills-e2e/dot.png", content: dot, encoding: "base64" };
  expect(await runTool(["files_write", JSON.stringify(picture)])).toMatchObject({ exitCode: 0 });
  const shared = await runTool(["files_share", '{"path": "skills-e2e/dot.png"}']);
  expect(JSON.parse(shared.stdout)).toMatchObject({
    url: expect.stringContaining(suite.url),
    path: "skills-e2e/dot.png",
  });
  const shown = await runTool(["files_read", '{"path": "skills-e2e/dot.png"}'], folder);
  expect(shown.stdout).toMatch(/Saved files_read-\d\.png/);
  const [, name = ""] = /Saved (\S+)/.exec(shown.stdout) ?? [];
  expect((await readFile(path.join(folder, name))).toString("base64")).toBe(dot);
  expect(await runTool(["files_read", '{"path": "skills-e2e/no-such"}'])).toMatchObject({
    ...{ exitCode: 1, stdout: "" },
    stderr: expect.stringContaining("not_found"),
  });
  expect(await runTool(["files_read", "{path"])).toMatchObject({
    exitCode: 1,
    stderr: "The tool's input has to be JSON.\n",
  });
  expect(await runTool(["files_fly"])).toMatchObject({ exitCode: 1, stderr: expect.stringContaining("Unknown tool") });
  expect(await runTool(["files_list"], folder, "nobody")).toMatchObject({
    exitCode: 1,
    stderr: expect.stringContaining("401"),
  });
  await rm(folder, { recursive: true });
});

test("own skills that a client writes are in the sandbox, beside those of the suite", async () => {
  const text = "---\nname: sandbox-seen\ndescription: Is seen\n---\n";
  const written = { path: "skills/sandbox-seen/SKILL.md", content: text };
  await runTool(["files_write", JSON.stringify(written)]);
  const command = "cat /workspace/files/skills/sandbox-seen/SKILL.md; ls /opt/skills";
  const { stdout } = await runTool(["sandbox_exec", JSON.stringify({ command })]);
  expect(JSON.parse(stdout)).toMatchObject({
    exit_code: 0,
    stdout: `${text}pincer-browser\npincer-delegate\npincer-files\npincer-previews\npincer-suite\n`,
  });
});

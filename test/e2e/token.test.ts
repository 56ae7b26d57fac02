import { spawn } from "node:child_process";
import { tmpdir } from "node:os";
import path from "node:path";
import { expect, test } from "vitest";
import { sharedSuite } from "../support/suite.ts";

const ROOT = path.resolve(import.meta.dirname, "../..");

/** The command as a person types it, npm included. */
async function runToken(...args: readonly string[]) {
  const child = spawn("npm", ["run", "token", "--", ...args], { cwd: ROOT, stdio: ["ignore", "pipe", "pipe"] });
  let stdout = "";
  let stderr = "";
  child.stdout.on("data", (chunk: unknown) => (stdout += String(chunk)));
  child.stderr.on("data", (chunk: unknown) => (stderr += String(chunk)));
  const code = await new Promise((resolve) => child.once("close", resolve));
  return { code, stdout, stderr };
}

/** The status that an endpoint answers this token with. */
async function statusOf(url: string, token: string): Promise<number> {
  const response = await fetch(new URL("/mcp", url), {
    method: "POST",
    headers: {
      Authorization: `Bearer ${token}`,
      "Content-Type": "application/json",
      Accept: "application/json, text/event-stream",
      "MCP-Protocol-Version": "2025-06-18",
    },
    body: JSON.stringify({ jsonrpc: "2.0", id: 1, method: "tools/list" }),
  });
  await response.body?.cancel();
  return response.status;
}

test("a token is all that is on stdout, and it opens the suite", async () => {
  const { url, dataDir } = sharedSuite();
  const { code, stdout, stderr } = await runToken("--data", dataDir);
  expect([code, stderr]).toEqual([0, ""]);
  expect(stdout).toMatch(/^pincer_\S+\n$/);
  expect(await statusOf(url, stdout.trim())).toBe(200);
  expect(await statusOf(url, `${stdout.trim()}x`)).toBe(401);
});

test.each([
  [["--scopes", "files:read,nonsense"], /^The suite made no token: scopes: no such scope: nonsense/],
  [["--expires", "soon"], /^--expires soon is no duration; give a number and m, h or d, such as 7d\.$/],
  [["--wrong"], /^Unknown option '--wrong'/],
])("%j is refused in a sentence", async (args, sentence) => {
  const { code, stdout, stderr } = await runToken("--data", sharedSuite().dataDir, ...args);
  expect([code, stdout]).toEqual([1, ""]);
  expect(stderr.trim()).toMatch(sentence);
});

test("without a suite it says how to start one", async () => {
  const nowhere = path.join(tmpdir(), "pincer-is-not-here");
  const { code, stdout, stderr } = await runToken("--data", nowhere);
  expect([code, stdout]).toEqual([1, ""]);
  expect(stderr).toBe(`No suite runs with ${nowhere}; run npm start first, or name its folder with --data DIR.\n`);
});

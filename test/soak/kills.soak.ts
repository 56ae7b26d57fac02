import { createHash } from "node:crypto";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import * as z from "zod";
import { type ToolAnswer, type ToolClient, connectOfficial, textOf } from "../support/mcp-clients.ts";
import { pick, processTree } from "../support/process-tree.ts";
import { type OwnSuite, startSuite } from "../support/suite.ts";

/* The runtime is killed at every step of every kind of call: the caller hears the truth, and nothing is lost. */

let suite: OwnSuite;
let client: ToolClient;

beforeAll(async () => {
  suite = await startSuite();
  client = await connectOfficial(new URL("/mcp", suite.url), await suite.token(), "modern");
});

afterAll(async () => {
  await client[Symbol.asyncDispose]();
  await suite[Symbol.asyncDispose]();
});

const DELAYS_MS = [0, 5, 20, 60, 150, 400];
const OLD = "old\n".repeat(250_000);
const NEW = "new\n".repeat(250_000);

const CALLS: readonly { readonly what: string; readonly name: string; readonly input: Record<string, unknown> }[] = [
  { what: "a short command", name: "sandbox_exec", input: { command: "echo $((1 + 1))" } },
  { what: "a command with output", name: "sandbox_exec", input: { command: "seq 1 300000 | cat" } },
  {
    what: "a command that changes files",
    name: "sandbox_exec",
    input: { command: "sed -i 's/^old$/new/' files/soak/kept.txt && sleep 0.2" },
  },
  { what: "a file that is written", name: "sandbox_write", input: { path: "kept.txt", content: NEW } },
  { what: "a file that is read", name: "sandbox_read", input: { path: "kept.txt" } },
  { what: "an edit", name: "sandbox_edit", input: { path: "small.txt", old: "one", new: "two" } },
  { what: "code", name: "interpreter_run", input: { code: "sum(range(3_000_000))" } },
  { what: "a status", name: "sandbox_status", input: {} },
];

async function call(name: string, input: Record<string, unknown>): Promise<ToolAnswer> {
  return await client.callTool(name, input);
}

async function exec(command: string): Promise<string> {
  for (let tries = 0; ; tries += 1) {
    const answer = await call("sandbox_exec", { command, wait_ms: 50_000 });
    if (!answer.isError) return String(answer.structuredContent?.["stdout"]);
    // The launcher takes a moment to start the runtime again.
    if (tries === 40) throw new Error(textOf(answer));
    await new Promise((resolve) => setTimeout(resolve, 500));
  }
}

async function killRuntime(): Promise<void> {
  for (const pid of await pick(await processTree(suite.process.pid ?? 0), /\/runtime\.ts/))
    process.kill(pid, "SIGKILL");
}

function digest(text: string): string {
  return createHash("sha256").update(text).digest("hex");
}

describe.each(CALLS)("during $what", ({ name, input }) => {
  test("a runtime that is killed loses nothing, and the next call works", async () => {
    for (const delayMs of DELAYS_MS) {
      await call("files_write", { path: "soak/kept.txt", content: OLD });
      // What sed leaves when it is killed is its own.
      await exec(
        "rm -f files/soak/sed*; printf 'one\\n' > small.txt; yes old | head -n 250000 > kept.txt; echo kept > untouched.txt",
      );
      const answered = call(name, input);
      await new Promise((resolve) => setTimeout(resolve, delayMs));
      await killRuntime();
      const answer = await answered;
      if (answer.isError) expect(textOf(answer)).toMatch(/^(unavailable|conflict): /);

      const sums = await exec(
        "sha256sum kept.txt files/soak/kept.txt | cut -d ' ' -f 1; cat untouched.txt; cat small.txt",
      );
      const [workspace, mounted, untouched, small] = sums.split("\n");
      const whole = [digest(OLD), digest(NEW)];
      expect(whole).toContain(workspace);
      expect(whole).toContain(mounted);
      expect(untouched).toBe("kept");
      expect(["one", "two"]).toContain(small);
      // A half-written copy may lie in the sandbox for a while; in the caller's files there is none.
      const { structuredContent: listed } = await call("files_list", { folder: "soak" });
      for (const { path } of z.object({ files: z.array(z.object({ path: z.string() })) }).parse(listed).files)
        expect(path).toMatch(/^soak\/(kept\.txt|kept \(conflict .*\)\.txt|sed\w{6})$/);
    }
  });
});

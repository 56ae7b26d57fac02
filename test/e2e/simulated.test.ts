import { expect, test } from "vitest";
import { connectOfficial } from "../support/mcp-clients.ts";
import { startSuite } from "../support/suite.ts";

const REASON = "It was asked for by --driver simulated; leave that out for real sandboxes.";

test("npm start -- --driver simulated names the simulated shell, and every tool of the sandbox works on it or says why not", async () => {
  await using suite = await startSuite(["--driver", "simulated"]);
  expect(suite.output()).toMatch(/^ {2}sandbox +simulated \(just-bash; It was asked for by --driver simulated;.*\)$/m);
  await using client = await connectOfficial(new URL("/mcp", suite.url), await suite.token(), "modern");
  const call = async (name: string, input: Record<string, unknown>) => await client.callTool(name, input);
  const say = async (name: string, input: Record<string, unknown>): Promise<string> => {
    const [first] = (await call(name, input)).content;
    return first?.text ?? "";
  };

  await call("files_write", { path: "in.csv", content: "b,2\na,1\n" });
  expect(
    (await call("sandbox_exec", { command: "sort files/in.csv | tee files/out.csv; exit 3" })).structuredContent,
  ).toMatchObject({ stdout: "a,1\nb,2\n", exit_code: 3 });
  expect(await say("files_read", { path: "out.csv" })).toContain("a,1\nb,2");
  await call("sandbox_write", { path: "src/a.js", content: "const needle = 1;\n" });
  expect(await say("sandbox_edit", { path: "src/a.js", old: "= 1", new: "= 2" })).toContain("+const needle = 2;");
  expect(await say("sandbox_read", { path: "src/a.js" })).toContain("const needle = 2;");
  expect(await say("sandbox_search", { query: "need+le" })).toBe("src/a.js:1:const needle = 2;\n");
  expect(await say("sandbox_search", { query: "*.js", in: "names" })).toBe("src/a.js\n");
  expect(await say("sandbox_search", { query: "(" })).toMatch(/^invalid_input: ripgrep could not search/);
  expect((await call("sandbox_status", {})).structuredContent).toMatchObject({
    driver: "simulated",
    state: "running",
    cost_usd: 0,
    note: expect.stringMatching(/no native programs \(git, node, python\).*It was asked for by --driver simulated/),
  });
  expect(await say("interpreter_run", { code: "1", language: "python" })).toBe(
    `unavailable: Code contexts are beyond the simulated shell. ${REASON}`,
  );
  expect(await say("sandbox_expose", { port: 8000 })).toBe(
    `unavailable: Ports are beyond the simulated shell. ${REASON}`,
  );
  expect((await call("sandbox_reset", {})).structuredContent).toMatchObject({ reset: true });
  expect(await say("sandbox_exec", { command: "ls; cat files/out.csv" })).toContain("files\\na,1");
});

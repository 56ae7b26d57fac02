import { expect, test } from "vitest";
import { interpreterServer } from "../../servers/interpreter/index.ts";
import { sandboxServer } from "../../servers/sandbox/index.ts";
import { cursorOf, parseCursor, parseProcessHandle, processHandle } from "../../servers/sandbox/process-answer.ts";
import { sandboxSend, sandboxWait } from "../../servers/sandbox/processes.ts";
import { drawTree } from "../../servers/sandbox/tree.ts";
import { listedTokens } from "../support/listed-tokens.ts";

test("sandbox and interpreter take eleven and two tools, and 1,600 tokens together, at the most", () => {
  expect(sandboxServer.tools.length).toBeLessThanOrEqual(11);
  expect(interpreterServer.tools.length).toBeLessThanOrEqual(2);
  expect(listedTokens(sandboxServer, interpreterServer)).toBeLessThanOrEqual(1_600);
});

test("a process's handle and a cursor come back as they were given out", () => {
  expect(parseProcessHandle(processHandle("build-1", "0af3"))).toEqual({ sandbox: "build-1", processId: "0af3" });
  const captured = { text: "", isCut: false };
  const cursor = cursorOf({ stdout: { ...captured, totalBytes: 12 }, stderr: { ...captured, totalBytes: 3 } });
  expect(parseCursor(cursor)).toEqual({ stdout: 12, stderr: 3 });
});

test.each(["", "main", "main:", ":0af3", "a/b:0af3", "main:0af3:1"])("%j is no process", (handle) => {
  expect(() => parseProcessHandle(handle)).toThrow("There is no such process");
});

test.each(["", "12", "-1.0", "1.2.3", "1e3.0", "9999999999999999.0"])("%j is no cursor", (cursor) => {
  expect(() => parseCursor(cursor)).toThrow("That is no cursor");
});

test.each([
  { tool: sandboxWait, input: { process_id: "main:1", wait_ms: 50_001 } },
  { tool: sandboxWait, input: { process_id: "main:1", port: 0 } },
  { tool: sandboxSend, input: { process_id: "main:1", signal: "SIGSTOP" } },
])("$tool.name refuses $input", ({ tool, input }) => {
  expect(tool.input.safeParse(input).success).toBe(false);
});

test("paths are drawn as a tree, folders first", () => {
  expect(drawTree(["b.txt", "a/one.ts", "a/deep/two.ts", "a/deep/three.ts", ""], 1_000)).toBe(
    ["a/", "  deep/", "    two.ts", "    three.ts", "  one.ts", "b.txt"].join("\n"),
  );
});

test("a tree that is too long is drawn less deep, with numbers of files in place of names", () => {
  const paths = Array.from({ length: 100 }, (_, index) => `src/${index % 2 === 0 ? "even" : "odd"}/${index}.ts`);
  expect(drawTree([...paths, "src/alone/x.ts", "README.md"], 100)).toBe(
    ["src/", "  even/ (50 files)", "  odd/ (50 files)", "  alone/ (1 file)", "README.md"].join("\n"),
  );
});

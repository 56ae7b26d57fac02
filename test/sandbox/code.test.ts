import { afterAll, beforeAll, expect, test } from "vitest";
import { type LocalSandboxes, runCode, startLocalSandboxes } from "./local-sandboxes.ts";

let sandboxes: LocalSandboxes;
beforeAll(async () => {
  sandboxes = await startLocalSandboxes();
});
afterAll(async () => {
  await sandboxes[Symbol.asyncDispose]();
});

test("python starts without a shell's completion and terminal, and code that imports them finds them", async () => {
  const sandbox = sandboxes.open();
  const loaded = await runCode(sandbox, "import sys; [name in sys.modules for name in ('jedi', 'prompt_toolkit')]");
  expect(loaded.results).toEqual([{ text: "[False, False]" }]);
  const found = await runCode(sandbox, "import jedi; from IPython.terminal.embed import embed; callable(embed)");
  expect([found.error, found.results]).toEqual([undefined, [{ text: "True" }]]);
});

test("javascript imports in every way that people write it, and leaves texts about it alone", async () => {
  const sandbox = sandboxes.open();
  await sandbox.writeFile("mine.mjs", new TextEncoder().encode("export default 1; export const two = 2;"));
  await sandbox.writeFile("node_modules/pack/package.json", new TextEncoder().encode('{"main":"index.js"}'));
  await sandbox.writeFile("node_modules/pack/index.js", new TextEncoder().encode("module.exports = { packed: true };"));
  const cases: readonly (readonly [code: string, text: string])[] = [
    ["import path from 'node:path'; path.sep", "'/'"],
    ["import { join as j, sep } from \"path\"\nj('a', sep)", "'a/'"],
    ["import * as os from 'os'; os.platform()", "'linux'"],
    ["import one, { two } from './mine.mjs'; one + two", "3"],
    ["import one, * as all from './mine.mjs'; one + all.two", "3"],
    ["import './mine.mjs'; 4", "4"],
    ["const { packed } = (await import('pack')).default; packed", "true"],
    ["require('pack')", "{ packed: true }"],
    ["(await import(/* why */ 'node:fs')).existsSync('/workspace')", "true"],
    ["`${'import(1)'} import ${(await import('os')).platform()} import('x')`", `"import(1) import linux import('x')"`],
    ["// import('x')\n/import('a')/.source + \"import('b')\"", `"import('a')import('b')"`],
    ["const a = 8, g = 2; a / g / 1 + ' import(1) /'", "'4 import(1) /'"],
    ["({ import: 5 }).import", "5"],
  ];
  for (const [code, text] of cases) {
    const result = await runCode(sandbox, code, { language: "javascript" });
    expect([result.error, result.results], code).toEqual([undefined, [{ text }]]);
  }
});

test("javascript shows values of every kind, and errors thrown late do not end it", async () => {
  const sandbox = sandboxes.open();
  const cases: readonly (readonly [code: string, text: string | undefined])[] = [
    ["NaN", "NaN"],
    ["-0", "-0"],
    ["10n", "10n"],
    ["Symbol('s')", "Symbol(s)"],
    ["null", "null"],
    ["undefined", undefined],
    ["let quiet = 1", undefined],
    ["({ a: [1, new Map([[1, 2]])] })", "{ a: [ 1, Map(1) { 1 => 2 } ] }"],
    ["{ a: 1 }", "1"],
    ["class K { x = 1 }; new K()", "K { x: 1 }"],
    ["const quiet2 = 1; function f() { return 3 } f()", "3"],
    ["new Proxy({}, { get() { throw new Error('trap') } })", "{}"],
  ];
  for (const [code, text] of cases) {
    const result = await runCode(sandbox, code, { language: "javascript" });
    expect([result.error, result.results], code).toEqual([undefined, text === undefined ? [] : [{ text }]]);
  }
  const late =
    "setTimeout(() => { throw new Error('late') }, 10); Promise.reject(new Error('rejected')); await new Promise((done) => setTimeout(done, 100)); 'on'";
  const result = await runCode(sandbox, late, { language: "javascript" });
  expect(result.results).toEqual([{ text: "'on'" }]);
  expect(result.stderr.text).toMatch(/rejected[^]*late/);
  expect((await runCode(sandbox, "throw 5", { language: "javascript" })).error).toMatchObject({
    name: "Thrown",
    message: "5",
  });
});

test("python shows every form that an object has", async () => {
  const sandbox = sandboxes.open();
  const code = `
from IPython.display import display, HTML, Markdown, Latex, SVG, JSON
class Rich:
    def __repr__(self): return "plain"
    def _repr_html_(self): return "<b>rich</b>"
    def _repr_latex_(self): return "$x$"
display(Markdown("# head"), Latex("$y$"), JSON({"a": [1]}))
display(SVG("<svg xmlns='http://www.w3.org/2000/svg'/>"))
Rich()`;
  const { results, error } = await runCode(sandbox, code);
  expect(error).toBeUndefined();
  expect(results).toEqual([
    { text: expect.any(String), markdown: "# head" },
    { text: expect.any(String), latex: "$y$" },
    { text: expect.any(String), json: '{"a": [1]}' },
    { text: expect.any(String), svg: expect.stringContaining("<svg") },
    { text: "plain", html: "<b>rich</b>", latex: "$x$" },
  ]);
});

test("python awaits at the top, runs magics, forks without echo and goes on after exit()", async () => {
  const sandbox = sandboxes.open();
  expect((await runCode(sandbox, "import asyncio\nawait asyncio.sleep(0.01)\n'awaited'")).results).toEqual([
    { text: "'awaited'" },
  ]);
  expect((await runCode(sandbox, "!echo from the shell")).stdout.text).toBe("from the shell\n");
  const forked = await runCode(
    sandbox,
    "import os\nif os.fork() == 0:\n  print('child')\nelse:\n  os.wait(); print('parent')\n'value'",
  );
  expect([forked.stdout.text, forked.results]).toEqual(["child\nparent\n", [{ text: "'value'" }]]);
  expect((await runCode(sandbox, "kept = 1\nexit(3)")).error).toMatchObject({ name: "SystemExit", message: "3" });
  expect((await runCode(sandbox, "kept")).results).toEqual([{ text: "1" }]);
  expect((await runCode(sandbox, "input()")).error?.name).toBe("EOFError");
  expect(
    (await runCode(sandbox, "from multiprocessing import Pool\nwith Pool(2) as p: print(p.map(abs, [-1, -2]))")).stdout
      .text,
  ).toBe("[1, 2]\n");
});

test("an interrupted await does not go on beside the next run", async () => {
  const sandbox = sandboxes.open();
  const endless = "import asyncio\nwhile True:\n  await asyncio.sleep(0.05)\n  print('tick')";
  expect((await runCode(sandbox, endless, { timeoutMs: 300 })).error?.name).toBe("Interrupted");
  expect((await runCode(sandbox, "await asyncio.sleep(0.3)\n'calm'")).stdout.text).toBe("");
});

test("a cancelled run is stopped and its context goes on", async () => {
  const sandbox = sandboxes.open();
  await runCode(sandbox, "kept = 1");
  const abort = new AbortController();
  const code = {
    code: "import time; time.sleep(60)",
    language: "python",
    context: "main",
    timeoutMs: 60_000,
    maxChars: 100,
  } as const;
  const call = sandbox.runCode(code, { signal: abort.signal });
  setTimeout(() => abort.abort(), 300);
  await expect(call).rejects.toMatchObject({ code: "cancelled" });
  const startedMs = performance.now();
  expect((await runCode(sandbox, "kept")).results).toEqual([{ text: "1" }]);
  expect(performance.now() - startedMs).toBeLessThan(5_000);
});

test("more results, and larger ones, than fit are left out, and it is said", async () => {
  const sandbox = sandboxes.open();
  const many = await runCode(sandbox, "for i in range(150): display(i)");
  expect(many.results).toHaveLength(101);
  expect(many.results.at(-1)).toEqual({ text: "50 more results were left out." });
  const large = await runCode(sandbox, "class Big:\n  def __repr__(self): return 'x' * 3_000_000\nBig()");
  expect(large.results[0]?.text?.length).toBe(1_000_000);
});

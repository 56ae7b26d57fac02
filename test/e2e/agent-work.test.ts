import { afterAll, beforeAll, expect, test } from "vitest";
import { type ToolAnswer, type ToolClient, connectOfficial, textOf } from "../support/mcp-clients.ts";
import { sharedSuite } from "../support/suite.ts";

/* What an agent does all day, by tools alone: clone, install, see a test fail, mend the code, see it pass, commit. */

const suite = sharedSuite();
const sandbox = "agent-work";
let client: ToolClient;

beforeAll(async () => {
  client = await connectOfficial(new URL("/mcp", suite.url), await suite.token(), "modern");
});

afterAll(async () => await client[Symbol.asyncDispose]());

async function call(name: string, input: Record<string, unknown>): Promise<ToolAnswer> {
  const answer = await client.callTool(name, { ...input, sandbox });
  expect(answer, textOf(answer)).toMatchObject({ isError: false });
  return answer;
}

async function exec(command: string, cwd = "/workspace"): Promise<Record<string, unknown>> {
  return (await call("sandbox_exec", { command, cwd, wait_ms: 50_000 })).structuredContent ?? {};
}

/** A repository with a package of its own beside it, which the project depends on; its addition is wrong. */
async function publishProject(): Promise<void> {
  const files = {
    "adder/package.json": '{"name": "adder", "version": "1.0.0", "main": "index.js"}\n',
    "adder/index.js": "module.exports = (a, b) => a - b;\n",
    "shop/package.json":
      '{"name": "shop", "version": "1.0.0", "scripts": {"test": "node --test"}, "dependencies": {"adder": "file:../adder"}}\n',
    "shop/.gitignore": "node_modules\n",
    "shop/total.js":
      'const add = require("adder");\n\n// The sum of all prices.\nexports.total = (prices) => prices.slice(1).reduce(add, 0);\n',
    "shop/total.test.js":
      'const { test } = require("node:test");\nconst assert = require("node:assert");\nconst { total } = require("./total.js");\n\ntest("prices are added up", () => assert.equal(total([1, 2, 4]), 7));\n',
  };
  for (const [path, content] of Object.entries(files)) await call("sandbox_write", { path: `seed/${path}`, content });
  const { exit_code: exitCode } = await exec(
    "git init -q && git add . && git commit -qm 'A shop' && git clone -q --bare . /workspace/shop.git",
    "/workspace/seed",
  );
  expect(exitCode).toBe(0);
}

test(
  "an agent clones a repository, installs a package, and makes its failing test pass",
  { timeout: 120_000 },
  async () => {
    await publishProject();
    expect(await exec("git clone -q shop.git work")).toMatchObject({ exit_code: 0 });
    expect(textOf(await call("sandbox_read", { path: "work" }))).toBe(
      [
        "work:",
        ...["adder/", "  index.js", "  package.json"],
        ...["shop/", "  .gitignore", "  package.json", "  total.js", "  total.test.js"],
      ].join("\n"),
    );

    expect(await exec("npm install --no-audit --no-fund", "work/shop")).toMatchObject({ exit_code: 0 });
    const failing = await exec("npm test", "work/shop");
    expect(failing).toMatchObject({ exit_code: 1 });
    expect(failing["stdout"]).toMatch(/✖ prices are added up/);

    expect(textOf(await call("sandbox_search", { query: "reduce\\(", path: "work" }))).toBe(
      "work/shop/total.js:4:exports.total = (prices) => prices.slice(1).reduce(add, 0);\n",
    );
    const diff = textOf(
      await call("sandbox_edit", { path: "work/shop/total.js", old: "prices.slice(1).reduce", new: "prices.reduce" }),
    );
    expect(diff).toContain("-exports.total = (prices) => prices.slice(1).reduce(add, 0);\n");
    expect(diff).toContain("+exports.total = (prices) => prices.reduce(add, 0);\n");
    await call("sandbox_edit", { path: "work/adder/index.js", old: "a - b", new: "a + b" });

    const passing = await exec("npm test", "work/shop");
    expect(passing).toMatchObject({ exit_code: 0 });
    expect(passing["stdout"]).toMatch(/✔ prices are added up/);
    expect(
      await exec("git add -A && git commit -qm 'Add up all prices' && git push -q && git status --short", "work"),
    ).toMatchObject({
      exit_code: 0,
      stdout: "",
    });
    expect((await exec("git --git-dir shop.git log --format=%s"))["stdout"]).toBe("Add up all prices\nA shop\n");
  },
);

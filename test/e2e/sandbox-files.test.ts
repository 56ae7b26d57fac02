import { Client, StreamableHTTPClientTransport } from "@modelcontextprotocol/client";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { sharedSuite } from "../support/suite.ts";

const suite = sharedSuite();
const SANDBOX = "files-of-tools";
let client: Client;

beforeAll(async () => {
  client = new Client({ name: "sandbox-files-test", version: "1.0.0" });
  const requestInit = { headers: { Authorization: `Bearer ${await suite.token()}` } };
  await client.connect(new StreamableHTTPClientTransport(new URL("/mcp/sandbox", suite.url), { requestInit }));
});

afterAll(async () => await client.close());

async function call(name: string, input: Readonly<Record<string, unknown>>) {
  return await client.callTool({ name, arguments: { ...input, sandbox: SANDBOX } });
}

/** The first text of a result. */
async function say(name: string, input: Readonly<Record<string, unknown>>): Promise<string> {
  const { content } = await call(name, input);
  const [first] = content;
  if (first?.type !== "text") throw new Error(`${name} answered without a text.`);
  return first.text;
}

describe("files of the sandbox", () => {
  test("a file is written, read by lines, and seen by a command", async () => {
    await call("sandbox_write", { path: "src/a.txt", content: "one\ntwo\nthree\nvier ü\n" });
    expect(await say("sandbox_read", { path: "src/a.txt", from: 2, lines: 2 })).toBe(
      "src/a.txt: lines 2-3 of 4; go on from 4\ntwo\nthree",
    );
    expect(await say("sandbox_exec", { command: "tail -n 1 src/a.txt" })).toContain("vier ü");
  });

  test("an edit answers with a unified diff and leaves the rest as it is", async () => {
    await call("sandbox_write", { path: "edit.txt", content: "a\r\nb\r\nc\r\n" });
    const diff = await say("sandbox_edit", { path: "edit.txt", old: "a\nb\n", new: "a\nB $& $1\n" });
    expect(diff).toContain("-b");
    expect(diff).toContain("+B $& $1");
    expect(await say("sandbox_exec", { command: "od -c edit.txt | head -n 1 | tr -s ' '" })).toContain(
      "a \\\\r \\\\n B $ & $ 1 \\\\r \\\\n c",
    );
  });

  test("an edit whose text is not there once changes nothing and says what to do", async () => {
    await call("sandbox_write", { path: "twice.txt", content: "x = 1\nx = 1\n" });
    expect(await say("sandbox_edit", { path: "twice.txt", old: "x = 1", new: "x = 2" })).toMatch(
      /^conflict: The old text is 2 times/,
    );
    expect(await say("sandbox_edit", { path: "twice.txt", old: "y", new: "z" })).toMatch(/^not_found: /);
    expect(await say("sandbox_read", { path: "twice.txt" })).toContain("x = 1\nx = 1");
    await call("sandbox_edit", { path: "twice.txt", old: "x = 1", new: "x = 2", all: true });
    expect(await say("sandbox_read", { path: "twice.txt" })).toContain("x = 2\nx = 2");
  });

  test("text in another encoding is read, bytes are linked, and a picture is shown", async () => {
    await say("sandbox_exec", {
      command:
        "printf 'gr\\xfc\\xdfe' > old.txt; printf 'h\\0i\\0' | sed 's/^/\\xff\\xfe/' > wide.txt; head -c 9 /dev/zero > raw.bin",
    });
    expect(await say("sandbox_read", { path: "old.txt" })).toBe("old.txt: lines 1-1 of 1, read as windows-1252\ngrüße");
    expect(await say("sandbox_read", { path: "wide.txt" })).toBe("wide.txt: lines 1-1 of 1, read as utf-16le\nhi");
    const raw = await call("sandbox_read", { path: "raw.bin" });
    expect(raw.content).toMatchObject([{ type: "text" }, { type: "resource_link", size: 9 }]);
    const pixel = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";
    await call("sandbox_write", { path: "dot.png", content: pixel, encoding: "base64" });
    expect((await call("sandbox_read", { path: "dot.png" })).content[1]).toEqual({
      type: "image",
      data: pixel,
      mimeType: "image/png",
    });
  });

  test("a search finds lines and names, passes over what git ignores, and runs nothing that it is given", async () => {
    await say("sandbox_exec", {
      command:
        "mkdir -p tree/out; cd tree; printf 'out\\nz.js\\n' > .gitignore; echo needle | tee out/x.js > z.js; echo 'a needle' > y.js",
    });
    expect(await say("sandbox_search", { query: "need+le", path: "tree" })).toBe("tree/y.js:1:a needle\n");
    expect(await say("sandbox_search", { query: "*.js", in: "names", path: "tree" })).toBe("tree/y.js\n");
    expect(await say("sandbox_search", { query: "$(touch run); `touch run`", path: "tree" })).toBe("Nothing found.");
    expect(await say("sandbox_read", { path: "run" })).toMatch(/^not_found: /);
    expect(await say("sandbox_search", { query: "(", path: "tree" })).toMatch(/^invalid_input: ripgrep could not/);
  });
});

import { Client, StreamableHTTPClientTransport } from "@modelcontextprotocol/client";
import { afterAll, beforeAll, expect, test } from "vitest";
import * as z from "zod";
import { type Era, type ToolAnswer, modeOf, textOf } from "../support/mcp-clients.ts";
import { sharedSuite } from "../support/suite.ts";

/* What a client does with its files in a day, and what another client finds of it. */

const suite = sharedSuite();
const answerSchema = z.object({
  content: z.array(z.looseObject({ type: z.string(), text: z.string().optional() })),
  structuredContent: z.record(z.string(), z.unknown()).optional(),
  isError: z.boolean().default(false),
});
const links = z.object({ id: z.string(), url: z.string() });
let client: Client;

async function connect(era: Era): Promise<Client> {
  const connecting = new Client(
    { name: "files-test", version: "1.0.0" },
    { versionNegotiation: { mode: modeOf(era) } },
  );
  const requestInit = { headers: { Authorization: `Bearer ${await suite.token()}` } };
  await connecting.connect(new StreamableHTTPClientTransport(new URL("/mcp", suite.url), { requestInit }));
  return connecting;
}

async function call(name: string, input: Readonly<Record<string, unknown>>): Promise<ToolAnswer> {
  const answer = answerSchema.parse(await client.callTool({ name, arguments: input }));
  expect(answer, textOf(answer)).toMatchObject({ isError: false });
  return answer;
}

async function data(name: string, input: Readonly<Record<string, unknown>>): Promise<unknown> {
  return (await call(name, input)).structuredContent;
}

async function say(name: string, input: Readonly<Record<string, unknown>>): Promise<string> {
  return textOf(await call(name, input));
}

beforeAll(async () => {
  client = await connect("modern");
});

afterAll(async () => await client.close());

test("a day's work: write, edit, copy, find, see it in the sandbox, lose it and get it back", async () => {
  await data("files_write", { path: "day/plan.md", content: "# Plan\n\n- buy tea\n- call Bo\n", create_only: true });
  expect(await say("files_edit", { path: "day/plan.md", old: "- buy tea", new: "- buy green tea" })).toMatch(
    /^-- buy tea\n\+- buy green tea$/m,
  );
  expect(await data("files_copy", { from: "day/", to: "archive/day/" })).toEqual({ done: 1 });
  expect(
    await data("sandbox_exec", { command: "cat files/archive/day/plan.md; echo from bash > files/day/new.txt" }),
  ).toMatchObject({
    stdout: "# Plan\n\n- buy green tea\n- call Bo\n",
  });
  expect(await data("files_list", { glob: "{day,archive}/**" })).toMatchObject({
    files: [{ path: "archive/day/plan.md" }, { path: "day/new.txt", size_bytes: 10 }, { path: "day/plan.md" }],
  });
  expect(await data("files_search", { query: "green TEA".toLowerCase(), glob: "{day,archive}/**" })).toEqual({
    matches: [
      { path: "archive/day/plan.md", line: 3, text: "- buy green tea" },
      { path: "day/plan.md", line: 3, text: "- buy green tea" },
    ],
  });
  expect(await data("files_move", { from: "day/new.txt", to: "day/old.txt" })).toEqual({ done: 1 });
  expect(await data("files_delete", { path: "day/" })).toEqual({ deleted: 2 });
  expect(await data("sandbox_exec", { command: "ls files/day" })).not.toMatchObject({
    stdout: expect.stringContaining("plan"),
  });
  expect(await data("files_list", { folder: "day", trash: true })).toMatchObject({
    trash: expect.arrayContaining([expect.objectContaining({ path: "day/plan.md", reason: "deleted" })]),
  });
  expect(await data("files_delete", { path: "day/", restore: true })).toEqual({
    restored: ["day/old.txt", "day/plan.md"],
  });
  expect(await say("files_read", { path: "day/plan.md", from: 3, lines: 1 })).toMatch(/\n- buy green tea$/);
  expect(await say("sandbox_exec", { command: "cat files/day/old.txt" })).toContain("from bash");
});

test("a chart from the interpreter is opened by the browser through a link, until that is revoked, and read by another client", async () => {
  const code = "import matplotlib.pyplot as plt\nplt.bar(['a', 'b'], [1, 2])\nplt.show()";
  const drawn = await call("interpreter_run", { code });
  const resource = z
    .object({ uri: z.string(), name: z.string(), mimeType: z.literal("image/png") })
    .parse(drawn.content.find(({ type }) => type === "resource_link"));

  const { id, url } = links.parse(await data("files_share", { path: resource.name }));
  expect(await data("files_share", {})).toMatchObject({
    links: expect.arrayContaining([expect.objectContaining({ id, purpose: "download", path: resource.name })]),
  });
  expect(JSON.stringify(await data("files_share", {}))).not.toContain(url);
  expect(await say("browser_open", { url, browser: "files" })).toMatch(/^http\S+\.png \(200\)\n/);
  const picture = await call("browser_screenshot", { browser: "files" });
  expect(picture.content.map(({ type }) => type)).toContain("image");

  const other = await connect("legacy");
  const { contents } = await other.readResource({ uri: resource.uri });
  const image = drawn.content.find(({ type }) => type === "image");
  // Python ends its base64 with a line break.
  const blob = z.string().parse(image?.["data"]).trimEnd();
  expect(contents.map((content) => ("blob" in content ? content.blob === blob : false))).toEqual([true]);
  await other.close();

  expect(await data("files_share", { revoke: url })).toMatchObject({ revoked: { id, path: resource.name } });
  expect((await fetch(url)).status).toBe(404);
});

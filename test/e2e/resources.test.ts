import { Client, StreamableHTTPClientTransport } from "@modelcontextprotocol/client";
import { Client as OldClient } from "@modelcontextprotocol/sdk/client/index.js";
import { StreamableHTTPClientTransport as OldTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";
import { describe, expect, test } from "vitest";
import * as z from "zod";
import { type BooksRow, readBooks } from "../support/books.ts";
import { type Era, modeOf } from "../support/mcp-clients.ts";
import { sharedSuite } from "../support/suite.ts";

const suite = sharedSuite();
const INFO = { name: "resources-test", version: "1.0.0" };

async function bearing(scopes: readonly string[]): Promise<{ requestInit: { headers: Record<string, string> } }> {
  return { requestInit: { headers: { Authorization: `Bearer ${await suite.token(scopes)}` } } };
}

async function connect(scopes: readonly string[], era: Era = "modern", server = "files"): Promise<Client> {
  const client = new Client(INFO, { versionNegotiation: { mode: modeOf(era) } });
  const mcpUrl = new URL(`/mcp/${server}`, suite.url);
  await client.connect(new StreamableHTTPClientTransport(mcpUrl, await bearing(scopes)));
  return client;
}

/** The client of the first SDK. */
async function connectOld(scopes: readonly string[]): Promise<OldClient> {
  const client = new OldClient(INFO);
  await client.connect(new OldTransport(new URL("/mcp/files", suite.url), await bearing(scopes)));
  return client;
}

const usageSchema = z.object({
  day: z.iso.date(),
  resets_at: z.iso.datetime(),
  calls: z.int(),
  failed: z.int(),
  usd: z.number(),
  tokens: z.object({ input: z.int(), output: z.int() }),
  by_server: z.record(z.string(), z.object({ calls: z.int(), usd: z.number() })),
  limits: z.record(z.string(), z.object({ limit: z.number(), used: z.number(), left: z.number() }).partial()),
  refused: z.record(z.string(), z.int()),
  who_can_raise: z.string(),
});

test.each([
  ["files", ["files:read"], "modern"],
  ["browser", ["browser:read"], "modern"],
  ["delegate", ["delegate:run"], "legacy"],
] as const)("on the %s endpoint a client reads what its person has used of the day", async (server, scopes, era) => {
  const client = await connect(scopes, era, server);
  const uri = "account://usage";
  expect((await client.listResources()).resources).toContainEqual(
    expect.objectContaining({ uri, name: "usage", mimeType: "application/json" }),
  );
  const read = async () => {
    const [content] = (await client.readResource({ uri })).contents;
    return usageSchema.parse(JSON.parse(content !== undefined && "text" in content ? content.text : ""));
  };
  const before = await read();
  expect(Date.parse(before.resets_at) - Date.parse(before.day)).toBe(24 * 60 * 60 * 1_000);
  expect(before.limits["calls_per_minute"]).toEqual({});
  expect(before.limits["storage_mb"]?.limit).toBe(10_240);
  expect(before.limits["usd_per_day"]).toEqual({ used: 0 });
  expect(before.who_can_raise).toBe(`An admin, at ${suite.url}/admin/limits.`);
  // Other tests are at work for the same person.
  await expect.poll(async () => (await read()).by_server["account"]?.calls).toBeGreaterThan(0);
  await client.close();
});

test("a file that a tool wrote is listed and read as a resource, text as text and bytes as base64", async () => {
  const client = await connect(["files:read", "files:write"]);
  await client.callTool({ name: "files_write", arguments: { path: "resources/ä b.md", content: "# Hello" } });
  await client.callTool({
    name: "files_write",
    arguments: { path: "resources/data.bin", content: "AAEC", encoding: "base64" },
  });
  const { resources } = await client.listResources();
  expect(resources.filter(({ name }) => name.startsWith("resources/"))).toEqual([
    { uri: "files:///resources/data.bin", name: "resources/data.bin", mimeType: "application/octet-stream", size: 3 },
    { uri: "files:///resources/%C3%A4%20b.md", name: "resources/ä b.md", mimeType: "text/markdown", size: 7 },
  ]);
  expect((await client.readResource({ uri: "files:///resources/%C3%A4%20b.md" })).contents).toEqual([
    { uri: "files:///resources/%C3%A4%20b.md", mimeType: "text/markdown", text: "# Hello" },
  ]);
  expect((await client.readResource({ uri: "files:///resources/data.bin" })).contents).toEqual([
    { uri: "files:///resources/data.bin", mimeType: "application/octet-stream", blob: "AAEC" },
  ]);
  await client.close();
});

test.each(["files:///no/such/file", "files:///../../etc/passwd", "files:///%00", "file:///etc/passwd", "files:///%"])(
  "the resource %s does not exist",
  async (uri) => {
    const client = await connect(["files:read"]);
    await expect(client.readResource({ uri })).rejects.toMatchObject({ code: -32602 });
    await client.close();
  },
);

test("without files:read nothing is listed, and a read is refused and left in the books", async () => {
  // The suite's other tests are in the same books; none of them is refused a resource.
  const refusals = (): BooksRow[] =>
    readBooks(suite.dataDir).filter(({ tool, outcome }) => tool === "resources/read" && outcome === "forbidden");
  const client = await connect(["browser:read"]);
  const uris = (await client.listResources()).resources.map(({ uri }) => uri);
  expect(uris).toEqual(["account://usage", "skill://pincer-files/SKILL.md"]);
  await expect(client.readResource({ uri: "files:///resources/data.bin" })).rejects.toThrow(/files:read/);
  await client.close();
  await expect.poll(refusals).toMatchObject([{ costs: 1 }]);
});

describe.each([
  ["a client of the new era", async (scopes: readonly string[]) => await connect(scopes, "modern")],
  ["a client of the old era", async (scopes: readonly string[]) => await connect(scopes, "legacy")],
  ["the client of the first SDK", connectOld],
])("%s", (name, open) => {
  test("completes a path step by step and reads what it comes to", async () => {
    const folder = `completion/${name.replaceAll(" ", "-")}`;
    const client = await open(["files:read", "files:write"]);
    await client.callTool({ name: "files_write", arguments: { path: `${folder}/ä b.md`, content: "found" } });
    const { resourceTemplates } = await client.listResourceTemplates();
    expect(resourceTemplates.map(({ uriTemplate }) => uriTemplate)).toEqual([
      "files:///{+path}",
      "skill://{name}/{+path}",
    ]);
    const [{ uriTemplate } = { uriTemplate: "" }] = resourceTemplates;
    const complete = async (value: string) =>
      (await client.complete({ ref: { type: "ref/resource", uri: uriTemplate }, argument: { name: "path", value } }))
        .completion;
    expect(await complete("compl")).toEqual({ values: ["completion/"], hasMore: false });
    expect(await complete(folder)).toEqual({ values: [`${folder}/`], hasMore: false });
    expect(await complete(`${folder}/`)).toEqual({ values: [`${folder}/ä b.md`], hasMore: false });
    expect(await complete("../")).toEqual({ values: [], hasMore: false });
    const uri = encodeURI(uriTemplate.replace("{+path}", `${folder}/ä b.md`));
    expect((await client.readResource({ uri })).contents).toMatchObject([{ text: "found" }]);
    await client.close();
  });

  test("finds the suite's skills and the person's own as prompts and as resources", async () => {
    const skill = `own-${name.replaceAll(" ", "-").toLowerCase()}`;
    const text = `---\nname: ${skill}\ndescription: Of ${name}\n---\n\nDo as ${name} does.\n`;
    const client = await open(["files:read", "files:write"]);
    await client.callTool({ name: "files_write", arguments: { path: `skills/${skill}/SKILL.md`, content: text } });
    const { prompts } = await client.listPrompts();
    expect(prompts).toContainEqual(expect.objectContaining({ name: skill, description: `Of ${name}` }));
    expect(prompts.map((prompt) => prompt.name)).toContain("pincer-files");
    expect(JSON.stringify((await client.getPrompt({ name: skill })).messages)).toContain(`Do as ${name} does.`);
    const uri = `skill://${skill}/SKILL.md`;
    const { resources } = await client.listResources();
    expect(resources).toContainEqual({ uri, name: skill, description: `Of ${name}`, mimeType: "text/markdown" });
    expect((await client.readResource({ uri })).contents).toEqual([{ uri, mimeType: "text/markdown", text }]);
    const ours = await client.readResource({ uri: "skill://pincer-files/SKILL.md" });
    expect(JSON.stringify(ours.contents)).toContain("# Files and share links");
    const ref = { type: "ref/resource", uri: "skill://{name}/{+path}" } as const;
    const names = await client.complete({ ref, argument: { name: "name", value: skill } });
    expect(names.completion.values).toEqual([skill]);
    const context = { arguments: { name: skill } };
    const paths = await client.complete({ ref, argument: { name: "path", value: "" }, context });
    expect(paths.completion.values).toEqual(["SKILL.md"]);
    await client.close();
  });

  test("is told by a prompt how to use the memory and what is in it", async () => {
    const note = `memory/of ${name}.md`;
    const client = await open(["files:read", "files:write"]);
    await client.callTool({ name: "files_write", arguments: { path: note, content: `Written by ${name}.` } });
    expect((await client.listPrompts()).prompts.map(({ name }) => name)).toContain("memory");
    const { messages } = await client.getPrompt({ name: "memory" });
    expect(messages).toHaveLength(1);
    expect(JSON.stringify(messages)).toContain(
      JSON.stringify(JSON.stringify({ path: note, text: `Written by ${name}.` })).slice(1, -1),
    );
    expect(client.getInstructions()).toContain("memory/");
    await expect(client.getPrompt({ name: "other" })).rejects.toMatchObject({ code: -32602 });
    await client.close();
  });
});

test("without files:read there is no memory and no path completes, and another server has neither", async () => {
  const client = await connect(["browser:read"]);
  expect((await client.listPrompts()).prompts.map(({ name }) => name)).toEqual(["pincer-files"]);
  await expect(client.getPrompt({ name: "memory" })).rejects.toThrow(/files:read/);
  const ref = { type: "ref/resource", uri: "files:///{+path}" } as const;
  const { completion } = await client.complete({ ref, argument: { name: "path", value: "" } });
  expect(completion.values).toEqual([]);
  await client.close();
  const browser = await connect(["files:read", "browser:read"], "modern", "browser");
  expect((await browser.listPrompts()).prompts.map(({ name }) => name)).toEqual(["pincer-browser"]);
  const { resourceTemplates } = await browser.listResourceTemplates();
  expect(resourceTemplates.map(({ uriTemplate }) => uriTemplate)).toEqual(["skill://{name}/{+path}"]);
  await expect(browser.readResource({ uri: "files:///resources/data.bin" })).rejects.toMatchObject({ code: -32602 });
  await browser.close();
});

test("a resource too large to hold is refused with what to do instead", async () => {
  const client = await connect(["files:read", "files:write"]);
  const content = "x".repeat(9 * 1024 * 1024);
  await client.callTool({ name: "files_write", arguments: { path: "resources/large.txt", content } });
  await expect(client.readResource({ uri: "files:///resources/large.txt" })).rejects.toThrow(/too_large.*files_read/);
  await client.callTool({ name: "files_write", arguments: { path: "resources/large.txt", content: "" } });
  await client.close();
});

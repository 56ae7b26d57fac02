import { Client, StreamableHTTPClientTransport } from "@modelcontextprotocol/client";
import { expect, test } from "vitest";
import { type BooksRow, readBooks } from "../support/books.ts";
import { sharedSuite } from "../support/suite.ts";

const suite = sharedSuite();

async function connect(scopes: readonly string[]): Promise<Client> {
  const client = new Client({ name: "resources-test", version: "1.0.0" });
  const requestInit = { headers: { Authorization: `Bearer ${await suite.token(scopes)}` } };
  await client.connect(new StreamableHTTPClientTransport(new URL("/mcp/files", suite.url), { requestInit }));
  return client;
}

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
  expect((await client.listResources()).resources).toEqual([]);
  await expect(client.readResource({ uri: "files:///resources/data.bin" })).rejects.toThrow(/files:read/);
  await client.close();
  await expect.poll(refusals).toMatchObject([{ costs: 1 }]);
});

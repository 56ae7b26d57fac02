import { text } from "node:stream/consumers";
import { Client, StreamableHTTPClientTransport } from "@modelcontextprotocol/client";
import { expect, test } from "vitest";
import * as z from "zod";
import { serveSite } from "../browser/pages.ts";
import { refOf } from "../browser/visitor.ts";
import { startSuite } from "../support/suite.ts";

/* What clients do with one browser through the whole suite: they share its page, and files go in and out of it. */

const answerSchema = z.object({
  content: z.array(z.looseObject({ type: z.string(), text: z.string().optional(), uri: z.string().optional() })),
  isError: z.boolean().default(false),
});

test("a page is opened by one client and used by another, with files of theirs that go in and come out", async () => {
  await using site = await serveSite("127.0.0.1", {
    "/": `<title>Archive</title><h1>Send in</h1><form method="post" action="/sent" enctype="multipart/form-data">
      <label>Title <input name="title"></label><label>Report <input type="file" name="report"></label>
      <button>Send</button></form>`,
    "/sent": async (request, response) => {
      const sent = await text(request);
      const title = /name="title"\r\n\r\n(.*)\r\n/.exec(sent)?.[1] ?? "nothing";
      const isWhole = sent.includes('filename="report.csv"') && sent.includes("\r\n\r\na,b\n1,2\n\r\n");
      response.writeHead(200, { "Content-Type": "text/html" });
      response.end(
        `<title>Sent</title><p>Took ${title}, ${isWhole ? "whole" : "in pieces"}</p><a href="/receipt">Receipt</a>`,
      );
    },
    "/receipt": (_request, response) =>
      response
        .writeHead(200, { "Content-Type": "text/plain", "Content-Disposition": "attachment; filename=receipt.txt" })
        .end("received with thanks"),
  });
  await using suite = await startSuite(["--allow-host", site.host]);
  const requestInit = { headers: { Authorization: `Bearer ${await suite.token()}` } };
  const connect = async (): Promise<Client> => {
    const client = new Client({ name: "browser-test", version: "1.0.0" });
    await client.connect(new StreamableHTTPClientTransport(new URL("/mcp", suite.url), { requestInit }));
    return client;
  };
  const call = async (client: Client, name: string, input: Readonly<Record<string, unknown>>) => {
    const answer = answerSchema.parse(await client.callTool({ name, arguments: input }));
    const said = answer.content.map((part) => part.text ?? part.uri ?? "").join("\n");
    expect(answer, said).toMatchObject({ isError: false });
    return said;
  };
  const [first, second] = [await connect(), await connect()];

  await call(first, "sandbox_exec", { command: "printf 'a,b\\n1,2\\n' > files/report.csv" });
  const page = await call(first, "browser_open", { url: `${site.origin}/` });
  const fields = [
    { ref: refOf(page, 'textbox "Title"'), value: "Numbers" },
    { ref: refOf(page, 'button "Report'), value: "report.csv" },
  ];
  expect(await call(second, "browser_fill", { fields })).toContain('textbox "Title" = "Numbers"');
  const sent = await call(second, "browser_click", { ref: refOf(page, 'button "Send"') });
  expect(sent).toContain("Took Numbers, whole");

  const kept = await call(first, "browser_click", { ref: refOf(sent, 'link "Receipt"') });
  expect(kept).toMatch(/untrusted data:\ndownload, kept as artifacts\/\S+receipt\.txt$/m);
  const uri = /files:\/\/\/(artifacts\/\S+receipt\.txt)/.exec(kept)?.[1] ?? "";
  expect(await call(second, "sandbox_exec", { command: `cat files/${uri}` })).toContain("received with thanks");
  expect(await call(first, "browser_snapshot", {})).toContain("Took Numbers");
  await first.close();
  await second.close();
});

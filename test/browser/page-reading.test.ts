import type { Frame, Page } from "@cloudflare/puppeteer";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { PageLog } from "../../servers/browser/reading/page-log.ts";
import { type ReadingRequest, readPage } from "../../servers/browser/reading/page-reading.ts";
import { documentIdOf, handleOf } from "../../servers/browser/chrome/puppeteer-internals.ts";
import { RefBook } from "../../servers/browser/snapshot/ref-book.ts";
import { type DrivenChrome, driveChrome } from "./driven-chrome.ts";
import { type Site, serveSite } from "./pages.ts";

let chrome: DrivenChrome;
let near: Site;
let far: Site;
beforeAll(async () => {
  chrome = await driveChrome();
  far = await serveSite("localhost", { "/inner": `<p>Far <a href="deep">away</a></p>` });
  near = await serveSite("127.0.0.1", {
    "/article": `<title>Tea</title><style>.hid { display: none }</style><header><a href="/">Home</a> <a href="#top">Top</a></header>
      <h1>All about <em>tea</em></h1><p>Made of <b> leaves </b>and
      <a href="/water?x=1">hot water</a>.<br>Second line with <code>sips(3)</code> and <a href="${far.origin}/x">more</a>.</p>
      <h2></h2><ul><li>green<li>black<ul><li>Assam<li><p>Ceylon</p><p>strong</p></ul></ul><ol start="3"><li>boil<li>pour</ol>
      <pre><code class="language-js">const tea = [e1];

  drink(tea);
</code></pre><blockquote><p>Drink</p><p>slowly</p></blockquote><hr>
      <table><caption>Prices</caption><thead><tr><th>Tea<th>Price</thead><tr><td>green <i>fine</i><td>5 | 6<tr><td>black</table>
      <table><tr><td><p>Layout</p><table><tr><td>a<td>b</table></table>
      <img src="/cup.png" alt="A cup"><img src="/spacer.gif"><p class="hid">hidden</p><p style="visibility: hidden">unseen</p>
      <a href="javascript:go()">script</a> <a href="/card"><h3>Card</h3><p>with text</p></a> <a href="/icon" aria-label="Icon"><img src="/i.png"></a>
      <script>document.body.append("rendered by a script")</script><noscript>no scripts</noscript>`,
    "/parts": `<div id="open-host"><span slot="name">slotted</span></div><div id="closed-host"></div><iframe srcdoc="<p>In a frame <a href='/in'>link</a></p>"></iframe>
      <iframe src="${far.origin}/inner"></iframe><input value="Ada"><input type="PassWord" value="hunter2">
      <input type="checkbox" checked> Gift <select><option>S<option selected>M</select><textarea>Note</textarea><button>Send</button><script>
      document.querySelector("#open-host").attachShadow({ mode: "open" }).innerHTML = "<h2>Open</h2><p><slot name=name></slot></p>";
      document.querySelector("#closed-host").attachShadow({ mode: "closed" }).innerHTML = "<h2>Closed</h2>";
      document.querySelector("input").value = "Grace"; document.querySelector("[type=checkbox]").checked = false</script>`,
    "/links": `<a href="/a">One</a><a href="/a">again</a><a href="/b#c"><img alt="Picture"></a><a href="mailto:a@b.c">Mail</a>
      <a href="javascript:x()">no</a><a href="data:,x">no</a><a>none</a><a href="/hidden" hidden>Hidden</a><a href="/d"></a>`,
    "/html": `<title>T</title><main id="m" class="a b" style="color: red" onclick="go()" data-x='"1&quot;<2'><p>a &lt; b</p><svg><path d="M0 0"/></svg>
      <!-- note --><br><input disabled><script>go()</script><style>p {}</style></main>`,
    "/rows": `<h1>Rows</h1><table><tr><th>No<th>Name${Array.from({ length: 5_000 }, (_, n) => `<tr><td>${n}<td>name ${n}`).join("")}</table>`,
    "/deep":
      "<script>let at = document.body; for (let n = 0; n < 5000; n++) at = at.appendChild(document.createElement('div')); at.append('deep')</script><p>shallow</p>",
    "/sandboxed": (_request, response) =>
      response
        .writeHead(200, { "Content-Type": "text/html", "Content-Security-Policy": "sandbox" })
        .end("<title>Shared</title><h2>Report</h2>"),
  });
});
afterAll(async () => {
  await chrome[Symbol.asyncDispose]();
  await near[Symbol.asyncDispose]();
  await far[Symbol.asyncDispose]();
});

interface Opened {
  readonly page: Page;
  readonly refs: RefBook;
  readonly read: (request: Partial<ReadingRequest>) => ReturnType<typeof readPage>;
}

async function open(path: string): Promise<Opened> {
  const page = await chrome.newPage();
  const log = new PageLog(page);
  const refs = new RefBook();
  await page.goto(`${near.origin}${path}`);
  const frame = (frameId: string): Frame | undefined => page.frames().find((one) => handleOf(one).id === frameId);
  return {
    page,
    refs,
    read: async (request) =>
      await readPage({ page, refs, log, frame }, { what: "markdown", maxChars: 10_000, ...request }),
  };
}

async function refTo({ page, refs }: Opened, selector: string): Promise<string> {
  const { session } = handleOf(page.mainFrame());
  const { root } = await session.send("DOM.getDocument", { depth: 0 });
  const { nodeId } = await session.send("DOM.querySelector", { nodeId: root.nodeId, selector });
  const { node } = await session.send("DOM.describeNode", { nodeId });
  return refs.refOf(handleOf(page.mainFrame()).id, await documentIdOf(page.mainFrame()), node.backendNodeId);
}

describe("a page as Markdown", () => {
  test("has its headings, links, lists, tables and code, and nothing that is hidden", async () => {
    const { read } = await open("/article");
    expect(await read({})).toEqual({
      title: "Tea",
      isCut: false,
      content: `[Home](/) [Top](#top)

# All about *tea*

Made of **leaves** and [hot water](/water?x=1).
Second line with \`sips(3)\` and [more](${far.origin}/x).

- green
- black
  - Assam
  - Ceylon
    strong

3. boil
4. pour

\`\`\`js
const tea = [e1];

  drink(tea);
\`\`\`

> Drink
>
> slowly

---

Prices

| Tea | Price |
| - | - |
| green *fine* | 5 \\| 6 |
| black |  |

Layout

| a | b |
| - | - |

![A cup](/cup.png)

script [Card with text](/card) [Icon](/icon) rendered by a script`,
    });
  });

  test("has what is in shadow trees, frames and fields, and no password", async () => {
    const { read } = await open("/parts");
    const { content } = await read({});
    // Frames of other sites come in processes of their own.
    for (const text of [
      "## Open\n\nslotted\n\n## Closed",
      "In a frame [link](/in)",
      `Far [away](${far.origin}/deep)`,
    ]) {
      expect(content).toContain(text);
    }
    expect(content).toMatch(/Grace\s+•••\s+\[ \] Gift M\s+Note\s+Send/);
    expect(content).not.toContain("hunter2");
  });

  test("may be of a part", async () => {
    const opened = await open("/article");
    expect((await opened.read({ ref: await refTo(opened, "ol") })).content).toBe("3. boil\n4. pour");
    await expect(opened.read({ ref: "e9999999" })).rejects.toMatchObject({ code: "not_found" });
    await expect(opened.read({ ref: "tea" })).rejects.toMatchObject({ code: "invalid_input" });
  });

  test("is cut where it is long", async () => {
    const { read } = await open("/rows");
    const { content, isCut } = await read({ maxChars: 1_000 });
    expect(content).toMatch(/^# Rows\n\n\| No \| Name \|\n\| - \| - \|\n\| 0 \| name 0 \|\n/);
    expect(isCut).toBe(true);
    expect(content.length).toBeLessThanOrEqual(1_000);
    const whole = await read({ maxChars: 200_000 });
    expect(whole.content).toMatch(/\| 4999 \| name 4999 \|$/);
    expect(whole.isCut).toBe(false);
  });

  test("that is nested without measure is read as far as pages go", async () => {
    const { read } = await open("/deep");
    expect((await read({})).content).toBe("shallow");
  });

  test("that may run no script is read all the same", async () => {
    const { read } = await open("/sandboxed");
    expect(await read({})).toEqual({ title: "Shared", content: "## Report", isCut: false });
  });
});

describe("a page's links", () => {
  test("are there once each, with their text and the whole URL", async () => {
    const { read } = await open("/links");
    expect((await read({ what: "links" })).content.split("\n")).toEqual([
      `One ${near.origin}/a`,
      `Picture ${near.origin}/b#c`,
      "Mail mailto:a@b.c",
      `Hidden ${near.origin}/hidden`,
      `${near.origin}/d`,
    ]);
    expect(await read({ what: "links", maxChars: 40 })).toMatchObject({ isCut: true, content: `One ${near.origin}/a` });
  });
});

describe("a page's HTML", () => {
  test("has neither scripts nor styles nor drawings", async () => {
    const { read } = await open("/html");
    const { title, content, isCut } = await read({ what: "html" });
    expect({ title, isCut }).toEqual({ title: "T", isCut: false });
    expect(content).toBe(
      `<html><body><main id="m" class="a b" data-x="&quot;1&quot;&lt;2"><p>a &lt; b</p><svg></svg>\n<br><input disabled></main></body></html>`,
    );
  });

  test("may be of a part, and is cut where it is long", async () => {
    const opened = await open("/article");
    expect((await opened.read({ what: "html", ref: await refTo(opened, "ol") })).content).toBe(
      `<ol start="3"><li>boil</li><li>pour</li></ol>`,
    );
    expect(await opened.read({ what: "html", maxChars: 100 })).toMatchObject({
      isCut: true,
      content: expect.stringMatching(/^[^]{100}$/),
    });
  });
});

test("the end of a page's log is read", async () => {
  const { page, read } = await open("/links");
  await page.evaluate("for (let n = 0; n < 100; n += 1) console.log('line', n)");
  await expect.poll(async () => (await read({ what: "console" })).content).toContain("line 99");
  const { content, isCut } = await read({ what: "console", maxChars: 60 });
  expect(content).toBe("log: line 96\nlog: line 97\nlog: line 98\nlog: line 99");
  expect(isCut).toBe(true);
  expect((await read({ what: "network" })).content).toMatch(/^GET 200 \/links \d+ ms$/m);
});

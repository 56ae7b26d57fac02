import { type ChildProcess, execFile, spawn } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import { once } from "node:events";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import * as z from "zod";
import type { Page } from "../egress/devtools.ts";
import { type Chrome, startChrome } from "../support/chrome.ts";
import { downloadDigest } from "../support/links.ts";
import { type ToolClient, connectOfficial, textOf } from "../support/mcp-clients.ts";
import { sharedSuite } from "../support/suite.ts";

/* Links as strangers use them: with curl, and with a browser that has never signed in. */

/** More than one of the parts that files are sent in, and more than two. */
const TWO_PARTS_BYTES = 34_000_000;
const THREE_PARTS_BYTES = 68_000_000;
/** More than one of the pieces that a stream without a length is stored in. */
const TWO_PIECES_BYTES = 9_000_000;

let client: ToolClient;
let folder: string;
let chrome: Chrome;

beforeAll(async () => {
  const suite = sharedSuite();
  client = await connectOfficial(new URL("/mcp/files", suite.url), await suite.token(), "modern");
  folder = await mkdtemp(path.join(tmpdir(), "links-"));
  chrome = await startChrome();
});

afterAll(async () => {
  await chrome[Symbol.asyncDispose]();
  await client[Symbol.asyncDispose]();
  await rm(folder, { recursive: true, force: true });
});

async function call(tool: string, input: Record<string, unknown>): Promise<Record<string, unknown>> {
  const answer = await client.callTool(tool, input);
  if (answer.isError) throw new Error(textOf(answer));
  return answer.structuredContent ?? {};
}

async function link(file: string, upload: boolean): Promise<string> {
  return z.object({ url: z.string() }).parse(await call("files_share", { path: file, upload })).url;
}

async function shareText(file: string, content: string): Promise<string> {
  await call("files_write", { path: file, content });
  return await link(file, false);
}

/** What curl prints, the status on a line of its own. */
async function curl(...args: readonly string[]): Promise<string> {
  const { stdout } = await promisify(execFile)("curl", ["-sS", "-w", "%{http_code}\n", ...args], {
    maxBuffer: 64 * 1024 * 1024,
  });
  return stdout;
}

/** A file on this machine that is different everywhere, and its digest. */
async function localFile(name: string, sizeBytes: number): Promise<{ readonly file: string; readonly sha256: string }> {
  const file = path.join(folder, name);
  const content = randomBytes(sizeBytes);
  await writeFile(file, content);
  return { file, sha256: createHash("sha256").update(content).digest("hex") };
}

async function digestOf(file: string): Promise<string> {
  return (await downloadDigest(await link(file, false))).sha256;
}

async function namesIn(inFolder: string): Promise<unknown> {
  const { files } = await call("files_list", { folder: inFolder, glob: "**" });
  return z
    .array(z.object({ path: z.string() }))
    .parse(files ?? [])
    .map((file) => file.path);
}

describe("curl", () => {
  test("sends a file with its length, and a stream without one", async () => {
    const { file, sha256 } = await localFile("sent.bin", TWO_PIECES_BYTES);
    const inbox = await link("curl-inbox/", true);
    expect(await curl("-T", file, inbox)).toBe(`Saved sent.bin, ${TWO_PIECES_BYTES} bytes.\n201\n`);
    expect(await digestOf("curl-inbox/sent.bin")).toBe(sha256);
    const chunked = ["-H", "Transfer-Encoding: chunked", "-T", file, `${inbox}streamed.bin`];
    expect(await curl(...chunked)).toBe(`Saved streamed.bin, ${TWO_PIECES_BYTES} bytes.\n201\n`);
    expect(await digestOf("curl-inbox/streamed.bin")).toBe(sha256);
  });

  test("sends a larger file in parts, by the lines that the page shows, and gets it back the same", async () => {
    const { file, sha256 } = await localFile("large.bin", TWO_PARTS_BYTES);
    await chrome.page.open(await link("parts/large.bin", true));
    const shown = String(await chrome.page.evaluate("document.querySelector('#parts').textContent"));
    const script = shown.replace("FILE=FILE", `FILE='${file}'`);
    const { stdout } = await promisify(execFile)("sh", ["-c", script]);
    expect(stdout).toContain(`Part 2 of 2 is there.\nSaved large.bin, ${TWO_PARTS_BYTES} bytes.\n`);
    expect(await digestOf("parts/large.bin")).toBe(sha256);
  });

  test("that is killed half-way leaves what was there, and nothing of what it sent", async () => {
    // At that rate it takes a few seconds.
    const { file } = await localFile("killed.bin", 4 * TWO_PIECES_BYTES);
    const inbox = await link("killed/", true);
    await call("files_write", { path: "killed/killed.bin", content: "old" });
    for (const header of ["X-Sized: yes", "Transfer-Encoding: chunked"]) {
      const args = ["-sS", "--limit-rate", "12M", "-H", header, "-T", file, inbox];
      const child: ChildProcess = spawn("curl", args, { stdio: "ignore" });
      await pause(1_000);
      child.kill("SIGKILL");
      await once(child, "exit");
    }
    expect(await namesIn("killed")).toEqual(["killed/killed.bin"]);
    expect(textOf(await client.callTool("files_read", { path: "killed/killed.bin" }))).toContain("old");
  });

  test("is told that a link was revoked, although it still sends", async () => {
    const { file } = await localFile("late.bin", TWO_PIECES_BYTES);
    const url = await link("late/late.bin", true);
    expect(await curl(url, "-o", path.join(folder, "page.html"))).toBe("200\n");
    await call("files_share", { revoke: url });
    const dead = "This link does not work, or no longer. Ask for a new one.\n404\n";
    expect(await curl("-T", file, url)).toBe(dead);
    expect(await curl("-H", "Expect:", "-T", file, url)).toBe(dead);
    expect(await curl("-H", "Transfer-Encoding: chunked", "-T", file, url)).toBe(dead);
    expect(await namesIn("late")).toEqual([]);
  });

  test("reads a range, and goes on where it stopped", async () => {
    const { file, sha256 } = await localFile("resumed.bin", 3_000_000);
    await curl("-T", file, await link("resumed.bin", true));
    const url = await link("resumed.bin", false);
    const copy = path.join(folder, "copy.bin");
    expect(await curl("-r", "0-999999", "-o", copy, url)).toBe("206\n");
    expect(await curl("-C", "-", "-o", copy, url)).toBe("206\n");
    expect(
      createHash("sha256")
        .update(await readFile(copy))
        .digest("hex"),
    ).toBe(sha256);
    expect(await curl("-I", url)).toMatch(/^Content-Length: 3000000\r$/im);
  });
});

test("a request that declares more than it sends leaves nothing", async () => {
  const url = new URL(await link("short/short.bin", true));
  const socket = connect(Number(url.port), url.hostname);
  socket.on("error", () => undefined);
  await once(socket, "connect");
  socket.write(
    `PUT ${url.pathname} HTTP/1.1\r\nHost: ${url.host}\r\nContent-Length: 1000000\r\n\r\n${"x".repeat(1_000)}`,
  );
  await pause(500);
  socket.destroy();
  await pause(500);
  expect(await namesIn("short")).toEqual([]);
});

describe("the page", () => {
  /** Gives the page files of that many bytes, through its file field or by dropping them on it. */
  async function give(page: Page, how: "pick" | "drop", files: Readonly<Record<string, number>>): Promise<void> {
    await page.evaluate(`{
      const given = new DataTransfer();
      for (const [name, size] of Object.entries(${JSON.stringify(files)}))
        given.items.add(new File([new Uint8Array(size).fill(7)], name));
      const field = document.querySelector("#files");
      if (${how === "pick"}) field.files = given.files;
      ${how === "pick" ? "field" : "window"}.dispatchEvent(
        ${how === "pick" ? `new Event("change")` : `new DragEvent("drop", { dataTransfer: given })`},
      );
    }`);
  }

  /** What the page says of its files, once it says nothing of them that is not final. */
  async function results(page: Page): Promise<unknown> {
    for (;;) {
      const busy = await page.evaluate(`[...document.querySelectorAll("#list progress")].some((bar) => !bar.hidden)`);
      if (busy === false) {
        return await page.evaluate(
          `[...document.querySelectorAll("#list li")].map((row) => row.innerText.replaceAll("\\n", " | "))`,
        );
      }
      await pause(100);
    }
  }

  test("sends what is picked and what is dropped, and says how each ended", async () => {
    const { page } = chrome;
    const url = await link("page-inbox/", true);
    expect(await page.open(url)).toContain("page-inbox/");
    await give(page, "pick", { "sm\u00e4ll ?#%.txt": 10, "large.bin": TWO_PARTS_BYTES });
    await give(page, "drop", { "dropped.txt": 0 });
    expect(await results(page)).toEqual([
      "sm\u00e4ll ?#%.txt | Saved sm\u00e4ll ?#%.txt, 10 bytes.",
      `large.bin | Saved large.bin, ${TWO_PARTS_BYTES} bytes.`,
      "dropped.txt | Saved dropped.txt, 0 bytes.",
    ]);
    expect(await namesIn("page-inbox")).toEqual([
      "page-inbox/dropped.txt",
      "page-inbox/large.bin",
      "page-inbox/sm\u00e4ll ?#%.txt",
    ]);
    const sent = createHash("sha256").update(new Uint8Array(TWO_PARTS_BYTES).fill(7)).digest("hex");
    expect(await digestOf("page-inbox/large.bin")).toBe(sent);
    expect(await page.evaluate("document.documentElement.scrollWidth <= innerWidth")).toBe(true);
    expect(await page.evaluate("document.querySelector('#news').textContent")).toContain("dropped.txt: Saved");
  });

  test("sends on by itself once a lost connection is back, and not what has arrived before", async () => {
    const { page } = chrome;
    await page.open(await link("page-lost/", true));
    const puts = `performance.getEntriesByType("resource").filter(({ name }) => name.includes("&part=")).length`;
    const connect = async (isOffline: boolean): Promise<void> => {
      const unlimited = { latency: 0, downloadThroughput: -1, uploadThroughput: -1 };
      await page.send("Network.emulateNetworkConditions", { offline: isOffline, ...unlimited });
    };
    await page.send("Network.enable", {});
    await give(page, "pick", { "large.bin": THREE_PARTS_BYTES });
    while (Number(await page.evaluate(puts)) < 1) await pause(10);
    await connect(true);
    await pause(1_500);
    expect(await namesIn("page-lost")).toEqual([]);
    await connect(false);
    expect(await results(page)).toEqual([`large.bin | Saved large.bin, ${THREE_PARTS_BYTES} bytes.`]);
    const sent = createHash("sha256").update(new Uint8Array(THREE_PARTS_BYTES).fill(7)).digest("hex");
    expect(await digestOf("page-lost/large.bin")).toBe(sent);
  });

  test("of a link that was revoked meanwhile says so for each file", async () => {
    const { page } = chrome;
    const url = await link("page-late.txt", true);
    await page.open(url);
    await call("files_share", { revoke: url });
    await give(page, "pick", { "any.txt": 10 });
    expect(await results(page)).toEqual([
      "any.txt | This link does not work, or no longer. Ask for a new one. | Try again",
    ]);
  });
});

describe("in a browser", () => {
  const SCRIPT = "document.documentElement.dataset.ran = 'yes'; new Image().src = '/ran'";
  const XSLT = `<xsl:stylesheet version="1.0" xmlns:xsl="http://www.w3.org/1999/XSL/Transform"><xsl:template match="/"><html><body><script>${SCRIPT}</script>turned</body></html></xsl:template></xsl:stylesheet>`;

  test.each([
    ["page.html", `<body onload="${SCRIPT}"><script>${SCRIPT}</script><img src=x onerror="${SCRIPT}">text</body>`],
    ["refresh.html", `<meta http-equiv="refresh" content="0;url=/health">text`],
    ["framing.html", `<iframe srcdoc="<script>parent.${SCRIPT}</script>"></iframe><iframe src="/u/x"></iframe>text`],
    [
      "picture.svg",
      `<svg xmlns="http://www.w3.org/2000/svg" onload="${SCRIPT}"><script>${SCRIPT}</script><text y="20">text</text></svg>`,
    ],
  ])("%s is shown, and runs nothing", async (name, content) => {
    const { page } = chrome;
    const url = await shareText(`hostile/${name}`, content);
    await page.send("Page.navigate", { url });
    await expect.poll(async () => await page.evaluate("location.pathname")).toBe(new URL(url).pathname);
    // What would run has run by then.
    await pause(1_000);
    expect(await page.evaluate("location.pathname")).toBe(new URL(url).pathname);
    expect(await page.evaluate("document.documentElement.textContent")).toContain("text");
    expect(await page.evaluate("document.documentElement.dataset.ran ?? 'no'")).toBe("no");
    expect(await page.evaluate("self.origin")).toBe("null");
  });

  test.each([
    ["sheet.xml", `<?xml-stylesheet type="text/xsl" href="data:text/xsl,${encodeURIComponent(XSLT)}"?><a>text</a>`],
    ["page.xhtml", `<html xmlns="http://www.w3.org/1999/xhtml"><script>${SCRIPT}</script></html>`],
    ["paper.pdf", "%PDF-1.4 nonsense"],
  ])("%s is not opened at all", async (name, content) => {
    const { page } = chrome;
    await page.open("about:blank");
    await page.send("Page.navigate", { url: await shareText(`hostile/${name}`, content) });
    await pause(1_000);
    expect(await page.evaluate("location.href")).toBe("about:blank");
  });

  test("no page of the suite can load a shared script, not even a page that would", async () => {
    const { page } = chrome;
    const script = await shareText("hostile/code.js", SCRIPT);
    await page.open(await link("hostile/any.txt", true));
    await page.send("Page.setBypassCSP", { enabled: true });
    await page.open(await link("hostile/any.txt", true));
    const loaded = `new Promise((done) => {
      const script = document.createElement("script");
      script.src = ${JSON.stringify(script)};
      script.onload = () => done("loaded");
      script.onerror = () => done("refused");
      document.head.append(script);
    })`;
    expect(await page.evaluate(loaded)).toBe("refused");
    await page.send("Page.setBypassCSP", { enabled: false });
  });
});

import { afterAll, beforeAll, describe, expect, test } from "vitest";
import * as z from "zod";
import { serveSite } from "../browser/pages.ts";
import { type ToolClient, connectOfficial, textOf } from "../support/mcp-clients.ts";
import { bringPackages } from "../support/sandbox-packages.ts";
import { type OwnSuite, startSuite } from "../support/suite.ts";

/* Programs in the sandbox that drive the suite's browser by Chrome's own protocol. */

let site: Awaited<ReturnType<typeof serveSite>>;
let suite: OwnSuite;
let client: ToolClient;

beforeAll(async () => {
  site = await serveSite("127.0.0.1", {
    "/": `<title>Counter</title><button onclick="this.textContent = Number(this.textContent) + 1">41</button>`,
  });
  suite = await startSuite(["--allow-host", site.host]);
  client = await connectOfficial(new URL("/mcp", suite.url), await suite.token(), "modern");
  await bringPackages(client, ["playwright-core", "puppeteer-core", ...PUPPETEER_NEEDS]);
});

afterAll(async () => {
  await client[Symbol.asyncDispose]();
  await suite[Symbol.asyncDispose]();
  await site[Symbol.asyncDispose]();
});

/** What `puppeteer-core` imports where it only connects. */
const PUPPETEER_NEEDS = [
  "ws",
  "debug",
  "ms",
  "@puppeteer/browsers",
  "chromium-bidi",
  "devtools-protocol",
  "typed-query-selector",
  "webdriver-bidi-protocol",
  "mitt",
];

async function runNode(program: string): Promise<string> {
  await client.callTool("sandbox_write", { path: "/workspace/program.mjs", content: program });
  const answer = await client.callTool("sandbox_exec", { command: "node program.mjs", wait_ms: 40_000 });
  const {
    stdout,
    stderr,
    exit_code: exitCode,
  } = z.object({ stdout: z.string(), stderr: z.string(), exit_code: z.int() }).parse(answer.structuredContent);
  expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: "" });
  return stdout.trim();
}

describe("the suite's browser", { timeout: 120_000 }, () => {
  test("is driven by Playwright in the sandbox, and the browser tools see the page that it left", async () => {
    const said = await runNode(`
      import { chromium } from "playwright-core";
      const browser = await chromium.connectOverCDP("http://browser.internal");
      const page = browser.contexts()[0].pages()[0] ?? (await browser.contexts()[0].newPage());
      await page.goto("${site.origin}/");
      await page.getByRole("button").click();
      const refused = await page.context().newPage().then((other) => other.goto("file:///etc/passwd")).catch((failure) => failure.message);
      console.log(JSON.stringify({ title: await page.title(), text: await page.getByRole("button").innerText(), refused }));
      await browser.close();
    `);
    expect(JSON.parse(said)).toEqual({
      ...{ title: "Counter", text: "42" },
      refused: expect.stringContaining("Only http and https pages can be opened"),
    });
    const tabs = textOf(await client.callTool("browser_open", { tab: "1" }));
    expect(tabs).toContain('button "42"');
  });

  test("is driven by puppeteer in the sandbox, by way of its proxy and without", async () => {
    const program = `
      import puppeteer from "puppeteer-core";
      const browser = await puppeteer.connect({ browserURL: "http://browser.internal" });
      const page = await browser.newPage();
      await page.goto("${site.origin}/");
      console.log(await page.$eval("button", (button) => button.textContent));
      await page.close();
      await browser.disconnect();
    `;
    expect(await runNode(program)).toBe("41");
    expect(await runNode(`delete process.env.NODE_USE_ENV_PROXY;\n${program}`)).toBe("41");
  });
});

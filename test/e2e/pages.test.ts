import { setTimeout as pause } from "node:timers/promises";
import axe from "axe-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import * as z from "zod";
import { type Page, openPage } from "../egress/devtools.ts";
import { type LoopbackServer, serve } from "../egress/loopback.ts";
import { launchChrome } from "../support/chrome.ts";
import { type ToolClient, connectOfficial } from "../support/mcp-clients.ts";
import { type OwnSuite, startSuite } from "../support/suite.ts";
import { type TestGateway, startTestGateway } from "../support/test-gateway.ts";

/* The pages behind the sign-in, of a suite as `npm start` starts it, in a real Chrome. */

const RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"];

let gateway: TestGateway;
let site: LoopbackServer;
let suite: OwnSuite;
let client: ToolClient;
let chrome: Awaited<ReturnType<typeof launchChrome>>;

beforeAll(async () => {
  gateway = await startTestGateway();
  site = await serve((_request, response) => {
    response.setHeader("Content-Type", "text/html").end("<title>A page</title><h1>A page</h1>");
  });
  const models = { MODEL_BASE_URL: gateway.baseUrl, MODEL_API_KEY: "key", MODEL_DEFAULT: "scripted" };
  [suite, chrome] = await Promise.all([
    startSuite(["--allow-host", `127.0.0.1:${site.port}`], models),
    launchChrome("1280,900"),
  ]);
  client = await connectOfficial(new URL("/mcp", suite.url), await suite.token(), "modern");
  await call("sandbox_exec", { command: "touch /workspace/note.txt; sleep 600", background: true });
  await call("sandbox_exec", { command: "echo done", sandbox: "analysis" });
  await call("browser_open", { url: `http://127.0.0.1:${site.port}/` });
  await client.callTool("files_read", { path: "not there.txt" });
  gateway.script({ kind: "calls", calls: [{ name: "ask_caller", input: { question: "Which one?" } }] });
  await call("delegate_run", { task: "Choose one of <b>two</b> ways.", budget: { tokens: 100_000 } });
}, 180_000);

afterAll(async () => {
  for (const part of [client, suite, chrome, site, gateway]) await part[Symbol.asyncDispose]();
});

async function call(tool: string, input: Record<string, unknown>): Promise<void> {
  const answer = await client.callTool(tool, input);
  expect([tool, answer.isError, answer.content]).toEqual([tool, false, expect.anything()]);
}

/** Another window at the suite, signed in. */
async function signIn(): Promise<Page> {
  const page = await openPage(chrome.endpoint);
  await page.open(`${suite.url}/account`);
  if (await page.evaluate(`document.querySelector("#code") === null`)) return page;
  const [, code = ""] = /sign-in code +(\S+)/.exec(suite.output()) ?? [];
  await page.evaluate(`document.querySelector("#code").value = ${JSON.stringify(code)}`);
  await press(page, "button.primary", "Sandboxes");
  return page;
}

/** Presses what the selector finds, and waits for what the page says then. */
async function press(page: Page, selector: string, awaited: string): Promise<void> {
  await finding(page, selector);
  await page.evaluate(`document.querySelector(${JSON.stringify(selector)}).click() ?? ""`);
  await saying(page, awaited);
}

/** What does not answer within two seconds is on a page a moment later; on one without scripts once it is loaded again. */
async function finding(page: Page, selector: string, reload?: () => Promise<unknown>): Promise<void> {
  const isThere = `document.querySelector(${JSON.stringify(selector)}) !== null`;
  for (const deadline = Date.now() + 40_000; Date.now() < deadline; await pause(200)) {
    if ((await page.evaluate(isThere)) === true) return;
    await reload?.();
  }
  throw new Error(`The page never had ${selector}.`);
}

async function saying(page: Page, awaited: string): Promise<string> {
  let text = "";
  for (const deadline = Date.now() + 40_000; Date.now() < deadline; await pause(50)) {
    text = String(await page.evaluate(`document.body?.innerText ?? ""`));
    if (text.includes(awaited)) return text;
  }
  throw new Error(`The page never said ${awaited}, but: ${text}`);
}

async function look(page: Page, width: number, scheme: "light" | "dark"): Promise<void> {
  await page.send("Emulation.setDeviceMetricsOverride", { width, height: 900, deviceScaleFactor: 1, mobile: false });
  await page.send("Emulation.setEmulatedMedia", { features: [{ name: "prefers-color-scheme", value: scheme }] });
}

const found = z.array(z.object({ id: z.string(), nodes: z.array(z.string()) }));

/** What axe has against the page. */
async function complaints(page: Page): Promise<z.output<typeof found>> {
  const run = `axe.run(document, ${JSON.stringify({ runOnly: RULES })}).then(({ violations }) =>
    violations.map(({ id, nodes }) => ({ id, nodes: nodes.map(({ html, failureSummary }) => html + failureSummary) })))`;
  await page.evaluate(`${axe.source}; ""`);
  return found.parse(await page.evaluate(run));
}

test("axe finds nothing on any page, in light and in dark, and on a phone nothing is cut off", async () => {
  const page = await signIn();
  const userId = String(
    await page
      .open(`${suite.url}/admin/people`)
      .then(() => page.evaluate(`document.querySelector("tbody a").pathname.split("/").at(-1)`)),
  );
  const paths = [
    ...["/account", "/account/usage?days=7", "/account/audit", "/account/apps", "/account/limits"],
    ...["/account/confirm?act=reset&kind=sandbox&name=main", "/admin", "/admin/people", "/admin/usage", "/admin/cost"],
    ...["/admin/audit", "/admin/limits", "/admin/health", `/admin/people/${userId}`, `/admin/people/${userId}/limits`],
  ];
  for (const [width, scheme] of [
    [1280, "light"],
    [360, "dark"],
  ] as const) {
    await look(page, width, scheme);
    for (const path of paths) {
      await page.open(suite.url + path);
      await page.evaluate(`for (const details of document.querySelectorAll("details")) details.open = true; ""`);
      const fits = await page.evaluate("document.documentElement.scrollWidth <= innerWidth");
      expect([path, scheme, await complaints(page), fits]).toEqual([path, scheme, [], true]);
    }
  }
  page.close();
}, 240_000);

test("a keyboard goes through the page in order, and shows where it is", async () => {
  const page = await signIn();
  await page.open(`${suite.url}/account`);
  const tab = async (): Promise<unknown> => {
    for (const type of ["keyDown", "keyUp"]) {
      await page.send("Input.dispatchKeyEvent", { type, key: "Tab", code: "Tab", windowsVirtualKeyCode: 9 });
    }
    return await page.evaluate(`(() => {
      const { outlineStyle, outlineWidth } = getComputedStyle(document.activeElement);
      return [document.activeElement.textContent.trim(), outlineStyle, outlineWidth];
    })()`);
  };
  const seen = [await tab(), await tab(), await tab(), await tab(), await tab()];
  expect(seen).toEqual(
    ["Skip to the page", "You", "Everybody", "Sign out", "Overview"].map((name) => [name, "solid", "3px"]),
  );
  page.close();
});

test("what changes is on the page within a moment, without loading it again, and what was opened stays open", async () => {
  const page = await signIn();
  await page.open(`${suite.url}/account`);
  await saying(page, "Live");
  await finding(page, "#sandbox-main-processes");
  await page.evaluate(`(window.isSame = true, document.querySelector("#sandbox-main-processes").open = true, "")`);
  await page.evaluate(`document.querySelector("#sandbox-main-restart").focus() ?? ""`);
  await call("sandbox_exec", { command: "sleep 601", background: true });
  await saying(page, "sleep 601");
  await call("sandbox_exec", { command: "true", sandbox: "fresh" });
  await saying(page, "fresh");
  expect(
    await page.evaluate(`[window.isSame, document.querySelector("#sandbox-main-processes").open,
      document.activeElement.id, document.querySelector("#sandbox-list").firstElementChild.id]`),
  ).toEqual([true, true, "sandbox-main-restart", "sandbox-fresh"]);
  page.close();
});

test("pages that nobody sees hold no connection, so that any number may be open, and are live when they are seen", async () => {
  const see = async (page: Page, state: "hidden" | "visible"): Promise<void> => {
    await page.evaluate(`(Object.defineProperty(document, "visibilityState", { value: "${state}", configurable: true }),
      document.dispatchEvent(new Event("visibilitychange")))`);
  };
  const pages: Page[] = [];
  // One more than a browser has connections to one origin.
  for (let number = 0; number < 7; number += 1) {
    const page = await signIn();
    await saying(page, "Live");
    await see(page, "hidden");
    await saying(page, "Not live while it is hidden");
    pages.push(page);
  }
  const [first] = pages;
  if (first === undefined) throw new Error("No page is open.");
  await call("sandbox_exec", { command: "true", sandbox: "unseen" });
  await see(first, "visible");
  await saying(first, "unseen");
  for (const page of pages) page.close();
});

test("sliders show at once what they come to, and the address keeps it", async () => {
  const page = await signIn();
  await page.open(`${suite.url}/admin/cost`);
  await page.evaluate(`(() => {
    window.isSame = true;
    const hours = document.querySelector("#hours");
    hours.value = "24";
    return hours.dispatchEvent(new Event("input", { bubbles: true }));
  })()`);
  await saying(page, "24 hours a day");
  expect(await page.evaluate(`[window.isSame, document.querySelector("output").value, location.search]`)).toEqual([
    true,
    "24 h",
    expect.stringContaining("hours=24"),
  ]);
  page.close();
});

test("a button starts an agent in the sandbox, and the page says by itself why it did not work", async () => {
  const page = await signIn();
  await page.open(`${suite.url}/account`);
  const openPresets = async (): Promise<void> => {
    await finding(page, "#sandbox-analysis-presets");
    await page.evaluate(`document.querySelector("#sandbox-analysis-presets").open = true`);
  };
  await openPresets();
  await press(page, "#sandbox-analysis-start-preset-openclaw", "It is being installed and started");
  await openPresets();
  const said = await saying(page, "did not start");
  expect(said).toContain("npm could not install openclaw@");
  expect(said).toMatch(/The npm registry \S+:443 cannot be reached from this sandbox/);
  for (const width of [1280, 360]) {
    await look(page, width, "light");
    expect([width, await page.evaluate("document.documentElement.scrollWidth <= innerWidth")]).toEqual([width, true]);
  }
  const { structuredContent } = await client.callTool("sandbox_exec", {
    command: "preset status",
    sandbox: "analysis",
  });
  expect(structuredContent).toMatchObject({ stdout: expect.stringContaining("openclaw\tnot installed\n") });
  page.close();
}, 120_000);

test("without JavaScript all of it is there, and what a button does is done", async () => {
  const page = await signIn();
  await page.send("Emulation.setScriptExecutionDisabled", { value: true });
  const look = async (): Promise<string> => {
    await page.send("Page.navigate", { url: `${suite.url}/account` });
    return await saying(page, "Sign out");
  };
  const pressHere = async (selector: string, awaited: string): Promise<void> => {
    await finding(page, selector, look);
    await press(page, selector, awaited);
  };
  const words = ["Which one?", "main", "analysis", "1 tab", "Budget used", "running"];
  await expect
    .poll(async () => {
      const text = await look();
      return words.filter((each) => !text.includes(each));
    })
    .toEqual([]);
  expect(await page.evaluate(`document.querySelector("#live").textContent`)).toBe("");
  await pressHere("#sandbox-analysis-sleep", "The sandbox was put to sleep");
  await pressHere("#browser-main-close", "The browser was closed.");
  await pressHere("[id$='-cancel']", "The run was cancelled.");
  await finding(page, "#sandbox-main-processes", look);
  await page.evaluate(`document.querySelector("#sandbox-main-processes").open = true`);
  await press(page, "[id^='sandbox-main-kill-']", "The process was ended.");
  await press(page, "#sandbox-main-reset", "This cannot be taken back.");
  await press(page, "#confirmed", "The sandbox was reset.");
  const { structuredContent } = await client.callTool("sandbox_exec", { command: "ls /workspace" });
  expect(structuredContent).toMatchObject({ exit_code: 0, stdout: "files\n" });
  await page.send("Page.navigate", { url: `${suite.url}/admin/cost?hours=24` });
  await saying(page, "24 hours a day");
  await page.send("Page.navigate", { url: `${suite.url}/account/audit?outcome=not_found` });
  expect(await saying(page, "files_read")).not.toContain("sandbox_exec");
  page.close();
}, 120_000);

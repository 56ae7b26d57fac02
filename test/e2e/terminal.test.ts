import { setTimeout as pause } from "node:timers/promises";
import axe from "axe-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import * as z from "zod";
import { type Page, openPage } from "../egress/devtools.ts";
import { launchChrome } from "../support/chrome.ts";
import { connectOfficial, textOf } from "../support/mcp-clients.ts";
import { pick, processTree } from "../support/process-tree.ts";
import { type OwnSuite, startSuite } from "../support/suite.ts";

/* The terminal of a suite as `npm start` starts it, in a real Chrome. */

const RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"];
const SCREEN = `document.querySelector(".xterm-rows")?.innerText ?? ""`;
const STATE = `document.querySelector("#terminal-state")?.textContent ?? document.body.innerText`;

let suite: OwnSuite;
let chrome: Awaited<ReturnType<typeof launchChrome>>;

beforeAll(async () => {
  [suite, chrome] = await Promise.all([startSuite(), launchChrome("1000,700")]);
}, 120_000);

afterAll(async () => {
  await chrome[Symbol.asyncDispose]();
  await suite[Symbol.asyncDispose]();
});

/** A window with a terminal in it; whoever is not signed in does that on the way. */
async function openTerminal(address = "/account/terminal?sandbox=main"): Promise<Page> {
  const page = await openPage(chrome.endpoint);
  await page.open(suite.url + address);
  if ((await page.evaluate(`document.querySelector("#code") === null`)) !== true) {
    const [, code = ""] = /sign-in code +(\S+)/.exec(suite.output()) ?? [];
    await page.evaluate(`document.querySelector("#code").value = ${JSON.stringify(code)}`);
    await page.evaluate(`document.querySelector("button.primary").click() ?? ""`);
  }
  await shows(page, STATE, /^Connected/);
  await shows(page, SCREEN, /[$#] *$/m);
  return page;
}

async function shows(page: Page, expression: string, wanted: RegExp): Promise<string> {
  let seen = "";
  for (const deadline = Date.now() + 40_000; Date.now() < deadline; await pause(50)) {
    seen = String(await page.evaluate(expression).catch(() => "")).replaceAll("\u00a0", " ");
    if (wanted.test(seen)) return seen;
  }
  throw new Error(`The page never showed ${wanted}, but: ${seen}`);
}

async function press(page: Page, key: string, code: string, modifiers = 0, text?: string): Promise<void> {
  const event = { key, code, modifiers, windowsVirtualKeyCode: key === "Enter" ? 13 : key.toUpperCase().charCodeAt(0) };
  await page.send("Input.dispatchKeyEvent", { ...event, type: "keyDown", ...(text === undefined ? {} : { text }) });
  await page.send("Input.dispatchKeyEvent", { ...event, type: "keyUp" });
}

async function type(page: Page, text: string): Promise<void> {
  await page.send("Input.insertText", { text });
  await press(page, "Enter", "Enter", 0, "\r");
}

/** What the page's screen shows next, under a line of its own. */
async function answer(page: Page, command: string): Promise<string> {
  const mark = crypto.randomUUID().slice(0, 8);
  await type(page, `clear; echo at-${mark}; ${command}; echo by-${mark}`);
  const seen = await shows(page, SCREEN, new RegExp(`^at-${mark}[^]*^by-${mark}`, "m"));
  return seen.slice(seen.indexOf(`\nat-${mark}`) + 12, seen.lastIndexOf(`\nby-${mark}`)).trim();
}

async function resize(page: Page, width: number, height: number, scheme = "light"): Promise<void> {
  await page.send("Emulation.setDeviceMetricsOverride", { width, height, deviceScaleFactor: 1, mobile: false });
  await page.send("Emulation.setEmulatedMedia", { features: [{ name: "prefers-color-scheme", value: scheme }] });
}

test("what is typed runs in the sandbox, and the size of the window is the terminal's", async () => {
  const page = await openTerminal();
  expect(await answer(page, "echo $((6*7)) für 😀; tput colors; pwd")).toBe("42 für 😀\n256\n/workspace");
  const [rows, columns] = (await answer(page, "stty size")).split(" ").map(Number);
  await resize(page, 700, 500);
  await expect.poll(async () => Number(await answer(page, "tput cols"))).toBeLessThan(columns ?? 0);
  await expect.poll(async () => Number(await answer(page, "tput lines"))).toBeLessThan(rows ?? 0);
  expect(await page.evaluate("document.documentElement.scrollWidth <= innerWidth")).toBe(true);
  page.close();
});

test("colours are shown: those that a program mixes, and those that are made readable", async () => {
  const page = await openTerminal();
  await answer(page, String.raw`printf '\e[38;2;0;80;160m%s\e[93m%s\e[0;7m%s\e[0m\n' MIXED BRIGHT TURNED | tr A-Z a-z`);
  // A span is as long as its letters are of one width.
  const colourOf = async (word: string, of = "color"): Promise<unknown> =>
    await page.evaluate(`(() => {
      const row = [...document.querySelectorAll(".xterm-rows > div")].find((row) => row.innerText.includes("mixed"));
      const at = row.textContent.indexOf("${word}");
      let text = "";
      const span = [...row.querySelectorAll("span")].find(({ textContent }) => (text += textContent).length > at);
      return getComputedStyle(span)["${of}"];
    })()`);
  expect(await colourOf("mixed")).toBe("rgb(0, 80, 160)");
  // The bright yellow is darkened on white, and yellow still: more red and green than blue.
  const [red = 0, green = 0, blue = 255] =
    String(await colourOf("bright"))
      .match(/\d+/g)
      ?.map(Number) ?? [];
  expect(Math.min(red, green) - blue).toBeGreaterThan(50);
  expect(await colourOf("turned")).not.toBe(await colourOf("turned", "backgroundColor"));
  page.close();
});

test("what commands leave among the files is there for every tool a moment later", async () => {
  await using client = await connectOfficial(new URL("/mcp", suite.url), await suite.token(), "modern");
  const page = await openTerminal();
  await answer(page, "echo kept > files/kept.txt");
  await expect.poll(async () => textOf(await client.callTool("files_read", { path: "kept.txt" }))).toMatch(/^kept$/m);
  page.close();
});

test("a program draws the whole screen, goes by single keys, and leaves what was there before", async () => {
  const page = await openTerminal();
  await resize(page, 1000, 700);
  await answer(page, "echo before");
  await type(page, "seq 1 500 | less");
  await shows(page, SCREEN, /^1\s*\n2\s*\n[^]*\n:\s*$/);
  await press(page, "G", "KeyG", 0, "G");
  await shows(page, SCREEN, /\n499\s*\n500\s*\n\(END\)\s*$/);
  await press(page, "q", "KeyQ", 0, "q");
  await shows(page, SCREEN, /^before\s*\n/m);
  page.close();
});

test("a page that is loaded again, and another beside it, show the same shell with what it wrote", async () => {
  const page = await openTerminal();
  await answer(page, "colour=teal");
  await type(page, "seq 1 40");
  await shows(page, SCREEN, /^39\s*\n40\s*\n/m);
  const address = String(await page.evaluate("location.pathname + location.search + location.hash"));
  await page.send("Page.reload", {});
  await shows(page, STATE, /^Connected/);
  await shows(page, SCREEN, /^39\s*\n40\s*\n/m);
  expect(await answer(page, "echo $colour")).toBe("teal");
  const other = await openTerminal(address);
  expect(await answer(other, "echo $colour twice")).toBe("teal twice");
  await shows(page, SCREEN, /^teal twice/m);
  other.close();
  page.close();
});

test("of thousands of keys that are pressed one by one none is lost, over more than one connection", async () => {
  const page = await openTerminal();
  await page.evaluate(`(() => {
    const { send } = WebSocket.prototype;
    window.sockets = new Set();
    WebSocket.prototype.send = function (text) {
      window.sockets.add(this);
      return send.call(this, text);
    };
    return "";
  })()`);
  await type(page, "tr -cd k | wc -c");
  const sockets = async (): Promise<number> => Number(await page.evaluate("window.sockets.size"));
  let pressed = 0;
  for (let isLast = false; !isLast;) {
    isLast = (await sockets()) > 1;
    for (let key = 0; key < 100; key += 1) await page.send("Input.insertText", { text: "k" });
    await press(page, "Enter", "Enter", 0, "\r");
    pressed += 100;
  }
  await press(page, "d", "KeyD", 2);
  await shows(page, SCREEN, new RegExp(`^${pressed}\\b`, "m"));
  page.close();
}, 180_000);

test("the wheel leads back through what was written", async () => {
  const page = await openTerminal();
  await type(page, "clear; seq 1 300");
  await shows(page, SCREEN, /^300\s*\n/m);
  for (let turns = 0; turns < 20; turns += 1) {
    await page.send("Input.dispatchMouseEvent", { type: "mouseWheel", x: 200, y: 300, deltaX: 0, deltaY: -120 });
  }
  expect(await shows(page, SCREEN, /^2[0-5]\d\b/m)).not.toMatch(/^300\b/m);
  page.close();
});

test("when the Worker is killed the page comes back to the same shell, and what it wrote meanwhile is there", async () => {
  const page = await openTerminal();
  await answer(page, "colour=plum");
  await type(page, "sleep 2; seq -s, 1 9");
  const [workerd] = await pick(await processTree(suite.process.pid ?? 0), /\/workerd /);
  if (workerd === undefined) throw new Error("No workerd runs.");
  process.kill(workerd, "SIGKILL");
  await shows(page, STATE, /^Reconnecting/);
  await type(page, "echo typed meanwhile");
  await shows(page, STATE, /^Connected/);
  await shows(page, SCREEN, /^1,2,3,4,5,6,7,8,9[^]*^typed meanwhile/m);
  expect(await answer(page, "echo $colour")).toBe("plum");
  page.close();
});

test("what is selected is copied, and what is pasted waits for Enter", async () => {
  const page = await openTerminal();
  await page.send("Browser.grantPermissions", { permissions: ["clipboardReadWrite", "clipboardSanitizedWrite"] });
  await answer(page, "echo selected");
  const place = z.tuple([z.number(), z.number(), z.number()]);
  const [x, y, right] = place.parse(
    await page.evaluate(`(() => {
      const row = [...document.querySelectorAll(".xterm-rows > div")].find((div) => div.innerText.startsWith("selected"));
      const whole = document.createRange();
      whole.selectNodeContents(row);
      const { left, top, right } = whole.getBoundingClientRect();
      return [left + 1, top + 5, right];
    })()`),
  );
  const mouse = async (kind: string, at: number): Promise<unknown> =>
    await page.send("Input.dispatchMouseEvent", { type: kind, x: at, y, button: "left", buttons: 1, clickCount: 1 });
  await mouse("mousePressed", x);
  await mouse("mouseMoved", right - 2);
  await mouse("mouseReleased", right - 2);
  await press(page, "C", "KeyC", 2 | 8);
  await expect.poll(async () => await page.evaluate("navigator.clipboard.readText()")).toBe("selected");
  await page.evaluate(`navigator.clipboard.writeText("echo pas\\necho ted\\n").then(() => "")`);
  await page.send("Input.dispatchKeyEvent", {
    type: "keyDown",
    key: "v",
    code: "KeyV",
    modifiers: 2,
    commands: ["paste"],
  });
  await shows(page, SCREEN, /echo pas\s*\n.*echo ted/);
  await pause(300);
  expect(String(await page.evaluate(SCREEN))).not.toMatch(/^pas/m);
  await press(page, "Enter", "Enter", 0, "\r");
  await shows(page, SCREEN, /^pas\s*\nted/m);
  page.close();
});

test("a shell that has ended says how, and a new one is a button away", async () => {
  const page = await openTerminal();
  await type(page, "exit 3");
  await shows(page, STATE, /^The shell has ended \(exit 3\)\.$/);
  await page.evaluate(`document.querySelector("#new-shell").click() ?? ""`);
  await shows(page, STATE, /^Connected/);
  await shows(page, SCREEN, /[$#] *$/m);
  expect(await answer(page, "echo $((6*7))")).toBe("42");
  page.close();
});

test("more than a page can show is skipped in the middle, and Ctrl-C still ends it", async () => {
  const page = await openTerminal();
  await type(page, "yes 'a line of output that goes on and on'");
  await shows(page, SCREEN, /goes on and on/);
  await pause(2_000);
  await press(page, "c", "KeyC", 2);
  await shows(page, SCREEN, /\^C\s*\n.*[$#] *$/m);
  expect(await answer(page, "echo $((6*7))")).toBe("42");
  page.close();
});

test("axe finds nothing, in light and in dark, a phone shows all of it, and keys lead out of the terminal", async () => {
  const page = await openTerminal();
  await page.evaluate(`${axe.source}; ""`);
  for (const [width, scheme] of [
    [1280, "light"],
    [360, "dark"],
  ] as const) {
    await resize(page, width, 800, scheme);
    const run = `axe.run(document, ${JSON.stringify({ runOnly: RULES })}).then(({ violations }) =>
      violations.map(({ id, nodes }) => [id, ...nodes.map(({ html, failureSummary }) => html + failureSummary)]))`;
    expect([scheme, await page.evaluate(run)]).toEqual([scheme, []]);
    expect(await page.evaluate("document.documentElement.scrollWidth <= innerWidth")).toBe(true);
  }
  await page.evaluate(`document.querySelector(".xterm-helper-textarea").focus() ?? ""`);
  await page.send("Input.dispatchKeyEvent", {
    type: "keyDown",
    key: "F6",
    code: "F6",
    modifiers: 8,
    windowsVirtualKeyCode: 117,
  });
  expect(await page.evaluate("document.activeElement.id")).toBe("aloud");
  page.close();
});

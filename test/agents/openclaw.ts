import { writeFile } from "node:fs/promises";
import path from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { type Page, openPage } from "../egress/devtools.ts";
import { launchChrome } from "../support/chrome.ts";
import { textOf } from "../support/mcp-clients.ts";
import { type InsideSuite, startInsideSuite } from "./inside-suite.ts";
import { startRememberingModel } from "./remembering-model.ts";

const WINDOW = "1280,900";
/** OpenClaw prepares a turn for seconds, and on a busy machine for a minute. */
const ANSWERS_WITHIN_MS = 240_000;
const MESSAGE_FIELD = `[...document.querySelectorAll("textarea")].find(({ placeholder }) => placeholder.startsWith("Message"))`;
/** With what is in shadow trees. */
const TEXT = `(() => {
  const texts = [];
  const walk = (node) => {
    if (node.shadowRoot) walk(node.shadowRoot);
    for (const child of node.childNodes) {
      if (child.nodeType === Node.TEXT_NODE) texts.push(child.textContent.trim());
      else if (!["SCRIPT", "STYLE"].includes(child.nodeName)) walk(child);
    }
  };
  walk(document.body);
  return texts.filter((text) => text !== "").join(" ");
})()`;

/**
 * OpenClaw as a preset: started by one call, its page opened by its person through the preview, one message answered, the
 * sandbox put to sleep, and woken by a visit to the page: OpenClaw is there again, and remembers. Whoever has a share link
 * is not let in.
 */
export async function tryOpenClaw(dataDir: string): Promise<string> {
  await using model = await startRememberingModel();
  await using suite = await startInsideSuite(dataDir, model.url);
  // One that was cut off has left it, to be started again as the sandbox wakes.
  await suite.run("preset stop openclaw; rm -rf /workspace/.openclaw*");
  const url = await suite.startPreset("openclaw");
  if (url === undefined) throw new Error("It has no page.");
  await using chrome = await launchChrome(WINDOW);
  const page = await openPage(chrome.endpoint);
  const name = `Maunzi${process.pid}`;
  await openSignedIn(page, url, suite.signInCode);
  await say(page, `My cat is called ${name}.`);
  await shows(page, `Your cat is called ${name}, I remember.`);
  await keepPicture(page, path.join(dataDir, "openclaw.png"));

  await useBrowser(suite, url);
  const shared = textOf(await suite.call("sandbox_expose", { port: 18_789, share_for: 600 }));
  const [shareUrl = ""] = /http:[^"\s]*\/\.pincer\/share\/\w+/.exec(shared) ?? [];
  await using strangers = await launchChrome(WINDOW);
  const strangersPage = await openPage(strangers.endpoint);
  await strangersPage.open(shareUrl);
  await shows(strangersPage, "Proxy authentication required");
  await keepPicture(strangersPage, path.join(dataDir, "openclaw-shared.png"));
  strangersPage.close();
  await suite.call("sandbox_expose", { port: 18_789, share_for: 0 });

  await page.open(`${suite.url}/account`);
  await page.evaluate(`document.querySelector("#sandbox-main-sleep").click() ?? ""`);
  await shows(page, "The sandbox was put to sleep");
  // The visit wakes the sandbox, and OpenClaw with it.
  await openSignedIn(page, url, suite.signInCode);
  await say(page, "What is my cat called?");
  await shows(page, `What is my cat called\\? .*Your cat is called ${name}, I remember\\.`);
  await keepPicture(page, path.join(dataDir, "openclaw-again.png"));
  page.close();
  await suite.run("preset stop openclaw");
  return "started as a preset, its page opened through the preview, a message answered, remembered after its sandbox slept";
}

/** OpenClaw's browser is the suite's: its own tool opens a tab there. */
async function useBrowser(suite: InsideSuite, url: string): Promise<void> {
  const person = new URL(url).hostname.split("-")[0] ?? "";
  const asProxy = { "x-pincer-user": person, "x-forwarded-for": "192.0.2.1", "x-forwarded-proto": "http" };
  const headers = { ...asProxy, "x-forwarded-host": new URL(url).host, "content-type": "application/json" };
  const flags = Object.entries(headers).map(([name, value]) => `-H '${name}: ${value}'`);
  const order = JSON.stringify({ tool: "browser", args: { action: "open", url: "about:blank" } });
  let said = "";
  // On a busy machine it gives its own browser up before that is there.
  for (const deadline = Date.now() + ANSWERS_WITHIN_MS; Date.now() < deadline; await pause(2_000)) {
    ({ said } = await suite.run(`curl -sS ${flags.join(" ")} -d '${order}' http://127.0.0.1:18789/tools/invoke`));
    if (/"ok":true.*"profile":"pincer"/s.test(said)) return;
  }
  throw new Error(`Its browser opened nothing: ${said}`);
}

async function openSignedIn(page: Page, url: string, signInCode: string): Promise<void> {
  const first = await page.open(url);
  if (first.includes("Sign in to Pincer")) {
    await page.evaluate(`document.querySelector("#code").value = ${JSON.stringify(signInCode)}`);
    await page.evaluate(`document.querySelector("button.primary").click() ?? ""`);
  }
  for (const deadline = Date.now() + ANSWERS_WITHIN_MS; Date.now() < deadline; await pause(500)) {
    const state = await page.evaluate(`${MESSAGE_FIELD} === undefined ? ${TEXT} : "ready"`).catch(() => "");
    if (state === "ready") return;
    await loadAgainWhereAsked(page, String(state));
  }
  throw new Error(`The page never took a message: ${String(await page.evaluate(TEXT)).slice(0, 2_000)}`);
}

async function say(page: Page, message: string): Promise<void> {
  await page.evaluate(`${MESSAGE_FIELD}.focus() ?? ""`);
  await page.send("Input.insertText", { text: message });
  const enter = { key: "Enter", code: "Enter", windowsVirtualKeyCode: 13 };
  await page.send("Input.dispatchKeyEvent", { type: "keyDown", text: "\r", ...enter });
  await page.send("Input.dispatchKeyEvent", { type: "keyUp", ...enter });
}

async function shows(page: Page, wanted: string): Promise<void> {
  let seen = "";
  const form = new RegExp(wanted, "s");
  for (const deadline = Date.now() + ANSWERS_WITHIN_MS; Date.now() < deadline; await pause(500)) {
    seen = String(await page.evaluate(TEXT).catch(() => ""));
    if (form.test(seen)) return;
    await loadAgainWhereAsked(page, seen);
  }
  throw new Error(`The page never said ${wanted}, but: ${seen.slice(0, 3_000)}`);
}

/** On a busy machine a part of the page may not come in time, and it says what to do. */
async function loadAgainWhereAsked(page: Page, seen: string): Promise<void> {
  if (!seen.includes("This view could not load")) return;
  await page.evaluate(`location.reload() ?? ""`);
  await pause(5_000);
}

async function keepPicture(page: Page, file: string): Promise<void> {
  const { data } = await page.send("Page.captureScreenshot", { format: "png" });
  await writeFile(file, String(data), "base64");
}

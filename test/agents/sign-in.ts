import { spawn } from "node:child_process";
import { setTimeout as pause } from "node:timers/promises";
import { stripVTControlCharacters } from "node:util";
import { startChrome } from "../support/chrome.ts";

const TIMEOUT_MS = 60_000;

export interface TerminalProgram {
  /** Run by a shell; its variables are those of `env`. */
  readonly command: string;
  readonly folder: string;
  readonly env: Readonly<Record<string, string>>;
}

/**
 * Runs a program that signs its person in: at a terminal, as it asks for, which util-linux's `script` gives it. Where it
 * names the consent page, Chrome opens that, types the code and presses Allow.
 */
export async function signInAtTerminal({ command, folder, env }: TerminalProgram, signInCode: string): Promise<string> {
  const child = spawn("script", ["--quiet", "--flush", "--return", "--command", command, "/dev/null"], {
    cwd: folder,
    env,
    stdio: ["pipe", "pipe", "pipe"],
    timeout: TIMEOUT_MS,
  });
  let said = "";
  const listen = (chunk: Buffer): void => {
    said += chunk.toString();
  };
  child.stdout.on("data", listen);
  child.stderr.on("data", listen);
  const ended = new Promise<number | null>((resolve, reject) => {
    child.once("error", reject);
    child.once("close", resolve);
  });
  const pageNamed = async (): Promise<URL> => {
    for (;;) {
      const [url] = /https?:\/\/\S+\/authorize\?\S+(?=\s)/.exec(stripVTControlCharacters(said)) ?? [];
      if (url !== undefined) return new URL(url);
      await pause(50);
    }
  };
  const page = await Promise.race([pageNamed(), ended]);
  if (page instanceof URL) await allowInChrome(page, signInCode);
  const code = await ended;
  if (code !== 0) throw new Error(`${command} ended with ${code}:\n${stripVTControlCharacters(said)}`);
  return stripVTControlCharacters(said);
}

/** Returns once the browser is back at the app. */
async function allowInChrome(consentPage: URL, signInCode: string): Promise<void> {
  await using chrome = await startChrome();
  const { page } = chrome;
  const shown = await page.open(consentPage.href);
  if (!shown.includes("to use Pincer for you?")) throw new Error(`The consent page says:\n${shown}`);
  await page.evaluate(`document.querySelector("#code").value = ${JSON.stringify(signInCode)}`);
  await page.evaluate(`document.querySelector("button.primary").click() ?? ""`);
  for (const deadline = Date.now() + TIMEOUT_MS; Date.now() < deadline; await pause(50)) {
    if ((await page.evaluate("location.origin")) !== consentPage.origin) return;
  }
  throw new Error(`After Allow the page says:\n${String(await page.evaluate("document.body.innerText"))}`);
}

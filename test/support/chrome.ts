import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { createInterface } from "node:readline";
import { findChrome } from "../../container/local/chrome/chrome.ts";
import { type Page, openPage } from "../egress/devtools.ts";
import { CACHE } from "./data-folder.ts";

export interface Chrome extends AsyncDisposable {
  readonly page: Page;
}

/** A Chrome with a fresh profile and the width of a phone, as a person would hold it. It meets our own pages alone. */
export async function startChrome(): Promise<Chrome> {
  const { endpoint, [Symbol.asyncDispose]: end } = await launchChrome("390,844");
  const page = await openPage(endpoint);
  return {
    page,
    [Symbol.asyncDispose]: async () => {
      page.close();
      await end();
    },
  };
}

/** A Chrome with a fresh profile that listens for DevTools clients. */
export async function launchChrome(windowSize: string): Promise<AsyncDisposable & { readonly endpoint: string }> {
  const profile = await mkdtemp(path.join(tmpdir(), "chrome-profile-"));
  const found = await findChrome({ dataDir: CACHE, report: () => undefined, path: process.env["PATH"] ?? "" });
  if (!found.found) throw new Error(found.problem);
  const flags = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    `--window-size=${windowSize}`,
    "--remote-debugging-port=0",
  ];
  const child = spawn(found.chrome.executable, [...flags, `--user-data-dir=${profile}`, "about:blank"], {
    env: { ...process.env, ...found.chrome.env },
    stdio: ["ignore", "ignore", "pipe"],
  });
  return {
    endpoint: await endpointOf(child),
    [Symbol.asyncDispose]: async () => {
      child.kill();
      await once(child, "exit");
      await rm(profile, { recursive: true, force: true, maxRetries: 5 });
    },
  };
}

async function endpointOf({ stderr }: ChildProcess): Promise<string> {
  if (stderr === null) throw new Error("Chrome has no stderr.");
  for await (const line of createInterface(stderr)) {
    const [endpoint] = /ws:\/\/\S+/.exec(line) ?? [];
    if (endpoint !== undefined) {
      stderr.resume();
      return endpoint;
    }
  }
  throw new Error("Chrome ended before it listened.");
}

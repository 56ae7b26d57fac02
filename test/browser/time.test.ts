import { expect, test } from "vitest";
import { type BrowserSuite, startBrowserSuite } from "./browser-suite.ts";
import { serveSite } from "./pages.ts";

/** What a deployed suite's browsers cost is known by its driver; a local one is billed by nobody. */
async function startBilled(host: string): Promise<BrowserSuite> {
  return await startBrowserSuite([host], { SANDBOX_DRIVER: "container" });
}

test("a browser's time is in its person's books while it runs and when it has ended, and no longer then", async () => {
  await using site = await serveSite("127.0.0.1", { "/": "<p>home</p>" });
  await using suite = await startBilled(site.host);
  await using ada = suite.person();
  await using bob = suite.person();
  await ada.read("browser_open", { url: `${site.origin}/` });
  await ada.ring();
  const running = await ada.nanoUsd();
  expect(running).toBeGreaterThan(0);
  await ada.evict();
  await ada.ring();
  const ended = await ada.nanoUsd();
  expect(ended).toBeGreaterThan(running);
  await ada.ring();
  expect(await ada.nanoUsd()).toBe(ended);
  expect(await bob.nanoUsd()).toBe(0);
});

test("a browser of a local suite costs nothing", async () => {
  await using site = await serveSite("127.0.0.1", { "/": "<p>home</p>" });
  await using suite = await startBrowserSuite([site.host]);
  await using ada = suite.person();
  await ada.read("browser_open", { url: `${site.origin}/` });
  await ada.evict();
  await ada.ring();
  expect(await ada.nanoUsd()).toBe(0);
});

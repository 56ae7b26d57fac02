import { expect, test } from "vitest";
import { browserNanoUsd } from "../../servers/account/prices.ts";
import { type BrowserSuite, startBrowserSuite } from "./browser-suite.ts";
import { serveSite } from "./pages.ts";

/** What a deployed suite's browsers cost is known by its driver; a local one is billed by nobody. */
async function startBilled(host: string): Promise<BrowserSuite> {
  return await startBrowserSuite([host], { settings: { SANDBOX_DRIVER: "container" } });
}

test("a browser's time is in its person's books while it runs and when it has ended, and no longer then", async () => {
  await using site = await serveSite("127.0.0.1", { "/": "<p>home</p>" });
  await using suite = await startBilled(site.host);
  await using ada = suite.person();
  await using bob = suite.person();
  await ada.read("browser_open", { url: `${site.origin}/` });
  await ada.ring();
  const running = await ada.time();
  expect(running.browserMs).toBeGreaterThan(0);
  await ada.evict();
  await ada.ring();
  const ended = await ada.time();
  expect(ended.browserMs).toBeGreaterThan(running.browserMs);
  // Each of its two stretches is rounded.
  expect(Math.abs(ended.estimatedNanoUsd - browserNanoUsd(ended.browserMs))).toBeLessThanOrEqual(1);
  await ada.ring();
  expect(await ada.time()).toEqual(ended);
  expect(await bob.time()).toEqual({ browserMs: 0, estimatedNanoUsd: 0 });
});

test("a browser of a local suite costs nothing, and its time is known", async () => {
  await using site = await serveSite("127.0.0.1", { "/": "<p>home</p>" });
  await using suite = await startBrowserSuite([site.host]);
  await using ada = suite.person();
  await ada.read("browser_open", { url: `${site.origin}/` });
  await ada.evict();
  await ada.ring();
  expect(await ada.time()).toEqual({ browserMs: expect.any(Number), estimatedNanoUsd: 0 });
  expect((await ada.time()).browserMs).toBeGreaterThan(0);
});

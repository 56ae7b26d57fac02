import puppeteer, { type Page } from "@cloudflare/puppeteer";
import { launchChrome } from "../support/chrome.ts";

/** A Chrome that a test drives as the browser's session does, without the Worker between them. */
export interface DrivenChrome extends AsyncDisposable {
  /** A blank page. */
  readonly newPage: () => Promise<Page>;
}

export async function driveChrome(): Promise<DrivenChrome> {
  const { endpoint, [Symbol.asyncDispose]: end } = await launchChrome("1280,800");
  const browser = await puppeteer.connect({ browserWSEndpoint: endpoint });
  return {
    newPage: async () => await browser.newPage(),
    [Symbol.asyncDispose]: async () => {
      await browser.disconnect();
      await end();
    },
  };
}

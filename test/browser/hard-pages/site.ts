import { readFile, readdir } from "node:fs/promises";
import { basename, join } from "node:path";
import { text } from "node:stream/consumers";
import { type Pages, type Site, serveSite } from "../pages.ts";
import { accountPages } from "./account.ts";
import { answerPages } from "./answers.ts";
import { downloadPages } from "./downloads.ts";
import { answerSocket } from "./echo-socket.ts";
import { shopPages } from "./shop.ts";
import { uploadPages } from "./uploads.ts";

/** Pages that are hard in the ways the web is, on two sites. */
export interface HardPages extends AsyncDisposable {
  readonly origin: string;
  /** What a browser has to be allowed. */
  readonly hosts: readonly string[];
  /** What the page of that name last told the server; pages tell this way what the browser is not to see. */
  readonly told: (name: string) => unknown;
}

/** Serves `name.html` as `/name` on both sites, and on the first what has to be computed. */
export async function serveHardPages(): Promise<HardPages> {
  const told = new Map<string, unknown>();
  const sites: { near?: Site; far?: Site } = {};
  const written = await writtenPages((html) =>
    html.replaceAll("NEAR_ORIGIN", sites.near?.origin ?? "").replaceAll("FAR_ORIGIN", sites.far?.origin ?? ""),
  );
  const pages = {
    ...written,
    ...(await shopPages()),
    ...accountPages(),
    ...answerPages((name, news) => told.set(name, news)),
    ...downloadPages(),
    ...uploadPages(),
    "/told/*": async (request, response) => {
      const news: unknown = JSON.parse(await text(request));
      told.set(basename(request.url ?? ""), news);
      response.end();
    },
  } satisfies Pages;
  const near = await serveSite("127.0.0.1", pages, answerSocket);
  const far = await serveSite("localhost", written);
  Object.assign(sites, { near, far });
  return {
    origin: near.origin,
    hosts: [near.host, far.host],
    told: (name) => told.get(name),
    [Symbol.asyncDispose]: async () => {
      await near[Symbol.asyncDispose]();
      await far[Symbol.asyncDispose]();
    },
  };
}

async function writtenPages(complete: (html: string) => string): Promise<Pages> {
  const folder = import.meta.dirname;
  const names = (await readdir(folder)).filter((name) => name.endsWith(".html"));
  const entries = await Promise.all(
    names.map(async (name) => {
      const html = await readFile(join(folder, name), "utf8");
      return [
        `/${basename(name, ".html")}`,
        (_request, response) => {
          response.setHeader("Content-Type", "text/html; charset=utf-8");
          response.end(complete(html));
        },
      ] satisfies [string, Pages[string]];
    }),
  );
  return Object.fromEntries(entries);
}

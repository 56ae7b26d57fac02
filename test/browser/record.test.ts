import { execFile } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import path from "node:path";
import { promisify } from "node:util";
import { expect, test } from "vitest";
import * as z from "zod";
import { openPage } from "../egress/devtools.ts";
import { launchChrome } from "../support/chrome.ts";

const RECORD = path.resolve(import.meta.dirname, "../../container/skills/pincer-browser/scripts/record.mjs");
const COUNTING = `<body><h1>0</h1><script>
  let count = 0;
  setInterval(() => {
    document.querySelector("h1").textContent = ++count;
    document.body.style.background = count % 2 ? "#ff0000" : "#0000ff";
  }, 200);
</script>`;

/** What Chrome makes of the animated PNG at `url`: the frames, and the colours that are seen. */
const LOOK = `(async (url) => {
  const decoder = new ImageDecoder({ type: "image/png", data: (await fetch(url)).body });
  await decoder.completed;
  const { frameCount } = decoder.tracks.selectedTrack;
  const colours = new Set();
  let durationMs = 0;
  for (let frameIndex = 0; frameIndex < frameCount; frameIndex++) {
    const { image } = await decoder.decode({ frameIndex });
    durationMs += image.duration / 1000;
    const context = new OffscreenCanvas(image.displayWidth, image.displayHeight).getContext("2d");
    context.drawImage(image, 0, 0);
    colours.add(Array.from(context.getImageData(image.displayWidth - 5, 100, 1, 1).data.slice(0, 3)).join());
  }
  return JSON.stringify({ frameCount, durationMs, colours: [...colours] });
})`;

const seenSchema = z.object({ frameCount: z.int(), durationMs: z.number(), colours: z.array(z.string()) });

test("the script of the skills makes a film of a page that every browser plays", async () => {
  const folder = await mkdtemp(path.join(tmpdir(), "record-"));
  const file = path.join(folder, "page.png");
  await using chrome = await launchChrome("800,600");
  const site = createServer((request, response) => {
    if (request.url === "/page.png") void readFile(file).then((bytes) => response.end(bytes));
    else response.setHeader("Content-Type", "text/html").end(COUNTING);
  });
  await once(site.listen(0, "127.0.0.1"), "listening");
  const address = site.address();
  const siteUrl = `http://127.0.0.1:${typeof address === "object" && address !== null ? address.port : 0}/`;
  const { host } = new URL(chrome.endpoint);
  const record = async (...args: readonly string[]) =>
    await promisify(execFile)(process.execPath, [RECORD, ...args], {
      env: { PATH: process.env["PATH"], BROWSER_URL: `http://${host}` },
    });

  const startedMs = Date.now();
  expect((await record(file, "4", siteUrl)).stdout).toMatch(/page\.png: 4 s, frames: \d+\n$/);
  const tookMs = Date.now() - startedMs;
  const page = await openPage(chrome.endpoint);
  await page.open(siteUrl);
  const look = async () =>
    seenSchema.parse(JSON.parse(String(await page.evaluate(`${LOOK}(${JSON.stringify(`${siteUrl}page.png`)})`))));
  const seen = await look();
  expect(seen.frameCount).toBeGreaterThanOrEqual(5);
  expect(seen.durationMs).toBeGreaterThan(2_000);
  expect(seen.durationMs).toBeLessThan(tookMs);
  expect(seen.colours).toEqual(expect.arrayContaining(["255,0,0", "0,0,255"]));

  await expect(record(file, "1", "http://127.0.0.1:9/")).rejects.toMatchObject({
    stderr: expect.stringContaining("net::ERR_"),
  });
  await expect(record(file, "1000")).rejects.toMatchObject({ stderr: expect.stringMatching(/^Usage/) });
  page.close();
  site.closeAllConnections();
  site.close();
  await rm(folder, { recursive: true });
});

test("without an address the script records the page that is open, and leaves it open", async () => {
  const folder = await mkdtemp(path.join(tmpdir(), "record-"));
  await using chrome = await launchChrome("800,600");
  const { host } = new URL(chrome.endpoint);
  const pages = async (): Promise<unknown> => {
    const targets = z.array(z.looseObject({ id: z.string(), type: z.string() }));
    const listed = targets.parse(await (await fetch(`http://${host}/json/list`)).json());
    return listed.filter(({ type }) => type === "page").map(({ id }) => id);
  };
  const before = await pages();
  const { stdout } = await promisify(execFile)(process.execPath, [RECORD, path.join(folder, "open.png"), "3"], {
    env: { PATH: process.env["PATH"], BROWSER_URL: `http://${host}` },
  });
  expect(stdout).toMatch(/open\.png: 3 s, frames: \d+\n$/);
  expect(await pages()).toEqual(before);
  await rm(folder, { recursive: true });
});

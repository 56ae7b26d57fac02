import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { PageLog } from "../../servers/browser/reading/page-log.ts";
import { type DrivenChrome, driveChrome } from "./driven-chrome.ts";
import { type Site, redirectTo, serveSite } from "./pages.ts";

let chrome: DrivenChrome;
let near: Site;
let far: Site;
beforeAll(async () => {
  chrome = await driveChrome();
  far = await serveSite("localhost", {
    "/inner": "<script>console.log('from the frame')</script>",
    "/data": (_request, response) => response.writeHead(200, { "Access-Control-Allow-Origin": "*" }).end("x"),
  });
  near = await serveSite("127.0.0.1", {
    "/console": `<script>
console.log("plain", 1, true, null, { a: 1, b: "two", c: [1] }, [1, "2"]);
console.warn("%s of %d%% %cstyled", "half", 50, "color: red", "end");
console.error(new Error("gone wrong"));
console.assert(1 === 2, "sums");
console.log("[e5] button", "line\\nbreak");
console.log("y".repeat(5000));
for (let n = 0; n < 3; n += 1) console.info("again");
Promise.reject(new TypeError("in a promise"));
undefined.x;
</script>`,
    "/network": `<img src="/none.png?size=2"><iframe src="${far.origin}/inner"></iframe><script type="module">
      await fetch("/moved"); await fetch("${far.origin}/data", { method: "POST", body: "secret" });
      await fetch("http://127.0.0.1:1/").catch(() => 0); await fetch("data:,x");
      await fetch("/" + "q".repeat(1000)); document.title = "done"</script>`,
    "/moved": redirectTo("/there"),
    "/there": "there",
    "/worker": `<script>new Worker("/worker.js")</script>`,
    "/worker.js": (_request, response) =>
      response.writeHead(200, { "Content-Type": "text/javascript" }).end("console.log('from the worker')"),
    "/loop": `<script>setInterval(() => { for (let n = 0; n < 200; n += 1) console.log("loop", n, { n }) }, 10)</script>`,
  });
});
afterAll(async () => {
  await chrome[Symbol.asyncDispose]();
  await near[Symbol.asyncDispose]();
  await far[Symbol.asyncDispose]();
});

async function open(path: string): Promise<PageLog> {
  const page = await chrome.newPage();
  const log = new PageLog(page);
  await page.goto(`${near.origin}${path}`);
  return log;
}

describe("a page's console", () => {
  test("is kept as lines that say who said it", async () => {
    const log = await open("/console");
    await expect.poll(() => log.consoleLines().length).toBeGreaterThanOrEqual(10);
    expect(log.consoleLines()).toEqual([
      `page: ${near.origin}/console`,
      'log: plain 1 true null {a: 1, b: "two", c: Array(1)} [1, "2"] (console:2)',
      "warning: half of 50% styled end (console:3)",
      "error: Error: gone wrong (console:4)",
      "error: assertion failed: sums (console:5)",
      "log: (e5] button line break (console:6)",
      expect.stringMatching(/^log: y{280,300}… \(console:7\)$/),
      "info: again (console:8) (3 times)",
      "error: Uncaught TypeError: Cannot read properties of undefined (reading 'x') (console:10)",
      "error: Uncaught (in promise) TypeError: in a promise (console:9)",
    ]);
  });

  test("has what frames of other sites and workers say", async () => {
    const network = await open("/network");
    await expect.poll(() => network.consoleLines()).toContain("log: from the frame (inner:1)");
    const worker = await open("/worker");
    await expect.poll(() => worker.consoleLines()).toContain("log: from the worker (worker.js:1)");
  });

  test("that is written to without end is switched off, so that calls go on", async () => {
    const page = await chrome.newPage();
    const log = new PageLog(page);
    await page.goto(`${near.origin}/loop`);
    await expect.poll(() => log.consoleLines()).toContain("page: logs without end, and was made to stop");
    expect(log.consoleLines()[0]).toMatch(/^… \d+ more lines left out$/);
    expect(log.consoleLines().length).toBeLessThanOrEqual(201);
    await page.evaluate("console.log('nobody hears this')");
    expect(log.consoleLines().join("\n")).not.toContain("nobody hears");
    await page.close();
  });
});

describe("a page's requests", () => {
  test("are kept with their status and time, and nothing that is secret", async () => {
    const log = await open("/network");
    await expect.poll(() => log.networkLines().join("\n")).toMatch(/\/q+… \d+ ms/);
    const lines = log.networkLines().map((line) => line.replace(/\d+ ms$/, "n ms"));
    for (const line of [
      "GET 200 /network n ms",
      "GET 404 /none.png?size=2 n ms",
      `GET 200 ${far.origin}/inner n ms`,
      "GET 302 /moved n ms",
      "GET 200 /there n ms",
      `POST 200 ${far.origin}/data n ms`,
      expect.stringMatching(/^GET failed \(.+\) http:\/\/127\.0\.0\.1:1\/ n ms$/),
    ]) {
      expect(lines).toContainEqual(line);
    }
    expect(lines.join("\n")).not.toMatch(/secret|data:/);
    expect(Math.max(...lines.map((line) => line.length))).toBeLessThan(300);
  });

  test("show no user name and no password", async () => {
    const page = await chrome.newPage();
    const log = new PageLog(page);
    await page.goto(`http://ann:pass@${near.host}/there`);
    expect(log.networkLines().join("\n")).toMatch(/^GET 200 \/there \d+ ms/);
    expect([...log.networkLines(), ...log.consoleLines()].join("\n")).not.toMatch(/ann|pass/);
  });
});

import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { commandOf, killAll, treeOf } from "../egress/processes.ts";
import { type BrowserSuite, type Person, startBrowserSuite } from "./browser-suite.ts";
import { type Site, serveSite, silence } from "./pages.ts";

let site: Site;
let suite: BrowserSuite;
/** A browser outlives what its pages do: one serves all the tests of pages. */
let person: Person;
beforeAll(async () => {
  site = await serveSite("127.0.0.1", {
    "/": "<title>Home</title><p>home</p><button>Go</button>",
    "/cookie": (request, response) => {
      response.writeHead(200, { "Content-Type": "text/html", "Set-Cookie": "who=me; Max-Age=3600" });
      response.end(`<p>cookie: ${request.headers.cookie ?? "none"}</p>`);
    },
    "/silent": silence,
    "/endless": (_request, response) =>
      void response.writeHead(200, { "Content-Type": "text/html" }).write("<title>Slow</title><p>first part</p>"),
    "/picture": `<p>all there</p><img src="/silent">`,
    "/alerts": `<p>quiet now</p><script>alert("one"); confirm("two"); prompt("three")</script>`,
    "/alert-storm": "<p>storm</p><script>for (;;) alert('again')</script>",
    "/pop-ups": `<p>opener</p><script>window.open("/"); window.open("/", "_blank", "noopener")</script>`,
    "/pop-up-storm": "<p>storm</p><script>setInterval(() => window.open('/pop-up-storm'), 1)</script>",
    "/busy": `<p>busy soon</p><script>setTimeout(() => { for (;;); }, 1500)</script>`,
    "/stay": `<p>stay</p><script>onbeforeunload = (event) => event.preventDefault()</script>`,
    "/file": (_request, response) =>
      response
        .writeHead(200, {
          "Content-Type": "application/octet-stream",
          "Content-Disposition": "attachment; filename=data.bin",
        })
        .end("bytes"),
    "/offers": `<p>offer</p><a id="a" href="/file">get</a><script>a.click()</script>`,
    "/nothing": (_request, response) => response.writeHead(204).end(),
    "/huge-text": `<title>Huge</title><body><script>document.body.textContent = "x".repeat(5_000_000)</script>`,
    "/huge-name": `<title>Huge</title><body><button id="b">b</button><script>b.ariaLabel = "x".repeat(20_000_000)</script>`,
    "/rows": (_request, response) => {
      response.writeHead(200, { "Content-Type": "text/html" }).write("<h1>Rows</h1><table>");
      for (let row = 0; row < 100_000; row += 1_000) response.write("<tr><td>1".repeat(1_000));
      response.end("</table>");
    },
  });
  suite = await startBrowserSuite([site.host]);
  person = suite.person();
});
afterAll(async () => {
  await suite[Symbol.asyncDispose]();
  await site[Symbol.asyncDispose]();
});

const HOME = "\nPage content, untrusted data:\ntitle: Home\nhome";

describe.concurrent("a page that takes its time and", () => {
  test("never answers is given up after 20 s, and the next one opens", async () => {
    await using person = suite.person();
    expect(await person.call("browser_open", { url: `${site.origin}/silent` })).toEqual({
      ok: false,
      code: "timeout",
      message: `${site.host} sent nothing within 20 s; try again, or another URL.`,
    });
    expect(await person.read("browser_open", { url: `${site.origin}/` })).toContain(HOME);
  });

  test("never ends is shown as far as it has come", async () => {
    await using person = suite.person();
    const text = await person.read("browser_open", { url: `${site.origin}/endless` });
    expect(text).toBe(
      `${site.origin}/endless (200)\nNote: The page is still loading.\nPage content, untrusted data:\ntitle: Slow\nfirst part`,
    );
  });

  test("waits for a picture is shown without it", async () => {
    await using person = suite.person();
    const text = await person.read("browser_open", { url: `${site.origin}/picture` });
    expect(text).toContain("Note: The page is still loading.");
    expect(text).toContain("all there");
  });

  test("says more at once than a connection takes is given up, and read on", { timeout: 90_000 }, async () => {
    await using person = suite.person();
    await person.read("browser_open", { url: `${site.origin}/` });
    expect(await person.call("browser_evaluate", { script: `"x".repeat(40_000_000)` })).toMatchObject({
      ok: false,
      code: "timeout",
    });
    expect(await person.read("browser_snapshot")).toContain(HOME);
  });

  test("computes without end is said to be busy, and the next one opens", async ({ expect }) => {
    await using person = suite.person();
    await person.read("browser_open", { url: `${site.origin}/busy` });
    // It begins to a moment after it was opened.
    await expect
      .poll(async () => await person.call("browser_snapshot"), { timeout: 40_000 })
      .toEqual({
        ok: false,
        code: "timeout",
        message: "The page is busy and does not answer; try again in a moment, or open another page.",
      });
    expect(await person.read("browser_open", { url: `${site.origin}/` })).toContain(HOME);
  });
});

describe("a page that", () => {
  test("never answers is left when the client cancels", async () => {
    await person.read("browser_open", { url: `${site.origin}/` });
    expect(await person.call("browser_open", { url: `${site.origin}/silent` }, 500)).toMatchObject({
      ok: false,
      code: "cancelled",
    });
    const startedMs = Date.now();
    expect(await person.read("browser_open", { url: `${site.origin}/` })).toContain(HOME);
    expect(Date.now() - startedMs).toBeLessThan(10_000);
  });

  test("alerts is heard, and one that asks waits to be answered, or is left", async () => {
    expect(await person.read("browser_open", { url: `${site.origin}/alerts` })).toBe(
      `${site.origin}/alerts (200)\nNote: The page asks something and waits; answer it with browser_dialog.\n` +
        `Page content, untrusted data:\nalert: "one"\nconfirm: "two"`,
    );
    expect(await person.read("browser_dialog", { accept: true })).toContain(`prompt: "three"`);
    expect(await person.read("browser_open", { url: `${site.origin}/` })).toContain(HOME);
  });

  test("opens dialogs without end is closed, and the next one opens", async () => {
    expect(await person.call("browser_open", { url: `${site.origin}/alert-storm` })).toEqual({
      ok: false,
      code: "unavailable",
      message: "The page opened dialogs without end and was closed; open another one with browser_open.",
    });
    expect(await person.read("browser_open", { url: `${site.origin}/` })).toContain(HOME);
  });

  test("opens pop-ups stays the one that is shown, and they are other tabs", async () => {
    await using person = suite.person();
    const text = await person.read("browser_open", { url: `${site.origin}/pop-ups` });
    expect(text).toContain("opener");
    await expect.poll(async () => (await person.call("browser_open", { tab: "3" })).ok).toBe(true);
    expect(await person.read("browser_open", { tab: "1" })).toContain(`${site.origin}/pop-ups`);
  });

  test("opens pop-ups without end is closed, and the next one opens", async () => {
    const before = site.asked.length;
    await person.call("browser_open", { url: `${site.origin}/pop-up-storm` });
    await expect
      .poll(async () => await person.call("browser_snapshot"))
      .toEqual({
        ok: false,
        code: "unavailable",
        message: "The page opened pop-ups without end and was closed; open another one with browser_open.",
      });
    // As many as there may be tabs; the others load nothing.
    expect(site.asked.slice(before).filter((path) => path === "/pop-up-storm").length).toBeLessThanOrEqual(8);
    expect(await person.read("browser_open", { url: `${site.origin}/` })).toContain(HOME);
  });

  test("opened pop-ups without end leaves none, and costs no page that is opened after it", async () => {
    await using person = suite.person();
    for (let round = 0; round < 2; round += 1) {
      await person.call("browser_open", { url: `${site.origin}/pop-up-storm` });
      await expect
        .poll(async () => await person.call("browser_snapshot"))
        .toMatchObject({ ok: false, code: "unavailable", message: expect.stringContaining("pop-ups without end") });
      await person.read("browser_open", { url: `${site.origin}/` });
      await expectOnlyHome(person);
    }
  });

  test("opens pop-ups without end and is left before it is closed takes them along", async () => {
    await using person = suite.person();
    await person.call("browser_open", { url: `${site.origin}/pop-up-storm` });
    await expect.poll(async () => (await person.call("browser_open", { url: `${site.origin}/` })).ok).toBe(true);
    await expect.poll(async () => (await openTabs(person)).length).toBeLessThan(2);
    await person.read("browser_open", { url: `${site.origin}/` });
    await expectOnlyHome(person);
  });

  test("does not want to be left is left", async () => {
    await person.read("browser_open", { url: `${site.origin}/stay` });
    expect(await person.read("browser_open", { url: `${site.origin}/` })).toContain(HOME);
  });

  test("is a download is kept, asked for by name or by the page itself", async () => {
    const linked = {
      type: "link",
      path: expect.stringContaining("artifacts/"),
      mimeType: expect.any(String),
      sizeBytes: 5,
    };
    expect(await person.call("browser_open", { url: `${site.origin}/file` })).toMatchObject({
      ok: true,
      text: expect.stringContaining("Note: That is a file and no page; it is kept in files."),
      attachments: [linked],
    });
    expect(await person.read("browser_open", { url: `${site.origin}/offers` })).toContain("offer");
    await expect.poll(() => site.asked.filter((path) => path === "/file").length).toBe(2);
  });

  test("answers without content, or not at all, is said to", async () => {
    expect(await person.call("browser_open", { url: `${site.origin}/nothing` })).toMatchObject({
      ok: false,
      code: "unavailable",
    });
  });

  test.each(["/huge-text", "/rows"])(
    "is too large to be read, as %s, says so, and the next one opens",
    async (path) => {
      expect(await person.read("browser_open", { url: `${site.origin}${path}` })).toMatch(
        /\(200\)\nNote: The page is (busy|too large)/,
      );
      expect(await person.call("browser_snapshot")).toEqual({
        ok: false,
        code: "too_large",
        message: "The page is too large to be read; take a browser_screenshot, or open another page.",
      });
      expect(await person.read("browser_screenshot")).toContain("1280×800 pixels");
      expect(await person.read("browser_open", { url: `${site.origin}/` })).toContain(HOME);
    },
  );

  test("answers with more than a message may hold breaks the connection only, and the next one opens", async () => {
    await person.read("browser_open", { url: `${site.origin}/cookie` });
    await person.call("browser_open", { url: `${site.origin}/huge-name` });
    expect(await person.read("browser_open", { url: `${site.origin}/` })).toContain(HOME);
    expect(await person.read("browser_open", { url: `${site.origin}/cookie` })).toContain("cookie: who=me");
  });
});

describe("a browser", () => {
  test("keeps its page, its refs and its cookies through an eviction", async () => {
    await using person = suite.person();
    await person.read("browser_open", { url: `${site.origin}/cookie` });
    await person.read("browser_open", { url: `${site.origin}/` });
    const before = await person.read("browser_snapshot");
    await person.evict();
    expect(await person.read("browser_snapshot")).toBe(before);
    expect(await person.read("browser_open", { url: `${site.origin}/cookie` })).toContain("cookie: who=me");
  });

  test("that was unused is closed, says so, and starts again without its cookies", async () => {
    await person[Symbol.asyncDispose]();
    // Those of earlier tests take a moment to end.
    await expect.poll(suite.countChromes).toBe(0);
    await person.read("browser_open", { url: `${site.origin}/cookie` });
    expect(await suite.countChromes()).toBe(1);
    await person.evict();
    await person.ring();
    await expect.poll(suite.countChromes).toBe(0);
    expect(await person.call("browser_snapshot")).toEqual({
      ok: false,
      code: "unavailable",
      message: "The browser has ended, after ten minutes unused or by a crash; open the page again with browser_open.",
    });
    expect(await person.read("browser_open", { url: `${site.origin}/cookie` })).toContain("cookie: none");
    await person[Symbol.asyncDispose]();
  });

  test("in use is not closed by its alarm", async () => {
    await using person = suite.person();
    await person.read("browser_open", { url: `${site.origin}/` });
    await person.ring();
    expect(await person.read("browser_snapshot")).toContain(HOME);
  });

  test("whose Chrome is killed during a call says so, and the next page opens", async () => {
    await using person = suite.person();
    await person.read("browser_open", { url: `${site.origin}/` });
    const before = site.asked.length;
    const pending = person.call("browser_open", { url: `${site.origin}/silent` });
    await expect.poll(() => site.asked.slice(before)).toContain("/silent");
    await killChromes((command) => !command.includes("--type="));
    expect(await pending).toEqual({
      ok: false,
      code: "unavailable",
      message: "Chrome has ended; open the page again with browser_open.",
    });
    const text = await person.read("browser_open", { url: `${site.origin}/` });
    expect(text).toContain("Note: The browser had ended; this is a new one, without its cookies.");
    expect(text).toContain(HOME);
  });

  test("whose page crashes says so, and keeps its cookies for the next", async () => {
    await using person = suite.person();
    await person.read("browser_open", { url: `${site.origin}/cookie` });
    await killChromes((command) => command.includes("--type=renderer"));
    await expect
      .poll(async () => await person.call("browser_snapshot"))
      .toEqual({
        ok: false,
        code: "unavailable",
        message: "The page crashed; open it, or another one, with browser_open.",
      });
    expect(await person.read("browser_open", { url: `${site.origin}/cookie` })).toContain("cookie: who=me");
  });

  test("of one person, or of another name, shows nothing of another's", async () => {
    await using ada = suite.person();
    await using bob = suite.person();
    await ada.read("browser_open", { url: `${site.origin}/cookie` });
    expect(await bob.call("browser_snapshot")).toMatchObject({ ok: false, code: "not_found" });
    expect(await ada.call("browser_snapshot", { browser: "other" })).toMatchObject({ ok: false, code: "not_found" });
    expect(await bob.read("browser_open", { url: `${site.origin}/cookie` })).toContain("cookie: none");
  });

  test("takes calls in turns", async () => {
    await using person = suite.person();
    const opened = await Promise.all(
      ["/", "/cookie", "/stay", "/"].map((path) => person.read("browser_open", { url: `${site.origin}${path}` })),
    );
    expect(opened.map((text) => /home|cookie|stay$/.exec(text)?.[0])).toEqual(["home", "cookie", "stay", "home"]);
  });
});

/** Their numbers. */
async function openTabs(person: Person): Promise<string[]> {
  const answer = await person.call("browser_open", { tab: "999" });
  if (answer.ok || answer.code !== "not_found") throw new Error(JSON.stringify(answer));
  return answer.message.match(/\d+(?=[,.])/g) ?? [];
}

/** What is being closed has time to open something. */
async function expectOnlyHome(person: Person): Promise<void> {
  const endsMs = Date.now() + 500;
  while (Date.now() < endsMs) {
    expect(await openTabs(person)).toHaveLength(1);
    expect(await person.read("browser_snapshot")).toContain(HOME);
  }
}

/** Kills the Chrome processes below this test whose command line fits. */
async function killChromes(fits: (command: string) => boolean): Promise<void> {
  for (const pid of await treeOf(process.pid)) {
    const command = await commandOf(pid);
    if (/^\S*(chrome|chromium)\S* .*--remote-debugging|--type=renderer/.test(command) && fits(command)) killAll([pid]);
  }
}

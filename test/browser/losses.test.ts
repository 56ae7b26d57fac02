import { afterAll, beforeAll, expect, test } from "vitest";
import { commandOf, killAll, treeOf } from "../egress/processes.ts";
import { type BrowserSuite, startBrowserSuite } from "./browser-suite.ts";
import { type Site, serveSite, silence } from "./pages.ts";

let site: Site;
let suite: BrowserSuite;
beforeAll(async () => {
  site = await serveSite("127.0.0.1", {
    "/": "<title>Home</title><p>home</p>",
    "/cookie": ({ headers }, response) => {
      response.writeHead(200, { "Content-Type": "text/html", "Set-Cookie": "who=me; Max-Age=3600" });
      response.end(`<p>cookie: ${headers.cookie ?? "none"}</p>`);
    },
    "/silent": silence,
    "/hungry": `<p>hungry</p><button onclick="eat()">Eat</button><script>
      function eat() { const all = []; for (;;) all.push(new Array(16_000_000).fill(0.5)); }
    </script>`,
  });
  suite = await startBrowserSuite([site.host]);
});
afterAll(async () => {
  await suite[Symbol.asyncDispose]();
  await site[Symbol.asyncDispose]();
});

const HOME = "\nPage content, untrusted data:\ntitle: Home\nhome";
/** When a page that never answers has been asked for. */
const isWaiting = (): boolean => site.asked.at(-1) === "/silent";

test("a session that is evicted during a call says so, and its browser goes on with its cookies", async () => {
  await using person = suite.person();
  await person.read("browser_open", { url: `${site.origin}/cookie` });
  const pending = person.call("browser_open", { url: `${site.origin}/silent` });
  await expect.poll(isWaiting).toBe(true);
  await person.evict();
  expect(await pending).toEqual({
    ok: false,
    code: "unavailable",
    message: "The call was interrupted, and the browser goes on; look with browser_snapshot how far it came.",
  });
  expect(await person.read("browser_open", { url: `${site.origin}/cookie` })).toContain("cookie: who=me");
});

test("a page that crashes during a call says so, and the next one opens with its cookies", async () => {
  await using person = suite.person();
  await person.read("browser_open", { url: `${site.origin}/cookie` });
  const pending = person.call("browser_evaluate", { script: "fetch('/silent').then(String)" });
  await expect.poll(isWaiting).toBe(true);
  for (const pid of await treeOf(process.pid)) {
    if ((await commandOf(pid)).includes("--type=renderer")) killAll([pid]);
  }
  expect(await pending).toEqual({
    ok: false,
    code: "unavailable",
    message: "The page crashed; open it, or another one, with browser_open.",
  });
  expect(await person.read("browser_open", { url: `${site.origin}/cookie` })).toContain("cookie: who=me");
});

test("a page that eats all the memory it may have says so, and the next one opens with its cookies", async () => {
  await using person = suite.person();
  await person.read("browser_open", { url: `${site.origin}/cookie` });
  const ref = /\[(e\d+)\] button/.exec(await person.read("browser_open", { url: `${site.origin}/hungry` }))?.[1];
  expect(await person.call("browser_click", { ref })).toEqual({
    ok: false,
    code: "unavailable",
    message: "The page crashed; open it, or another one, with browser_open.",
  });
  expect(await person.read("browser_open", { url: `${site.origin}/cookie` })).toContain("cookie: who=me");
});

test("a network that is gone is said to be, and the next browser uses it when it is back", async () => {
  await using person = suite.person();
  await person.read("browser_open", { url: `${site.origin}/` });
  await suite.cutNetwork();
  expect(await person.call("browser_open", { url: `${site.origin}/cookie` })).toEqual({
    ok: false,
    code: "unavailable",
    message: expect.stringMatching(/^127\.0\.0\.1:\d+ could not be reached/),
  });
  await suite.restoreNetwork();
  // A Chrome is bound to the proxy that it was started with.
  await person.read("browser_close");
  expect(await person.read("browser_open", { url: `${site.origin}/` })).toContain(HOME);
});

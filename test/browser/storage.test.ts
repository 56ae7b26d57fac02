import { afterAll, beforeAll, expect, test } from "vitest";
import { type BrowserSuite, startBrowserSuite } from "./browser-suite.ts";
import { type Site, serveSite } from "./pages.ts";

/** The same pages at two sites: what either keeps is its own. */
let site: Site;
let other: Site;
let suite: BrowserSuite;

const KEEPS = `<meta charset="utf-8"><p>kept</p><script>
  localStorage.visits = Number(localStorage.visits ?? 0) + 1;
  localStorage['a "b" ключ'] = "line\\n\\u2028\\\\";
  sessionStorage.step = "two";
</script>`;
const SHOWS = `<p id="p"></p><script>
  p.textContent = [localStorage.visits, sessionStorage.step, document.cookie].map((kept) => kept || "nothing").join("; ");
</script>`;
const LOCAL_ITEMS = [
  { name: 'a "b" ключ', value: "line\n\u2028\\" },
  { name: "visits", value: "1" },
];

beforeAll(async () => {
  const pages: Parameters<typeof serveSite>[1] = {
    "/sign-in": (_request, response) => {
      response.setHeader("Set-Cookie", [
        "session=secret-1; HttpOnly; SameSite=Lax",
        "lasting=secret-2; Max-Age=86400; Path=/; SameSite=Strict",
      ]);
      response.writeHead(200, { "Content-Type": "text/html" }).end(KEEPS);
    },
    "/shows": SHOWS,
    "/who": ({ headers }, response) =>
      response.writeHead(200, { "Content-Type": "text/html" }).end(`<p>cookie: ${headers.cookie ?? "none"}</p>`),
    "/frame": ({ url }, response) =>
      response
        .writeHead(200, { "Content-Type": "text/html" })
        .end(`<iframe src="${url?.split("?")[1] ?? ""}"></iframe>`),
  };
  site = await serveSite("127.0.0.1", pages);
  other = await serveSite("localhost", pages);
  suite = await startBrowserSuite([site.host, other.host]);
});
afterAll(async () => {
  await suite[Symbol.asyncDispose]();
  await site[Symbol.asyncDispose]();
  await other[Symbol.asyncDispose]();
});

test("cookies, and storage of every site that the page has been at, go over into a new browser", async () => {
  await using ada = suite.person();
  await ada.read("browser_open", { url: `${other.origin}/sign-in` });
  await ada.read("browser_open", { url: `${site.origin}/sign-in` });
  const state = await ada.save();
  const cookies = ["localhost", "127.0.0.1"].flatMap((domain) => [
    {
      domain,
      path: "/",
      name: "session",
      value: "secret-1",
      expires: -1,
      httpOnly: true,
      secure: false,
      sameSite: "Lax",
    },
    {
      ...{ domain, path: "/", name: "lasting", value: "secret-2", expires: expect.any(Number) },
      ...{ httpOnly: false, secure: false, sameSite: "Strict" },
    },
  ]);
  expect(JSON.parse(state)).toEqual({
    cookies,
    origins: [
      { origin: site.origin, localStorage: LOCAL_ITEMS, sessionStorage: [{ name: "step", value: "two" }] },
      { origin: other.origin, localStorage: LOCAL_ITEMS },
    ],
  });
  // The page is where it was.
  expect(await ada.read("browser_snapshot")).toContain("kept");

  await using bob = suite.person();
  await bob.load(state);
  // Neither took a request.
  expect([...site.asked, ...other.asked]).toEqual(["/sign-in", "/sign-in"]);
  expect(await bob.read("browser_open", { url: `${site.origin}/shows` })).toContain("\n1; two; lasting=secret-2");
  expect(await bob.read("browser_open", { url: `${site.origin}/who` })).toContain("session=secret-1; lasting=secret-2");
  expect(await bob.read("browser_open", { url: `${other.origin}/shows` })).toContain("\n1; nothing; lasting=secret-2");
});

test("what is loaded comes once: a site that changes it later keeps its change", async () => {
  await using ada = suite.person();
  await ada.load(
    JSON.stringify({ origins: [{ origin: site.origin, localStorage: [{ name: "visits", value: "41" }] }] }),
  );
  await ada.read("browser_open", { url: `${site.origin}/sign-in` });
  expect(await ada.read("browser_open", { url: `${site.origin}/shows` })).toContain("\n42; two; ");
});

test("what a site keeps within another's page alone stays out", async () => {
  await using ada = suite.person();
  const text = await ada.read("browser_open", { url: `${site.origin}/frame?${other.origin}/sign-in` });
  expect(text).toContain("kept");
  expect(JSON.parse(await ada.save())).toEqual({ cookies: [], origins: [] });
});

test("a person's browsers, and those of others, know nothing of what another keeps", async () => {
  await using ada = suite.person();
  await using bob = suite.person();
  await ada.read("browser_open", { url: `${site.origin}/sign-in` });
  const shown = "\nnothing; nothing; nothing";
  expect(await ada.read("browser_open", { url: `${site.origin}/shows`, browser: "second" })).toContain(shown);
  expect(await bob.read("browser_open", { url: `${site.origin}/shows` })).toContain(shown);
  expect(await ada.read("browser_open", { url: `${site.origin}/shows` })).toContain("\n1; two; lasting=secret-2");
});

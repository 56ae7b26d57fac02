import { afterAll, beforeAll, expect, test } from "vitest";
import { type BrowserSuite, type Person, startBrowserSuite } from "./browser-suite.ts";
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

const STATE = "browsers/main.json";

async function read(person: Person): Promise<string> {
  return new TextDecoder().decode(await person.readFile(STATE));
}

async function write(person: Person, content: string): Promise<void> {
  await person.writeFile(STATE, new TextEncoder().encode(content));
}

/** Closes the browser; what it kept. */
async function save(person: Person): Promise<unknown> {
  await person.read("browser_close", { save_storage: STATE });
  return JSON.parse(await read(person));
}

test("cookies, and storage of every site that the tabs have been at, go over into a new browser", async () => {
  await using ada = suite.person();
  await ada.read("browser_open", { url: `${other.origin}/sign-in` });
  await ada.read("browser_open", { url: `${site.origin}/sign-in` });
  expect(JSON.parse(await ada.read("browser_close", { save_storage: STATE }))).toEqual({
    closed: "main",
    saved: "4 cookies and 5 items of 2 sites",
  });
  const cookies = ["localhost", "127.0.0.1"].flatMap((domain) => [
    {
      ...{ domain, path: "/", name: "session", value: "secret-1", expires: -1 },
      ...{ httpOnly: true, secure: false, sameSite: "Lax" },
    },
    {
      ...{ domain, path: "/", name: "lasting", value: "secret-2", expires: expect.any(Number) },
      ...{ httpOnly: false, secure: false, sameSite: "Strict" },
    },
  ]);
  const state = await read(ada);
  expect(JSON.parse(state)).toEqual({
    cookies,
    origins: [
      { origin: site.origin, localStorage: LOCAL_ITEMS, sessionStorage: [{ name: "step", value: "two" }] },
      { origin: other.origin, localStorage: LOCAL_ITEMS },
    ],
  });

  await using bob = suite.person();
  await write(bob, state);
  expect(await bob.read("browser_open", { url: `${site.origin}/shows`, storage: STATE })).toContain(
    "\n1; two; lasting=secret-2",
  );
  // Neither to save nor to load took a request.
  expect([...site.asked, ...other.asked]).toEqual(["/sign-in", "/shows", "/sign-in"]);
  expect(await bob.read("browser_open", { url: `${site.origin}/who` })).toContain("session=secret-1; lasting=secret-2");
  expect(await bob.read("browser_open", { url: `${other.origin}/shows` })).toContain("\n1; nothing; lasting=secret-2");
});

test("what is loaded comes once: a site that changes it later keeps its change", async () => {
  await using ada = suite.person();
  const origins = [{ origin: site.origin, localStorage: [{ name: "visits", value: "41" }] }];
  await write(ada, JSON.stringify({ origins }));
  await ada.read("browser_open", { url: `${site.origin}/sign-in`, storage: STATE });
  expect(await ada.read("browser_open", { url: `${site.origin}/shows` })).toContain("\n42; two; ");
});

test("what other tabs' sites keep is saved too, and closing one tab leaves all tabs as they are", async () => {
  await using ada = suite.person();
  await ada.read("browser_open", { url: `${site.origin}/sign-in` });
  await ada.read("browser_open", { url: `${other.origin}/sign-in`, tab: "new" });
  await ada.read("browser_open", { url: `${other.origin}/shows`, tab: "new" });
  await ada.read("browser_close", { save_storage: STATE, tab: 3 });
  expect(JSON.parse(await read(ada))).toMatchObject({
    origins: [{ origin: other.origin }, { origin: site.origin }],
  });
  await ada.read("browser_open", { url: `${site.origin}/who`, tab: "new" });
  await ada.read("browser_open", { tab: "2" });
  await ada.read("browser_close", { tab: 4 });
  expect(await ada.read("browser_snapshot")).toContain(`${other.origin}/sign-in`);
  expect(await ada.read("browser_open", { tab: "1" })).toMatch(/sign-in\nPage content, untrusted data:\n.*kept/s);
  expect(await ada.call("browser_open", { tab: "4" })).toMatchObject({
    message: "There is no tab 4; open are: 1, 2.",
  });
});

test("what a site keeps within another's page alone stays out", async () => {
  await using ada = suite.person();
  const text = await ada.read("browser_open", { url: `${site.origin}/frame?${other.origin}/sign-in` });
  expect(text).toContain("kept");
  expect(await save(ada)).toEqual({ cookies: [], origins: [] });
});

test.each([
  ['{"cookies":[{"name":"a","value":"secret","domain":7}]}', "(cookies.0.domain is not as it should be)"],
  [
    '{"cookies":[{"name":"a=;\\u0000","value":"secret","domain":"a.example"}]}',
    "Chrome does not take what that file holds;",
  ],
])("a file that holds something else is refused, and nothing of it repeated", async (content, message) => {
  await using ada = suite.person();
  await write(ada, content);
  const answer = await ada.call("browser_open", { url: `${site.origin}/shows`, storage: STATE });
  expect(answer).toMatchObject({ ok: false, code: "invalid_input", message: expect.stringContaining(message) });
  expect(JSON.stringify(answer)).not.toContain("secret");
  expect(await ada.read("browser_open", { url: `${site.origin}/shows` })).toContain("\nnothing; nothing; nothing");
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

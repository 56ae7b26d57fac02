import { createExecutionContext, reset } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterEach, describe, expect, test, vi } from "vitest";
import { localUserId } from "../../auth/local.ts";
import { ToolError } from "../../servers/shared/errors.ts";
import worker from "../../servers/worker.ts";
import { Visit } from "./account-suite.ts";
import { ENDPOINTS, ORIGIN, startSuite } from "./auth-suite.ts";
import { rules } from "./gate-suite.ts";
import { NAVIGATION, type PreviewSuite, cookieOf, previewSuite } from "./preview-suite.ts";

afterEach(async () => {
  await reset();
});

const OWNER = await localUserId();
const OTHER = "b".repeat(32);

/** A preview, and a browser that has come to it by its share link. */
async function shared(suite: PreviewSuite, seconds = 600): Promise<{ url: string; share: string; cookie: string }> {
  const { url, shareUrl: share = "" } = await suite.previews.share("main", 3000, seconds);
  const cookie = cookieOf(await suite.visit(share));
  return { url, share, cookie };
}

/** The cookie of its person, who has signed in. */
async function persons(suite: PreviewSuite, url: string): Promise<string> {
  const browser = new Visit(startSuite({ bindings: env }));
  await browser.signIn();
  const back = await browser.get(`/account/preview?label=${new URL(url).hostname.split(".")[0]}&to=/`);
  return cookieOf(await suite.visit(back.headers.get("Location") ?? ""));
}

describe("the way in of its person", () => {
  test("leads through the account's pages and back, to the page that was asked for, with a cookie of its own", async () => {
    const suite = previewSuite(OWNER);
    const { url } = await suite.previews.expose("main", 3000);
    const away = await suite.visit(`${url}app/page?x=1`);
    expect(away.status).toBe(302);
    const account = away.headers.get("Location") ?? "";
    expect(account).toBe(
      `${ORIGIN}/account/preview?label=${new URL(url).hostname.split(".")[0]}&to=${encodeURIComponent("/app/page?x=1")}`,
    );
    const pages = startSuite({ bindings: env });
    const browser = new Visit(pages);
    const path = account.slice(ORIGIN.length);
    expect((await browser.read(path)).text).toContain("Then the preview opens.");
    const signedIn = await browser.signIn(path);
    expect([signedIn.status, signedIn.headers.get("Location")]).toEqual([303, path]);
    const back = await browser.get(path);
    expect([back.status, back.headers.get("Referrer-Policy")]).toEqual([303, "no-referrer"]);
    const entry = back.headers.get("Location") ?? "";
    expect(entry.startsWith(`${url}.pincer/open?code=`)).toBe(true);
    const entered = await suite.visit(entry);
    expect([entered.status, entered.headers.get("Location")]).toEqual([302, "/app/page?x=1"]);
    expect(entered.headers.getSetCookie()).toEqual([
      expect.stringMatching(
        /^__Host-pincer-preview=person_\d+_[0-9a-f]{32}; Max-Age=3600; Path=\/; Secure; HttpOnly; SameSite=Lax$/,
      ),
    ]);
    const page = await suite.visit(`${url}app/page?x=1`, cookieOf(entered));
    expect([page.status, await page.text()]).toEqual([200, "from inside"]);
    // The code was good once.
    expect((await suite.visit(entry)).status).toBe(404);
  });

  test("takes a code for its own label alone, and for a minute", async () => {
    const suite = previewSuite(OWNER);
    const one = await suite.previews.expose("main", 3000);
    const other = await suite.previews.expose("main", 3001);
    const browser = new Visit(startSuite({ bindings: env }));
    await browser.signIn();
    const codeFor = async (url: string): Promise<string> => {
      const label = new URL(url).hostname.split(".")[0];
      const back = await browser.get(`/account/preview?label=${label}&to=/`);
      return new URL(back.headers.get("Location") ?? "").search;
    };
    const query = await codeFor(one.url);
    expect((await suite.visit(`${other.url}.pincer/open${query}`)).status).toBe(404);
    suite.clock.nowMs += 61_000;
    expect((await suite.visit(`${one.url}.pincer/open${query}`)).status).toBe(404);
  });

  test("is closed to whoever else is signed in, as if nothing were there", async () => {
    const theirs = await previewSuite(OTHER).previews.expose("main", 3000);
    const browser = new Visit(startSuite({ bindings: env }));
    await browser.signIn();
    const answers = await Promise.all(
      [new URL(theirs.url).hostname.split(".")[0], `${OWNER}-${"0".repeat(30)}`, "nonsense", ""].map(
        async (label) => await browser.get(`/account/preview?label=${label}&to=/`),
      ),
    );
    const said = await Promise.all(
      answers.map(async (answer) => [answer.status, (await answer.text()).replaceAll(/nonce="\w+"/g, "")].join(" ")),
    );
    expect(new Set(said).size).toBe(1);
    expect(said[0]).toMatch(/^404 /);
  });

  test("is for visits: a page cannot fetch, show or frame its way to a code", async () => {
    const suite = previewSuite(OWNER);
    const { url } = await suite.previews.expose("main", 3000);
    const label = new URL(url).hostname.split(".")[0];
    const pages = startSuite({ bindings: env });
    const browser = new Visit(pages);
    await browser.signIn();
    for (const destination of ["empty", "image", "iframe", "script"]) {
      const answer = await pages.fetch(`/account/preview?label=${label}&to=/`, {
        headers: { Cookie: browser.cookie, "Sec-Fetch-Dest": destination },
      });
      expect([destination, answer.status]).toEqual([destination, 404]);
    }
  });

  test.each(["https://evil.example/", "//evil.example/", "/\\evil.example/", "\\/evil.example", "javascript:alert(1)"])(
    "never leads on to %s",
    async (to) => {
      const suite = previewSuite(OWNER);
      const { url } = await suite.previews.expose("main", 3000);
      const label = new URL(url).hostname.split(".")[0];
      const browser = new Visit(startSuite({ bindings: env }));
      await browser.signIn();
      const back = await browser.get(`/account/preview?label=${label}&to=${encodeURIComponent(to)}`);
      const entry = new URL(back.headers.get("Location") ?? "");
      expect([entry.origin, entry.searchParams.get("to")]).toEqual([new URL(url).origin, "/"]);
      entry.searchParams.set("to", to);
      expect((await suite.visit(entry.href)).headers.get("Location")).toBe("/");
    },
  );
});

describe("a visitor without a pass", () => {
  test("is told in words where it is a program, and asks no account", async () => {
    const suite = previewSuite(OWNER);
    const { url } = await suite.previews.expose("main", 3000);
    for (const init of [{}, { method: "POST", body: "x" }, { headers: { Upgrade: "websocket" } }]) {
      const answer = await suite.open(url, init);
      expect(answer.status).toBe(401);
      expect(await answer.text()).toMatch(/^This preview is for its person alone\. Open its URL in a browser/);
    }
    expect([suite.askedAccounts, suite.received]).toEqual([[], []]);
  });

  test.each(["guessed", "forged MAC", "another person's name", "another's pass"])(
    "with a %s finds nothing and wakes no object",
    async (how) => {
      const suite = previewSuite(OWNER);
      const { url, cookie } = await shared(suite);
      suite.askedAccounts.length = 0;
      const { host } = new URL(url);
      const [label = ""] = host.split(".");
      const site = host.slice(label.length);
      const labels: Readonly<Record<string, string>> = {
        guessed: `${OWNER}-${"0".repeat(30)}`,
        "forged MAC": `${label.slice(0, -1)}${label.endsWith("0") ? "1" : "0"}`,
        "another person's name": `${OTHER}${label.slice(32)}`,
        "another's pass": label,
      };
      const forged = how === "another's pass" ? `${cookie.slice(0, -1)}${cookie.endsWith("0") ? "1" : "0"}` : cookie;
      const answer = await suite.open(`http://${labels[how]}${site}/`, { headers: { Cookie: forged } });
      expect(answer.status).toBe(how === "another's pass" ? 401 : 404);
      expect([suite.askedAccounts, suite.received]).toEqual([[], []]);
    },
  );

  test("may not bring the pass of another preview", async () => {
    const suite = previewSuite(OWNER);
    const { cookie } = await shared(suite);
    const { url } = await suite.previews.expose("main", 3001);
    expect((await suite.open(url, { headers: { Cookie: cookie } })).status).toBe(401);
  });
});

describe("a share link", () => {
  test("is exchanged for a cookie that ends with it", async () => {
    const suite = previewSuite(OWNER);
    const { url, share, cookie } = await shared(suite, 600);
    expect(share).toMatch(/\/\.pincer\/share\/[0-9a-f]{64}$/);
    const again = await suite.visit(share);
    expect([again.status, again.headers.get("Location")]).toEqual([302, "/"]);
    expect(again.headers.getSetCookie()[0]).toMatch(/^__Host-pincer-preview=share-\w+_\d+_\w+; Max-Age=600; /);
    expect((await suite.open(url, { headers: { Cookie: cookie } })).status).toBe(200);
    suite.clock.nowMs += 600_000;
    expect((await suite.open(url, { headers: { Cookie: cookie } })).status).toBe(401);
    expect((await suite.visit(share)).status).toBe(404);
  });

  test("is replaced by the next, ended without one, and those who came by it are out", async () => {
    const suite = previewSuite(OWNER);
    const first = await shared(suite);
    const second = await shared(suite);
    const statusOf = async ({ url, cookie }: typeof first): Promise<number> =>
      (await suite.open(url, { headers: { Cookie: cookie } })).status;
    suite.forget();
    expect([await statusOf(first), await statusOf(second), (await suite.visit(first.share)).status]).toEqual([
      401, 200, 404,
    ]);
    expect(await suite.previews.share("main", 3000, 0)).toEqual({ sandbox: "main", port: 3000, url: first.url });
    suite.forget();
    expect([await statusOf(second), (await suite.visit(second.share)).status]).toEqual([401, 404]);
    expect(suite.port.closed).toBe(2);
  });
});

describe("a withdrawn preview", () => {
  test("is gone within two seconds where an isolate knows it, and at once elsewhere", async () => {
    const suite = previewSuite(OWNER);
    const { url, cookie, share } = await shared(suite);
    const look = async (): Promise<number> => (await suite.open(url, { headers: { Cookie: cookie } })).status;
    expect(await look()).toBe(200);
    await suite.previews.withdraw("main", 3000);
    const now = Date.now.bind(Date);
    const clock = vi.spyOn(Date, "now").mockImplementation(() => now() + 2_000);
    try {
      expect(await look()).toBe(404);
    } finally {
      clock.mockRestore();
    }
    suite.forget();
    expect([await look(), (await suite.visit(share)).status, suite.port.closed]).toEqual([404, 404, 1]);
    await expect(suite.previews.withdraw("main", 3000)).rejects.toMatchObject({ code: "not_found" });
    const { url: next } = await suite.previews.expose("main", 3000);
    expect(next).not.toBe(url);
  });

  test("stays gone where a word from before comes in last", async () => {
    const suite = previewSuite(OWNER);
    const { url, cookie } = await shared(suite);
    suite.forget();
    const late = Promise.withResolvers<boolean>();
    const words = [late.promise];
    suite.access.isLetIn = async () => (await words.shift()) ?? false;
    const first = suite.visit(url, cookie);
    await expect.poll(() => words).toEqual([]);
    await scheduler.wait(10);
    expect((await suite.visit(url, cookie)).status).toBe(404);
    late.resolve(true);
    await first;
    expect((await suite.visit(url, cookie)).status).toBe(404);
  });

  test("is gone where the clock was set back meanwhile, and is asked for no more often then", async () => {
    const suite = previewSuite(OWNER);
    const { url, cookie } = await shared(suite);
    expect((await suite.visit(url, cookie)).status).toBe(200);
    const now = Date.now.bind(Date);
    const clock = vi.spyOn(Date, "now").mockImplementation(() => now() - 3_600_000);
    try {
      let asked = 0;
      suite.access.isLetIn = async () => {
        asked += 1;
        return false;
      };
      expect((await suite.visit(url, cookie)).status).toBe(404);
      expect((await suite.visit(url, cookie)).status).toBe(404);
      expect(asked).toBe(1);
    } finally {
      clock.mockRestore();
    }
  });

  test("takes no WebSocket, whatever the isolate knows", async () => {
    const suite = previewSuite(OWNER);
    const { url, cookie } = await shared(suite);
    const headers = { Cookie: cookie, Upgrade: "websocket", Origin: new URL(url).origin };
    let inside: WebSocket | undefined;
    suite.port.answer = async () => {
      const pair = new WebSocketPair();
      pair[1].accept();
      inside = pair[1];
      return { state: "answered", response: new Response(null, { status: 101, webSocket: pair[0] }) };
    };
    const open = await suite.open(url, { headers });
    expect(open.status).toBe(101);
    open.webSocket?.accept();
    open.webSocket?.close();
    await suite.previews.withdraw("main", 3000);
    const answer = await suite.open(url, { headers });
    expect([answer.status, answer.webSocket]).toEqual([404, null]);
    await expect.poll(() => inside?.readyState).not.toBe(WebSocket.OPEN);
  });

  test("is one of a person who is out, or paused", async () => {
    const suite = previewSuite(OWNER);
    const { url, cookie } = await shared(suite);
    const open = async (): Promise<Response> => await suite.open(url, { headers: { Cookie: cookie } });
    suite.access.isLetIn = async (_, scopes) => !scopes.includes("sandbox:exec");
    suite.forget();
    expect((await open()).status).toBe(404);
    suite.access.isLetIn = async () => await Promise.reject(new ToolError("unavailable", "Try again in a minute."));
    suite.forget();
    expect((await open()).status).toBe(503);
    suite.access.isLetIn = async () => true;
    await rules.pausePerson(OWNER, "Leaked");
    suite.forget();
    const paused = await open();
    expect([paused.status, await paused.text()]).toEqual([403, expect.stringMatching(/paused: An admin paused you/)]);
    await rules.resumePerson(OWNER);
    suite.forget();
    expect((await open()).status).toBe(200);
  });
});

describe("what a visitor sends", () => {
  test("reaches the server as its own, without our cookies, Cloudflare's headers and what is between hops", async () => {
    const suite = previewSuite(OWNER);
    const { url, cookie } = await shared(suite);
    await suite.open(`${url}a/b?c=d`, {
      method: "POST",
      body: "x",
      headers: {
        Cookie: `theme=dark; ${cookie}; __Secure-pincer-x=1; CF_Authorization=jwt; __Host-own=2`,
        "Cf-Access-Jwt-Assertion": "jwt",
        "Cf-Connecting-Ip": "1.2.3.4",
        "X-Forwarded-Host": "evil.example",
        "X-Pincer-Port": "3000",
        TE: "trailers",
        Origin: new URL(url).origin,
        Authorization: "Basic dTpw",
      },
    });
    const [request] = suite.received;
    expect([request?.method, request?.url, await request?.text()]).toEqual([
      "POST",
      "http://localhost:3000/a/b?c=d",
      "x",
    ]);
    const { host } = new URL(url);
    expect(Object.fromEntries(request?.headers ?? [])).toEqual({
      authorization: "Basic dTpw",
      "content-type": "text/plain;charset=UTF-8",
      cookie: "theme=dark; __Host-own=2",
      origin: new URL(url).origin,
      "x-forwarded-for": "192.0.2.1",
      "x-forwarded-host": host,
      "x-forwarded-proto": "http",
    });
  });

  test("names its person to the server, and nobody else, whatever a visitor says", async () => {
    const suite = previewSuite(OWNER);
    const { url, cookie: sharers } = await shared(suite);
    const claims = {
      "X-Pincer-User": OWNER,
      X_Pincer_User: OWNER,
      "X-Forwarded-User": OWNER,
      X_Forwarded_User: OWNER,
      "X-Forwarded-For": "127.0.0.1",
      "X-Real-Ip": "127.0.0.1",
      Forwarded: "for=127.0.0.1",
    };
    for (const cookie of [await persons(suite, url), sharers]) {
      expect((await suite.open(url, { headers: { ...claims, Cookie: cookie } })).status).toBe(200);
    }
    const { host } = new URL(url);
    const proxied = { "x-forwarded-for": "192.0.2.1", "x-forwarded-host": host, "x-forwarded-proto": "http" };
    expect(suite.received.map(({ headers }) => Object.fromEntries(headers))).toEqual([
      { ...proxied, "x-pincer-user": OWNER },
      proxied,
    ]);
  });

  test.each([
    [{ Origin: "https://evil.example" }, 403],
    [{ Origin: ORIGIN }, 403],
    [{ "Sec-Fetch-Site": "same-site" }, 403],
    [{ "Sec-Fetch-Site": "cross-site", Origin: "null" }, 403],
    [{ "Sec-Fetch-Site": "same-origin", Origin: "null" }, 200],
    [{ "Sec-Fetch-Site": "cross-site", ...NAVIGATION }, 200],
    [{ "Sec-Fetch-Site": "cross-site", ...NAVIGATION, "Sec-Fetch-Dest": "iframe" }, 403],
  ])("with %o is answered with %i", async (headers, status) => {
    const suite = previewSuite(OWNER);
    const { url, cookie } = await shared(suite);
    expect((await suite.open(url, { headers: { ...headers, Cookie: cookie } })).status).toBe(status);
    expect(suite.received.length).toBe(status === 200 ? 1 : 0);
  });
});

describe("what a server answers", () => {
  test("sets no cookie beyond its origin, nor ours, and leads nowhere else", async () => {
    const suite = previewSuite(OWNER);
    const { url, cookie } = await shared(suite);
    const sent = new Headers({
      "Clear-Site-Data": '"cookies"',
      Location: "http://localhost:3000/next?a=1",
      "X-Own": "1",
    });
    for (const line of [
      "a=1; Domain=example.com; Path=/",
      "b=2; domain",
      "__Host-pincer-preview=x; Path=/; Secure",
      "__secure-Pincer-x=1; Secure",
      "CF_Authorization=x",
      "d=4; HttpOnly",
    ])
      sent.append("Set-Cookie", line);
    suite.port.answer = async () => ({
      state: "answered",
      response: new Response("moved", { status: 307, headers: sent }),
    });
    const answer = await suite.open(url, { headers: { Cookie: cookie } });
    expect([answer.status, answer.headers.get("Location"), answer.headers.get("X-Own")]).toEqual([
      307,
      "/next?a=1",
      "1",
    ]);
    expect(answer.headers.getSetCookie()).toEqual(["a=1; Path=/", "b=2", "d=4; HttpOnly"]);
    expect(answer.headers.get("Clear-Site-Data")).toBeNull();
  });

  test.each([
    ["closed", 502, "Nothing listens on port 3000"],
    ["garbled", 502, "gave no answer that HTTP knows"],
    ["busy", 503, "Too many connections"],
    ["asleep", 503, "The sandbox is waking up"],
  ] as const)("where it is %s, is %i with words", async (state, status, words) => {
    const suite = previewSuite(OWNER);
    const { url, cookie } = await shared(suite);
    suite.port.answer = async () => ({ state });
    const program = await suite.open(url, { headers: { Cookie: cookie } });
    expect([program.status, program.headers.get("Content-Type")]).toEqual([status, "text/plain; charset=utf-8"]);
    expect(await program.text()).toContain(words);
    const page = await suite.visit(url, cookie);
    expect([page.status, page.headers.get("Content-Type")]).toEqual([status, "text/html; charset=utf-8"]);
    expect(await page.text()).toContain(words);
    const isAsleep = state === "asleep";
    expect([program.headers.get("Retry-After"), page.headers.get("Refresh")]).toEqual([
      isAsleep ? "2" : state === "busy" ? "5" : null,
      isAsleep ? "2" : null,
    ]);
    expect(suite.commands).toEqual(isAsleep ? ["true", "true"] : []);
  });

  test("where nothing listens yet, says so and looks again, while the sandbox has woken a moment ago", async () => {
    const suite = previewSuite(OWNER);
    const { url, cookie } = await shared(suite);
    suite.port.answer = async () => ({ state: "closed" });
    suite.port.uptimeMs = 10_000;
    const page = await suite.visit(url, cookie);
    expect([page.status, page.headers.get("Refresh")]).toEqual([502, "5"]);
    expect(await page.text()).toMatch(/Nothing listens on port 3000.*An agent that ran as a preset is being started/s);
    suite.port.uptimeMs = 301_000;
    expect((await suite.visit(url, cookie)).headers.get("Refresh")).toBeNull();
    expect(suite.commands).toEqual([]);
  });

  test("that never comes is given up once it had all of the request, with words", async () => {
    const suite = previewSuite(OWNER);
    const { url, cookie } = await shared(suite);
    let isGivenUp = false;
    let text = "";
    suite.port.answer = async (request) => {
      request.signal.addEventListener("abort", () => (isGivenUp = true));
      text = await request.text();
      return await new Promise(() => undefined);
    };
    const body = new ReadableStream({
      start: async (controller) => {
        controller.enqueue(new TextEncoder().encode("slow"));
        await new Promise((resolve) => setTimeout(resolve, 600));
        controller.close();
      },
    });
    const beganMs = Date.now();
    const answer = await suite.open(url, { method: "POST", body, headers: { Cookie: cookie } });
    expect([answer.status, text, isGivenUp]).toEqual([504, "slow", true]);
    expect(await answer.text()).toMatch(/^What listens on port 3000 did not answer within 0.3 s\./);
    expect(Date.now() - beganMs).toBeGreaterThan(850);
  });

  test("goes on as it comes, and breaks off when the share ends", async () => {
    const suite = previewSuite(OWNER);
    const { url, cookie } = await shared(suite, 600);
    let isGivenUp = false;
    suite.port.answer = async ({ signal }) => {
      const body = new ReadableStream({
        start: (controller) => {
          controller.enqueue(new TextEncoder().encode("one"));
          signal.addEventListener("abort", () => {
            isGivenUp = true;
            controller.close();
          });
        },
      });
      return { state: "answered", response: new Response(body) };
    };
    const answer = await suite.open(url, { headers: { Cookie: cookie } });
    const reader = answer.body?.pipeThrough(new TextDecoderStream()).getReader();
    expect((await reader?.read())?.value).toBe("one");
    reader?.closed.catch(() => undefined);
    const next = reader?.read();
    next?.catch(() => undefined);
    suite.clock.nowMs += 600_000;
    await expect(next).rejects.toThrow();
    expect(isGivenUp).toBe(true);
  });
});

test("on a preview's host nothing of the suite answers, and previews answer on no other", async () => {
  const ask = async (url: string, init: RequestInit<IncomingRequestCfProperties> = {}): Promise<Response> =>
    await worker.fetch(new Request<unknown, IncomingRequestCfProperties>(url, init), env, createExecutionContext());
  const { url } = await previewSuite(OWNER).previews.expose("main", 3000);
  const routes = [...ENDPOINTS, "/authorize", "/account", "/admin", "/oauth/token", "/oauth/register", "/local/token"];
  for (const path of [...routes, "/s/link", "/u/link", "/health", "/.well-known/oauth-authorization-server"]) {
    const at = `${new URL(url).origin}${path}`;
    for (const method of ["GET", "POST"]) expect.soft([path, (await ask(at, { method })).status]).toEqual([path, 401]);
    expect.soft([path, (await ask(`http://nonsense.localhost:8717${path}`)).status]).toEqual([path, 404]);
  }
  expect((await ask(`${ORIGIN}/.pincer/share/${"0".repeat(64)}`)).status).toBe(404);
  expect((await ask(`${ORIGIN}/.pincer/open?code=${"0".repeat(64)}`)).status).toBe(404);
});

describe("previews", () => {
  test("keep their URL, are listed, and are their person's own", async () => {
    const suite = previewSuite(OWNER);
    const first = await suite.previews.expose("main", 3000);
    expect(first).toEqual({ sandbox: "main", port: 3000, url: expect.any(String), isListening: true });
    expect(new URL(first.url).hostname.split(".")[0]).toHaveLength(63);
    expect((await suite.previews.expose("main", 3000)).url).toBe(first.url);
    suite.clock.nowMs += 1;
    const { shareUrl: _, ...second } = await suite.previews.share("other", 3000, 60);
    expect(second.sharedUntil).toEqual(new Date(suite.clock.nowMs + 60_000));
    const { isListening: __, ...firstListed } = first;
    expect(await suite.previews.list()).toEqual([second, firstListed]);
    expect(await previewSuite(OTHER).previews.list()).toEqual([]);
    await expect(previewSuite(OTHER).previews.withdraw("main", 3000)).rejects.toMatchObject({ code: "not_found" });
  });

  test("of a sandbox that a caller may not have are neither made, shared nor withdrawn", async () => {
    const suite = previewSuite(OWNER);
    const { url } = await suite.previews.expose("main", 3000);
    suite.port.isRefused = true;
    const { previews } = suite;
    for (const act of [
      previews.expose("main", 3000),
      previews.share("main", 3000, 60),
      previews.withdraw("main", 3000),
    ]) {
      await expect(act).rejects.toMatchObject({ code: "invalid_input" });
    }
    expect(await previews.list()).toEqual([{ sandbox: "main", port: 3000, url }]);
  });

  test("without a host of their own say what to set", async () => {
    const suite = { IDENTITY: "access-edge", PUBLIC_URL: "https://pincer.example.com" } as const;
    expect(() => previewSuite(OWNER, suite)).toThrow("The settings name no place");
    const deployed = previewSuite(OWNER, { ...suite, PREVIEW_HOST: "previews.example.net" });
    expect((await deployed.previews.expose("main", 3000)).url).toMatch(
      /^https:\/\/\w{32}-\w{30}\.previews\.example\.net\/$/,
    );
  });
});

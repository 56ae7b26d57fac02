import type { BrowserWorker } from "@cloudflare/puppeteer";
import { runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { describe, expect, test } from "vitest";
import { SessionTime } from "../../servers/account/session-time.ts";
import { acquireChrome } from "../../servers/browser/chrome/chrome.ts";
import { Keeper } from "../../servers/browser/chrome/keeper.ts";

const NO_LIMIT = { maxConcurrentSessions: 6, activeSessions: [] };
const TODAY_IS_OVER = "Unable to create new browser: code: 429: message: Browser time limit exceeded for today";

/** Made when it is given: a Durable Object cannot read a response of somebody else's. */
type Answer = () => Response;

/** A browser binding that gives these answers, one a request, and states its limits. */
function bindingThat(
  answers: readonly Answer[],
  limits: unknown = NO_LIMIT,
): { readonly binding: BrowserWorker; readonly asked: string[] } {
  const asked: string[] = [];
  return {
    binding: {
      fetch: async (input, init) => {
        const { pathname } = new URL(new Request(input).url);
        if (pathname === "/v1/limits") return Response.json(limits);
        const answer = answers[asked.length];
        asked.push(`${init?.method ?? "GET"} ${pathname}`);
        if (answer === undefined) throw new Error("The binding was asked more often than expected.");
        return answer();
      },
    },
    asked,
  };
}

function refusal(status: number, retryAfter?: number | string, body = "refused upstream"): Answer {
  return () =>
    new Response(body, { status, headers: retryAfter === undefined ? {} : { "Retry-After": String(retryAfter) } });
}

describe("a start of Chrome", () => {
  test("that the platform puts off for a moment is tried again then", async () => {
    const { binding, asked } = bindingThat([
      refusal(429, 1),
      refusal(503, 1),
      () => Response.json({ sessionId: "abc" }),
    ]);
    const startedMs = Date.now();
    expect(await acquireChrome(binding)).toBe("abc");
    expect(asked).toHaveLength(3);
    expect(Date.now() - startedMs).toBeGreaterThanOrEqual(2_000);
  });

  test.each([
    [
      refusal(429, 60),
      "limit_reached",
      "No more browsers may be started now; use one that is open, or try again in 60 s.",
    ],
    [refusal(503, 45), "unavailable", "The platform has no browser free; try again in 45 s."],
    [refusal(500), "unavailable", "Chrome did not start; try again, or have whoever runs Pincer look into its log."],
    [
      refusal(429, undefined, TODAY_IS_OVER),
      "limit_reached",
      "The platform's browser time for today is used up; try again after midnight UTC, or have whoever runs Pincer change to a paid plan.",
    ],
  ])("that is refused for long says so at once", async (answer, code, message) => {
    const { binding, asked } = bindingThat([answer]);
    await expect(acquireChrome(binding)).rejects.toMatchObject({ code, message });
    expect(asked).toHaveLength(1);
  });

  test("that is refused until a date says how long that is", async () => {
    const { binding } = bindingThat([refusal(503, new Date(Date.now() + 90_000).toUTCString())]);
    await expect(acquireChrome(binding)).rejects.toMatchObject({ message: expect.stringMatching(/ in (8\d|90) s\.$/) });
  });

  test("that is refused again and again, without a time to wait for, is given up", async () => {
    const { binding, asked } = bindingThat([refusal(503), refusal(503), refusal(503)]);
    await expect(acquireChrome(binding)).rejects.toMatchObject({
      code: "unavailable",
      message: "The platform has no browser free; try again in a few minutes.",
    });
    expect(asked).toHaveLength(3);
  });

  test("beyond the browsers that may be open at once says how many that is", async () => {
    const limits = { maxConcurrentSessions: 2, activeSessions: [{ id: "a" }, { id: "b" }] };
    await expect(acquireChrome(bindingThat([refusal(429, 60)], limits).binding)).rejects.toMatchObject({
      code: "limit_reached",
      message:
        "All 2 browsers that the platform allows at once are open; use or close one of yours, or try again in 60 s.",
    });
  });
});

describe("a browser that is open", () => {
  const SESSION = "/v1/devtools/browser/abc";
  const resume = async (name: string, answers: readonly Answer[], how: "resume" | "provide") => {
    const { binding, asked } = bindingThat(answers);
    const stub = env.BROWSER_SESSION.get(env.BROWSER_SESSION.idFromName(name));
    return await runInDurableObject(stub, async (_session, { storage }) => {
      await storage.put("session", { sessionId: "abc", usedAtMs: 0, tabs: [], refs: [] });
      const policy = { allowedHosts: [], suiteOrigin: "http://localhost:8717" };
      const time = new SessionTime({ kind: "browser", key: "time", nanoUsdOf: () => 0 }, storage.kv, async () => {
        await Promise.reject(new Error("Nothing is settled here."));
      });
      const keeper = new Keeper(storage, binding, policy, time);
      const signal = AbortSignal.timeout(20_000);
      const failure = await keeper[how](signal).catch((cause: unknown) => cause);
      return { failure, asked, isKnown: (await storage.get("session")) !== undefined };
    });
  };

  test.each(["resume", "provide"] as const)("and cannot be reached for the moment is not given up: %s", async (how) => {
    const { failure, asked, isKnown } = await resume(`busy-${how}`, [refusal(429, 30)], how);
    expect(failure).toMatchObject({
      code: "unavailable",
      message: "The browser is open, but the platform lets nobody reach it now; try again in 30 s.",
    });
    expect(asked).toEqual([`GET ${SESSION}`]);
    expect(isKnown).toBe(true);
  });

  test("and has gone is forgotten, and whatever is left of it ended", async () => {
    const { failure, asked, isKnown } = await resume("gone", [refusal(404), () => new Response("{}")], "resume");
    expect(failure).toMatchObject({
      code: "unavailable",
      message: "The browser has ended, after ten minutes unused or by a crash; open the page again with browser_open.",
    });
    expect(asked).toEqual([`GET ${SESSION}`, `DELETE ${SESSION}`]);
    expect(isKnown).toBe(false);
  });
});

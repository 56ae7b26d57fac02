import type { BrowserWorker } from "@cloudflare/puppeteer";
import { describe, expect, test } from "vitest";
import { acquireChrome } from "../../servers/browser/chrome.ts";

/** A browser binding that gives these answers, one a request. */
function bindingThat(...answers: readonly Response[]): {
  readonly binding: BrowserWorker;
  readonly asked: () => number;
} {
  let asked = 0;
  return {
    binding: {
      fetch: async () => {
        const answer = answers[asked];
        asked += 1;
        if (answer === undefined) throw new Error("The binding was asked more often than expected.");
        return answer;
      },
    },
    asked: () => asked,
  };
}

function refusal(status: number, retryAfterSeconds?: number): Response {
  const headers = retryAfterSeconds === undefined ? {} : { "Retry-After": String(retryAfterSeconds) };
  return new Response("refused upstream", { status, headers });
}

describe("a start of Chrome", () => {
  test("that the platform puts off for a moment is tried again then", async () => {
    const { binding, asked } = bindingThat(refusal(429, 1), refusal(503, 1), Response.json({ sessionId: "abc" }));
    const startedMs = Date.now();
    expect(await acquireChrome(binding)).toBe("abc");
    expect(asked()).toBe(3);
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
  ])("that is refused for long says so at once", async (answer, code, message) => {
    const { binding, asked } = bindingThat(answer);
    await expect(acquireChrome(binding)).rejects.toMatchObject({ code, message });
    expect(asked()).toBe(1);
  });
});

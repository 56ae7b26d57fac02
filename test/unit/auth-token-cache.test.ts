import { expect, test } from "vitest";
import { createTokenCache } from "../../auth/token-cache.ts";

const CALLER = { userId: "u".repeat(32), role: "member", scopes: [], clientId: "c" } as const;

function startCache() {
  const clock = { nowMs: 1_000_000 };
  const cache = createTokenCache(() => new Date(clock.nowMs));
  const inSeconds = (seconds: number) => ({ caller: CALLER, expiresAtSeconds: clock.nowMs / 1000 + seconds });
  return { clock, cache, inSeconds };
}

test("a verified token is remembered for 30 s", () => {
  const { clock, cache, inSeconds } = startCache();
  cache.set("a", inSeconds(3600));
  clock.nowMs += 29_999;
  expect(cache.get("a")?.caller).toBe(CALLER);
  clock.nowMs += 1;
  expect(cache.get("a")).toBeUndefined();
});

test("no token is remembered beyond its expiry", () => {
  const { clock, cache, inSeconds } = startCache();
  cache.set("a", inSeconds(10));
  clock.nowMs += 9_999;
  expect(cache.get("a")).toBeDefined();
  clock.nowMs += 1;
  expect(cache.get("a")).toBeUndefined();
});

test("asking for a token does not make it last longer", () => {
  const { clock, cache, inSeconds } = startCache();
  cache.set("a", inSeconds(3600));
  for (let second = 0; second < 29; second += 1) {
    clock.nowMs += 1_000;
    expect(cache.get("a")).toBeDefined();
  }
  clock.nowMs += 1_000;
  expect(cache.get("a")).toBeUndefined();
});

test("four thousand tokens are remembered, then the oldest goes", () => {
  const { cache, inSeconds } = startCache();
  for (let index = 0; index <= 4_000; index += 1) cache.set(`t${index}`, inSeconds(3600));
  expect(cache.get("t0")).toBeUndefined();
  expect(cache.get("t1")).toBeDefined();
  expect(cache.get("t4000")).toBeDefined();
});

test("verifying a remembered token again pushes nobody out", () => {
  const { cache, inSeconds } = startCache();
  for (let index = 0; index < 4_000; index += 1) cache.set(`t${index}`, inSeconds(3600));
  cache.set("t500", inSeconds(3600));
  expect(cache.get("t0")).toBeDefined();
});

test("the tokens of a grant are forgotten together, and no others", () => {
  const { cache, inSeconds } = startCache();
  cache.set("a", { ...inSeconds(3600), grant: "user:one" });
  cache.set("b", { ...inSeconds(3600), grant: "user:one" });
  cache.set("c", { ...inSeconds(3600), grant: "user:two" });
  cache.set("d", inSeconds(3600));
  cache.forgetGrant("user:one");
  expect(["a", "b", "c", "d"].filter((key) => cache.get(key) !== undefined)).toEqual(["c", "d"]);
});

import { expect, test } from "vitest";
import { SettingsError, parseSettings } from "../../servers/shared/settings.ts";

const LOCAL = {
  PUBLIC_URL: "http://localhost:8717",
  IDENTITY: "local",
  LOCAL_SIGN_IN_CODE: "ABCD-EFGH",
  LOCAL_ADMIN_SECRET: "a".repeat(32),
  SIGNING_SECRET: "s".repeat(32),
  SANDBOX_DRIVER: "local",
  LOCAL_RUNTIME_URL: "http://127.0.0.1:4000",
  LOCAL_RUNTIME_SECRET: "r".repeat(32),
} as const;

const DEPLOYED = {
  PUBLIC_URL: "https://pincer.example.com",
  IDENTITY: "access-edge",
  ACCESS_TEAM_DOMAIN: "https://team.cloudflareaccess.com",
  ACCESS_AUDIENCE: "aud",
  SIGNING_SECRET: "s".repeat(32),
  SANDBOX_DRIVER: "container",
} as const;

function problemsOf(env: Record<string, unknown>): readonly string[] {
  try {
    parseSettings(env);
  } catch (failure) {
    if (failure instanceof SettingsError) return failure.problems;
    throw failure;
  }
  return [];
}

test("a complete local or deployed environment has no problems, and bindings beside it are not settings", () => {
  expect(problemsOf({ ...LOCAL, FILES: {}, OAUTH_KV: {} })).toEqual([]);
  expect(problemsOf(DEPLOYED)).toEqual([]);
});

test("a slash at the end of an address is dropped and host lists are split", () => {
  const settings = parseSettings({
    ...LOCAL,
    PUBLIC_URL: "http://localhost:8717/",
    ALLOWED_HOSTS: "a.example, b:80 ,",
  });
  expect(settings.PUBLIC_URL).toBe("http://localhost:8717");
  expect(settings.ALLOWED_HOSTS).toEqual(["a.example", "b:80"]);
});

test("a public URL is the origin as requests spell it, and nothing more", () => {
  const publicUrl = (url: string): string => parseSettings({ ...DEPLOYED, PUBLIC_URL: url }).PUBLIC_URL;
  expect(publicUrl("https://Pincer.Example.com:443/")).toBe("https://pincer.example.com");
  expect(parseSettings({ ...LOCAL, PUBLIC_URL: "http://localhost:80" }).PUBLIC_URL).toBe("http://localhost");
  for (const url of [
    "https://pincer.example.com/mcp",
    "https://a:b@pincer.example.com",
    "https://pincer.example.com/?x",
  ]) {
    expect(problemsOf({ ...DEPLOYED, PUBLIC_URL: url })).toEqual([
      "PUBLIC_URL: give the origin alone, without a path.",
    ]);
  }
});

test("every missing setting is named at once, with what asks for it", () => {
  expect(problemsOf({ ...LOCAL, LOCAL_SIGN_IN_CODE: "", LOCAL_RUNTIME_URL: undefined })).toEqual([
    "LOCAL_SIGN_IN_CODE is missing while IDENTITY is local.",
    "LOCAL_RUNTIME_URL is missing while SANDBOX_DRIVER is local.",
  ]);
  expect(problemsOf({ ...DEPLOYED, AI_GATEWAY_ID: "g" })).toEqual([
    "AI_GATEWAY_ACCOUNT_ID is missing while part of AI_GATEWAY_* is set.",
    "AI_GATEWAY_TOKEN is missing while part of AI_GATEWAY_* is set.",
  ]);
});

test("local identity refuses an origin that other machines reach", () => {
  expect(problemsOf({ ...LOCAL, PUBLIC_URL: "https://pincer.example.com" })).toEqual([
    "IDENTITY is local while PUBLIC_URL is not loopback; choose access-edge to serve other machines.",
  ]);
});

test("a wrong value is reported by its name and never shown", () => {
  const problems = problemsOf({ ...DEPLOYED, SIGNING_SECRET: "short-secret" });
  expect(problems).toHaveLength(1);
  expect(problems[0]).toMatch(/^SIGNING_SECRET: /);
  expect(problems[0]).not.toContain("short-secret");
});

test("how long a container idles is a number with its unit, and its size one of those there are", () => {
  expect(parseSettings(DEPLOYED)).toMatchObject({ SANDBOX_SLEEP_AFTER: "15m", SANDBOX_INSTANCE_TYPE: "standard-1" });
  expect(parseSettings({ ...DEPLOYED, SANDBOX_SLEEP_AFTER: "90s" }).SANDBOX_SLEEP_AFTER).toBe("90s");
  for (const time of ["15", "0m", "m", "1d", "-5m", "15 m"]) {
    expect(problemsOf({ ...DEPLOYED, SANDBOX_SLEEP_AFTER: time })).toEqual([
      "SANDBOX_SLEEP_AFTER: give a number with s, m or h, such as 15m.",
    ]);
  }
  expect(problemsOf({ ...DEPLOYED, SANDBOX_INSTANCE_TYPE: "huge" })).toHaveLength(1);
});

import { describe, expect, test } from "vitest";
import { durationMs } from "../../servers/shared/setting-kinds.ts";
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

test("previews have a host of their own, by which none can pass for the suite", () => {
  expect(problemsOf({ ...DEPLOYED, PREVIEW_HOST: "previews.example.com" })).toEqual([]);
  expect(problemsOf({ ...DEPLOYED, PREVIEW_HOST: "previews.pincer.example.com" })).toEqual([]);
  for (const host of ["pincer.example.com", "example.com"]) {
    expect(problemsOf({ ...DEPLOYED, PREVIEW_HOST: host })).toEqual([
      "PREVIEW_HOST is PUBLIC_URL's own host or a parent of it, and a preview could pass for Pincer; choose another.",
    ]);
  }
  for (const host of ["localhost", "*.example.com", "https://a.example", "a.example:8443", "A.example", ".a.example"]) {
    expect(problemsOf({ ...DEPLOYED, PREVIEW_HOST: host })).toEqual([
      "PREVIEW_HOST: give the host alone, in lower case, such as previews.example.com.",
    ]);
  }
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

test("a public URL that is none is named", () => {
  expect(problemsOf({ ...DEPLOYED, PUBLIC_URL: "nowhere" })).toEqual([
    "PUBLIC_URL: give an origin such as https://pincer.example.com.",
  ]);
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
    "IDENTITY is local while PUBLIC_URL is not loopback; choose access-oidc to serve other machines.",
  ]);
});

const OIDC = {
  PUBLIC_URL: "https://pincer.example.com",
  IDENTITY: "access-oidc",
  ACCESS_OIDC_ISSUER: "https://team.cloudflareaccess.com/cdn-cgi/access/sso/oidc/abc",
  ACCESS_OIDC_CLIENT_ID: "abc",
  ACCESS_OIDC_CLIENT_SECRET: "the-client-secret",
  SIGNING_SECRET: "s".repeat(32),
  SANDBOX_DRIVER: "container",
} as const;

describe("Access as an OpenID provider", () => {
  test("is named by its issuer or by the team, and needs a client", () => {
    expect(problemsOf(OIDC)).toEqual([]);
    const byTeam = { ...OIDC, ACCESS_OIDC_ISSUER: "", ACCESS_TEAM_DOMAIN: "https://team.cloudflareaccess.com" };
    expect(problemsOf(byTeam)).toEqual([]);
    expect(problemsOf({ ...OIDC, ACCESS_TEAM_DOMAIN: "https://team.cloudflareaccess.com" })).toEqual([]);
    expect(problemsOf({ ...OIDC, ACCESS_OIDC_ISSUER: "", ACCESS_OIDC_CLIENT_ID: "" })).toEqual([
      "ACCESS_OIDC_CLIENT_ID is missing while IDENTITY is access-oidc.",
      "ACCESS_OIDC_ISSUER is missing while IDENTITY is access-oidc; set it, or ACCESS_TEAM_DOMAIN to build it of.",
    ]);
    expect(problemsOf({ ...OIDC, ACCESS_OIDC_CLIENT_SECRET: "" })).toEqual([
      "ACCESS_OIDC_CLIENT_SECRET is missing while IDENTITY is access-oidc.",
    ]);
  });

  test("is of one team, and reached by https", () => {
    expect(problemsOf({ ...OIDC, ACCESS_TEAM_DOMAIN: "https://other.cloudflareaccess.com" })).toEqual([
      "ACCESS_OIDC_ISSUER and ACCESS_TEAM_DOMAIN name two teams; remove one of them.",
    ]);
    expect(problemsOf({ ...OIDC, ACCESS_OIDC_ISSUER: "http://team.example/oidc" })).toEqual([
      "ACCESS_OIDC_ISSUER and ACCESS_TEAM_DOMAIN decide who gets in; give https:// addresses.",
    ]);
    expect(problemsOf({ ...DEPLOYED, ACCESS_TEAM_DOMAIN: "http://team.cloudflareaccess.com" })).toEqual([
      "ACCESS_OIDC_ISSUER and ACCESS_TEAM_DOMAIN decide who gets in; give https:// addresses.",
    ]);
    expect(problemsOf({ ...OIDC, ACCESS_OIDC_ISSUER: "http://127.0.0.1:4000/oidc" })).toEqual([]);
  });

  test("knows groups, and the application in front of /authorize addresses as well", () => {
    expect(problemsOf({ ...OIDC, ADMIN_GROUPS: "ops", MEMBER_GROUPS: "staff, makers", READER_GROUPS: "all" })).toEqual(
      [],
    );
    expect(problemsOf({ ...OIDC, ADMIN_EMAILS: "ann@example.com" })).toEqual([
      "ADMIN_EMAILS is set while IDENTITY is access-oidc; it belongs to access-edge: choose that, or remove it.",
    ]);
    expect(problemsOf({ ...DEPLOYED, ADMIN_EMAILS: "ann@example.com", MEMBER_GROUPS: "staff" })).toEqual([]);
    expect(problemsOf({ ...LOCAL, MEMBER_GROUPS: "staff" })).toEqual([
      "MEMBER_GROUPS is set while IDENTITY is local; it belongs to access-oidc or access-edge: choose that, or remove it.",
    ]);
    expect(problemsOf({ ...LOCAL, ACCESS_OIDC_CLIENT_ID: "abc" })).toEqual([
      "ACCESS_OIDC_CLIENT_ID is set while IDENTITY is local; it belongs to access-oidc: choose that, or remove it.",
    ]);
  });

  test("lets service tokens in where their application is named as well, in front of the endpoints alone", () => {
    const tokens = { SERVICE_TOKENS: '{"88bf.access": {"name": "CI", "role": "reader"}}' };
    const audience = { ACCESS_SERVICE_AUDIENCE: "tag" };
    expect(problemsOf({ ...DEPLOYED, ...tokens, ...audience })).toEqual([]);
    expect(problemsOf({ ...DEPLOYED, ...tokens })).toEqual([
      "ACCESS_SERVICE_AUDIENCE is missing while SERVICE_TOKENS is set; service tokens need both.",
    ]);
    expect(problemsOf({ ...DEPLOYED, ...audience })).toEqual([
      "SERVICE_TOKENS is missing while ACCESS_SERVICE_AUDIENCE is set; service tokens need both.",
    ]);
    expect(problemsOf({ ...OIDC, ...tokens, ...audience })).toEqual([
      "SERVICE_TOKENS is set while IDENTITY is access-oidc; it belongs to access-edge: choose that, or remove it.",
      "ACCESS_SERVICE_AUDIENCE is set while IDENTITY is access-oidc; it belongs to access-edge: choose that, or remove it.",
    ]);
    for (const wrong of [
      "no JSON",
      '{"a b": {"name": "x", "role": "member"}}',
      '{"a": {"name": "x", "role": "root"}}',
    ]) {
      expect(problemsOf({ ...DEPLOYED, ...audience, SERVICE_TOKENS: wrong })).toEqual([
        expect.stringMatching(/^SERVICE_TOKENS/),
      ]);
    }
  });

  test("gives a group one role", () => {
    expect(problemsOf({ ...OIDC, ADMIN_GROUPS: "ops", READER_GROUPS: "staff,ops" })).toEqual([
      "ADMIN_GROUPS, MEMBER_GROUPS and READER_GROUPS name the same group more than once; keep it in one of them.",
    ]);
  });
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

test("how long a change may be in no snapshot is a number with its unit, too", () => {
  expect(durationMs(parseSettings(DEPLOYED).SNAPSHOT_AFTER)).toBe(30_000);
  expect(["5s", "15m", "2h"].map(durationMs)).toEqual([5_000, 900_000, 7_200_000]);
  expect(problemsOf({ ...DEPLOYED, SNAPSHOT_AFTER: "0s" })).toHaveLength(1);
});

describe("the sandbox's secrets", () => {
  const CANARY = "Bearer canary-5f2c";
  const WITH_SECRET = { ...DEPLOYED, ALLOWED_HOSTS: "api.example.com, git.example.com:8443", SECRET_EXAMPLE: CANARY };
  const problemsOfSecrets = (secrets: unknown, env: Record<string, unknown> = {}): readonly string[] =>
    problemsOf({
      ...WITH_SECRET,
      SANDBOX_SECRETS: typeof secrets === "string" ? secrets : JSON.stringify(secrets),
      ...env,
    });

  test("are read by host, port and header", () => {
    const { SANDBOX_SECRETS } = parseSettings({
      ...WITH_SECRET,
      SECRET_GIT: "Basic abc",
      SANDBOX_SECRETS: JSON.stringify({
        "API.example.com.": { Authorization: "SECRET_EXAMPLE" },
        "git.example.com:8443": { authorization: "SECRET_GIT", "X-Key": "SECRET_EXAMPLE" },
      }),
    });
    expect(SANDBOX_SECRETS).toEqual([
      { host: "api.example.com", port: 443, headers: { authorization: CANARY } },
      { host: "git.example.com", port: 8443, headers: { authorization: "Basic abc", "x-key": CANARY } },
    ]);
  });

  test("are none where none are declared, whatever else is set", () => {
    expect(parseSettings(WITH_SECRET).SANDBOX_SECRETS).toEqual([]);
    expect(parseSettings({ ...WITH_SECRET, SANDBOX_SECRETS: "" }).SANDBOX_SECRETS).toEqual([]);
  });

  test.each([
    ["not JSON", "{"],
    ["a list", "[]"],
    ["a text", '"SECRET_EXAMPLE"'],
    ["null", "null"],
    ["a host without headers", { "api.example.com": "SECRET_EXAMPLE" }],
    ["a name that is none", { "api.example.com": { authorization: 1 } }],
  ])("are refused as a whole where the setting is %s", (_what, secrets) => {
    expect(problemsOfSecrets(secrets)).toEqual([
      'SANDBOX_SECRETS is not the JSON that is needed; give it as in {"api.example.com": {"authorization": "SECRET_EXAMPLE"}}.',
    ]);
  });

  test.each([
    "https://api.example.com",
    "api.example.com/path",
    `key:${CANARY}@api.example.com`,
    "api.example.com:0",
    "api.example.com:65536",
    "",
  ])("are refused for the host %s, which is none", (host) => {
    expect(problemsOfSecrets({ [host]: { authorization: "SECRET_EXAMPLE" } })).toEqual([
      "SANDBOX_SECRETS names a host that is none; give HOST or HOST:PORT, such as api.example.com.",
    ]);
  });

  test.each([
    ["other.example.com", "other.example.com:443"],
    ["api.example.com:8443", "api.example.com:8443"],
    ["git.example.com", "git.example.com:443"],
    ["pincer.example.com", "pincer.example.com:443"],
    ["169.254.169.254", "169.254.169.254:443"],
  ])("are refused for %s, which the sandbox may not reach", (host, target) => {
    const ALLOWED_HOSTS = "api.example.com, git.example.com:8443, pincer.example.com, 169.254.169.254:443";
    expect(problemsOfSecrets({ [host]: { authorization: "SECRET_EXAMPLE" } }, { ALLOWED_HOSTS })).toEqual([
      `SANDBOX_SECRETS names ${target}, which the sandbox may not reach; list it in ALLOWED_HOSTS (locally by --allow-host).`,
    ]);
  });

  test("are refused for a host or a header that is named twice", () => {
    const twice = { authorization: "SECRET_EXAMPLE" };
    expect(problemsOfSecrets({ "api.example.com": twice, "API.example.com:443": twice })).toEqual([
      "SANDBOX_SECRETS names api.example.com:443 twice; put all its headers into one entry.",
    ]);
    expect(problemsOfSecrets({ "api.example.com": { ...twice, Authorization: "SECRET_EXAMPLE" } })).toEqual([
      "SANDBOX_SECRETS sets a header of api.example.com:443 twice; set it once.",
    ]);
  });

  test.each([
    ...["Host", "connection", "Content-Length", "transfer-encoding", "te", "trailer", "upgrade", "expect"],
    ...["keep-alive", "Proxy-Authorization", "proxy-anything"],
  ])("are refused in %s, which says where a request goes or ends", (header) => {
    expect(problemsOfSecrets({ "api.example.com": { [header]: "SECRET_EXAMPLE" } })).toEqual([
      `SANDBOX_SECRETS may not set ${header.toLowerCase()} for api.example.com:443; choose a header such as authorization.`,
    ]);
  });

  test.each(["", "two words", "a:b", "line\r\nbreak", "ключ", CANARY])(
    "are refused in %j, which is no header",
    (header) => {
      expect(problemsOfSecrets({ "api.example.com": { [header]: "SECRET_EXAMPLE" } })).toEqual([
        "SANDBOX_SECRETS names a header of api.example.com:443 that is none; give one such as authorization.",
      ]);
    },
  );

  test.each(["SIGNING_SECRET", "MODEL_API_KEY", "secret_example", "SECRET_", "SECRET-EXAMPLE", "__proto__", CANARY])(
    "are refused by the name %s, which does not begin with SECRET_, and is not repeated",
    (name) => {
      expect(problemsOfSecrets({ "api.example.com": { authorization: name } }, { MODEL_API_KEY: CANARY })).toEqual([
        "SANDBOX_SECRETS must give authorization of api.example.com:443 by the name of a secret that begins with SECRET_; put the secret itself there.",
      ]);
    },
  );

  test.each([undefined, "", {}, 1])("are refused where one is %j instead of a text", (value) => {
    const secrets = { "api.example.com": { authorization: "SECRET_OTHER" } };
    expect(problemsOfSecrets(secrets, { SECRET_OTHER: value })).toEqual([
      "SECRET_OTHER is missing while SANDBOX_SECRETS names it.",
    ]);
  });

  test.each(["a\r\nX: b", "a\n", " a", "a ", "a\0", "käse", "\u2028"])(
    "are refused where one is %j, and not shown",
    (value) => {
      const secrets = { "api.example.com": { authorization: "SECRET_EXAMPLE" } };
      expect(problemsOfSecrets(secrets, { SECRET_EXAMPLE: value })).toEqual([
        "SECRET_EXAMPLE cannot be sent in a header; make it one line of ASCII characters, without blanks around it.",
      ]);
    },
  );

  test("are never shown, whatever is wrong", () => {
    const all = problemsOf({
      ...{ ...WITH_SECRET, PUBLIC_URL: "nowhere", SIGNING_SECRET: "short", SECRET_EXAMPLE: `${CANARY}\n` },
      SANDBOX_SECRETS: JSON.stringify({
        "api.example.com": { authorization: "SECRET_EXAMPLE", host: CANARY, [CANARY]: "SECRET_EXAMPLE" },
        [CANARY]: { authorization: CANARY },
        "other.example.com": { authorization: CANARY },
      }),
    });
    const rest = problemsOfSecrets({
      "api.example.com": { authorization: CANARY, [CANARY]: "SECRET_EXAMPLE" },
      [CANARY]: { authorization: CANARY },
    });
    expect(all.length + rest.length).toBeGreaterThan(4);
    expect([...all, ...rest].join("\n")).not.toContain("canary");
  });
});

test("quota and age of artifacts are whole numbers, and artifacts stay where nothing is said", () => {
  expect(parseSettings(DEPLOYED).FILES_QUOTA_MB).toBe(10_240);
  expect(parseSettings(DEPLOYED)).not.toHaveProperty("ARTIFACTS_KEEP_DAYS");
  const given = { ...DEPLOYED, FILES_QUOTA_MB: "500", ARTIFACTS_KEEP_DAYS: "30", AUDIT_KEEP_DAYS: "400" };
  expect(parseSettings(given)).toMatchObject({ FILES_QUOTA_MB: 500, ARTIFACTS_KEEP_DAYS: 30, AUDIT_KEEP_DAYS: 400 });
  for (const value of ["0", "-1", "1.5", "many", " "]) {
    const problems = problemsOf({ ...DEPLOYED, FILES_QUOTA_MB: value, ARTIFACTS_KEEP_DAYS: value });
    expect(problems).toEqual([
      expect.stringMatching(/^FILES_QUOTA_MB: /),
      expect.stringMatching(/^ARTIFACTS_KEEP_DAYS: /),
    ]);
  }
});

test("limits are built in, and the setting changes them by role or takes them away", () => {
  const builtIn = { callsPerMinute: 3_000, concurrentCalls: 256 };
  expect(parseSettings(DEPLOYED).LIMITS).toEqual({ admin: builtIn, member: builtIn, reader: builtIn });
  const given = { member: { calls_per_minute: 600, usd_per_day: 2.5 }, reader: { concurrent_calls: null } };
  expect(parseSettings({ ...DEPLOYED, LIMITS: JSON.stringify(given) }).LIMITS).toEqual({
    admin: builtIn,
    member: { callsPerMinute: 600, concurrentCalls: 256, usdPerDay: 2.5 },
    reader: { callsPerMinute: 3_000 },
  });
});

test.each([
  ["no JSON", "{", "LIMITS: give JSON such as"],
  ["an unknown role", '{"guest": {}}', "LIMITS"],
  ["an unknown limit", '{"member": {"calls": 1}}', "LIMITS.member"],
  ["less than nothing", '{"member": {"usd_per_day": -1}}', "LIMITS.member.usd_per_day"],
  ["half a call", '{"member": {"calls_per_minute": 0.5}}', "LIMITS.member.calls_per_minute"],
  ["a text", '{"member": {"usd_per_day": "5"}}', "LIMITS.member.usd_per_day"],
])("limits with %s are refused", (_what, limits, problem) => {
  expect(problemsOf({ ...DEPLOYED, LIMITS: limits })).toEqual([expect.stringContaining(problem)]);
});

test("clients' addresses and clients that are registered by hand are read, and what is dangerous is named", () => {
  const settings = parseSettings({
    ...DEPLOYED,
    REDIRECT_URIS: "https://app.example.com/cb, com.example.app:/cb",
    PREREGISTERED_CLIENTS: `{"ci": {"name": "CI", "redirect_uris": ["https://ci.example.com/cb"]}}`,
  });
  expect(settings.REDIRECT_URIS).toEqual(["https://app.example.com/cb", "com.example.app:/cb"]);
  expect(settings.PREREGISTERED_CLIENTS).toEqual({
    ci: { name: "CI", redirect_uris: ["https://ci.example.com/cb"] },
  });
  const safe = "give https:// addresses, or an app's own scheme, without wildcard, fragment or user name.";
  expect(problemsOf({ ...DEPLOYED, REDIRECT_URIS: "https://*.example.com/" })).toEqual([`REDIRECT_URIS.0: ${safe}`]);
  expect(
    problemsOf({ ...DEPLOYED, PREREGISTERED_CLIENTS: `{"x": {"name": "X", "redirect_uris": ["javascript:x"]}}` }),
  ).toEqual([`PREREGISTERED_CLIENTS.x.redirect_uris.0: ${safe}`]);
  expect(problemsOf({ ...DEPLOYED, PREREGISTERED_CLIENTS: "{" })[0]).toContain("PREREGISTERED_CLIENTS: give JSON");
});

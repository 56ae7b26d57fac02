import { reset } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterEach, expect, test } from "vitest";
import { callerOf, openConsent, press, register, signIn, startSuite } from "./auth-suite.ts";
import { Visit } from "./account-suite.ts";
import {
  CLAIMS,
  EDGE_SETTINGS,
  IDENTITY_URL,
  type Keys,
  TEAM,
  assertion,
  startAccess,
  withAssertion,
} from "./access-suite.ts";

const GROUPS = { ADMIN_GROUPS: "ops", MEMBER_GROUPS: "staff,makers", READER_GROUPS: "guests" };
const ANN = { user_uuid: "7f1c-ann", email: CLAIMS.email };

afterEach(async () => {
  await reset();
});

async function headersOf(keys: Keys, claims: Readonly<Record<string, unknown>> = {}): Promise<Record<string, string>> {
  return withAssertion(await assertion(claims).sign(keys.privateKey));
}

/** As Access answers with those groups for Ann. */
const inGroups = (groups: unknown) => (): Response => Response.json({ ...ANN, groups, idp: { type: "azureAD" } });

test("the role goes by the groups that Access tells of the assertion, the highest of several", async () => {
  const roles = [];
  for (const groups of [["guests"], ["guests", "makers"], ["makers", "ops", "guests"]]) {
    const { suite, keys } = await startAccess(GROUPS, inGroups(groups));
    const { access_token: token } = await signIn(suite, {}, await headersOf(keys));
    roles.push((await callerOf(suite, "/mcp", token))?.role);
  }
  expect(roles).toEqual(["reader", "member", "admin"]);
});

test("the assertion goes to the team's identity endpoint and nowhere else, as the cookie that Access knows", async () => {
  const cookies: (string | null)[] = [];
  const { suite, keys, fetched } = await startAccess(GROUPS, (request) => {
    cookies.push(request.headers.get("Cookie"));
    return inGroups(["staff"])();
  });
  const jwt = await assertion().sign(keys.privateKey);
  const { status } = await openConsent(suite, await register(suite), {}, withAssertion(jwt));
  expect(status).toBe(200);
  expect(cookies).toEqual([`CF_Authorization=${jwt}`]);
  expect(fetched).toEqual([`${TEAM}/cdn-cgi/access/certs`, IDENTITY_URL]);
  expect(suite.logged.join()).not.toContain(jwt);
});

test("groups come as names, or as objects of which id, name and e-mail address name the group", async () => {
  const [id, email] = ["fdaedb59-e9be-4ab7-8001-3e069da54185", "crew@example.com"];
  for (const named of [id, "Crew", email]) {
    const { suite, keys } = await startAccess({ MEMBER_GROUPS: named }, inGroups([{ id, name: "Crew", email }, "all"]));
    expect((await openConsent(suite, await register(suite), {}, await headersOf(keys))).status).toBe(200);
  }
});

test("a group that somebody has named like another's id or address does not count as that", async () => {
  const [id, email] = ["fdaedb59-e9be-4ab7-8001-3e069da54185", "ops@example.com"];
  const impostors = [id, id.toUpperCase(), email].map((name) => ({ id: "0f6a", name }));
  const { suite, keys } = await startAccess(
    { ADMIN_GROUPS: `${id},${id.toUpperCase()},${email}` },
    inGroups(impostors),
  );
  expect((await openConsent(suite, await register(suite), {}, await headersOf(keys))).status).toBe(403);
});

test("who is in none of the named groups is not let in, unless ADMIN_EMAILS names them", async () => {
  for (const groups of [["strangers"], [], null, undefined, [{ id: "staff-2", name: "Staff" }]]) {
    const { suite, keys } = await startAccess(GROUPS, inGroups(groups));
    const page = await openConsent(suite, await register(suite), {}, await headersOf(keys));
    expect([page.status, page.handle]).toEqual([403, ""]);
    expect(page.markup).toContain("You are in no group that may use Pincer");
  }
  const boss = { email: "boss@example.com" };
  const { suite, keys } = await startAccess(GROUPS, () => Response.json({ ...ANN, ...boss, groups: ["strangers"] }));
  const { access_token: token } = await signIn(suite, {}, await headersOf(keys, boss));
  expect((await callerOf(suite, "/mcp", token))?.role).toBe("admin");
});

test("another person's groups, or a refusal, let nobody in", async () => {
  const groups = ["ops"];
  const answers: Record<string, () => Response> = {
    "another id": () => Response.json({ ...ANN, user_uuid: "7f1c-bob", groups }),
    "another address": () => Response.json({ ...ANN, email: "bob@example.com", groups }),
    "an ended session": () => Response.json({ err: "no app token set" }, { status: 400 }),
    "not signed in": () => new Response("denied", { status: 403 }),
  };
  for (const [name, answer] of Object.entries(answers)) {
    const { suite, keys } = await startAccess(GROUPS, answer);
    const page = await openConsent(suite, await register(suite), {}, await headersOf(keys));
    expect([name, page.status, page.handle]).toEqual([name, 403, ""]);
    expect(page.markup).toContain("You are not signed in");
  }
});

test("where Access cannot say whose the assertion is and which groups they are in, nobody gets in for now", async () => {
  const whole = JSON.stringify({ ...ANN, groups: ["ops"] });
  const answers: Record<string, () => Response | Promise<Response>> = {
    "no network": async () => await Promise.reject(new TypeError("network")),
    "an error": () => new Response(whole, { status: 500 }),
    "in haste": () => new Response(whole, { status: 429 }),
    "a redirect": () => Response.redirect("https://evil.example/identity"),
    "not JSON": () => new Response(`<html>${whole}`),
    "no person": () => Response.json({ groups: ["ops"] }),
    "no id": () => Response.json({ email: ANN.email, groups: ["ops"] }),
    "no address": () => Response.json({ user_uuid: ANN.user_uuid, groups: ["ops"] }),
    "groups of another form": () => Response.json({ ...ANN, groups: "ops" }),
    "a group of another form": () => Response.json({ ...ANN, groups: [["ops"]] }),
    "more than anybody says": () => new Response(`${whole}${" ".repeat(256 * 1024)}`),
    "an answer that breaks off": () => new Response(breakingOff(whole)),
  };
  for (const [name, answer] of Object.entries(answers)) {
    const { suite, keys, fetched } = await startAccess(GROUPS, answer);
    const page = await openConsent(suite, await register(suite), {}, await headersOf(keys));
    expect([name, page.status, page.handle]).toEqual([name, 503, ""]);
    expect(page.markup).toContain("Try again in a minute");
    expect(fetched.filter((url) => !url.startsWith(`${TEAM}/`))).toEqual([]);
  }
});

test("a forged assertion is shown to nobody", async () => {
  const { suite, fetched } = await startAccess(GROUPS, inGroups(["ops"]));
  const { keys: stranger } = await startAccess();
  const page = await openConsent(suite, await register(suite), {}, await headersOf(stranger));
  expect(page.status).toBe(403);
  expect(fetched).not.toContain(IDENTITY_URL);
});

test("who has left their group while the page was open grants nothing", async () => {
  let groups = ["staff"];
  const { suite, keys } = await startAccess(GROUPS, () => inGroups(groups)());
  const headers = await headersOf(keys);
  const form = await openConsent(suite, await register(suite), {}, headers);
  groups = ["strangers"];
  expect((await press(suite, form, { headers })).status).toBe(403);
  expect((await env.OAUTH_KV.list({ prefix: "grant:" })).keys).toEqual([]);
});

test("of a person's groups only those are kept that a role goes by", async () => {
  const { suite, keys } = await startAccess(GROUPS, inGroups(["staff", "a-secret-project"]));
  await signIn(suite, {}, await headersOf(keys));
  const { keys: grants } = await env.OAUTH_KV.list({ prefix: "grant:" });
  const kept = await Promise.all(grants.map(async ({ name }) => await env.OAUTH_KV.get(name)));
  expect(kept.join()).toContain('"groups":["staff"]');
  expect(kept.join()).not.toContain("a-secret-project");
});

test("at the next call a role goes by the groups that the settings name by then", async () => {
  const { suite, keys } = await startAccess(GROUPS, inGroups(["staff"]));
  const visit = new Visit(suite, await headersOf(keys));
  await visit.signIn();
  const personal = await visit.makeToken({ scopes: ["files:read", "files:write"] });
  const { access_token: granted } = await signIn(suite, { scope: "files:read files:write" }, await headersOf(keys));
  const rightsUnder = async (settings: Readonly<Record<string, string>>): Promise<(string | undefined)[]> => {
    const later = startSuite({ bindings: env, settings: { ...EDGE_SETTINGS, ...settings } });
    const callers = [await callerOf(later, "/mcp", granted), await callerOf(later, "/mcp", personal)];
    return callers.map((caller) => caller && [caller.role, ...caller.scopes].join(" "));
  };
  const twice = (rights: string | undefined): (string | undefined)[] => [rights, rights];
  expect(await rightsUnder(GROUPS)).toEqual(twice("member files:read files:write"));
  expect(await rightsUnder({ READER_GROUPS: "staff" })).toEqual(twice("reader files:read"));
  expect(await rightsUnder({ MEMBER_GROUPS: "ops" })).toEqual(twice(undefined));
  const promoted = { MEMBER_GROUPS: "ops", ADMIN_EMAILS: CLAIMS.email };
  expect(await rightsUnder(promoted)).toEqual(twice("admin files:read files:write"));
});

test("what goes on without a request has no more than the role that its person's groups give by then", async () => {
  const { suite, keys } = await startAccess(GROUPS, inGroups(["staff"]));
  const { access_token: token } = await signIn(suite, {}, await headersOf(keys));
  const caller = await callerOf(suite, "/mcp", token);
  if (caller === undefined) throw new Error("Nobody signed in.");
  const under = async (settings: Readonly<Record<string, string>>): Promise<unknown[]> => {
    const later = startSuite({ bindings: env, settings: { ...EDGE_SETTINGS, ...settings } });
    const scopes = await later.scopesNow(caller);
    return [scopes?.includes("files:write"), await later.isLetIn(caller.userId, ["files:write"])];
  };
  expect(await under(GROUPS)).toEqual([true, true]);
  expect(await under({ READER_GROUPS: "staff" })).toEqual([false, false]);
  expect(await under({ MEMBER_GROUPS: "ops" })).toEqual([undefined, false]);
});

test("an open page is asked for its groups again", async () => {
  let groups = ["ops"];
  const { suite, keys } = await startAccess(GROUPS, () => inGroups(groups)());
  const visit = new Visit(suite, await headersOf(keys));
  await visit.signIn();
  expect((await visit.get("/admin")).status).toBe(200);
  groups = ["staff"];
  expect((await visit.get("/admin")).status).toBe(403);
  groups = [];
  expect((await visit.get("/account")).status).toBe(403);
});

function breakingOff(text: string): ReadableStream<Uint8Array> {
  return new ReadableStream({
    start: (controller) => {
      controller.enqueue(new TextEncoder().encode(text));
      controller.error(new TypeError("network"));
    },
  });
}

import { reset } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterEach, expect, test } from "vitest";
import type { Caller } from "../../auth/caller.ts";
import { localUserId } from "../../auth/local.ts";
import { userIdOf } from "../../auth/identity.ts";
import { SettingsError } from "../../servers/shared/settings.ts";
import { TEAM, startAccess } from "./access-suite.ts";
import { LOCAL_SETTINGS, callerOf, exchange, startSuite, tokenAnswer } from "./auth-suite.ts";
import { signInUpstream, startOidcSuite } from "./oidc-suite.ts";

afterEach(async () => {
  await reset();
});

const MINUTE_MS = 60_000;
const ALL_BUT_ADMIN = [
  ...["sandbox:exec", "interpreter:run", "files:read", "files:write"],
  ...["browser:read", "browser:act", "delegate:run"],
];

function insideCaller(userId: string): Caller {
  return { userId, role: "member", scopes: [], clientId: "sandbox:main" };
}

/** Somebody of the staff whom Access has let in. */
async function startWithMember() {
  const { suite, script } = await startOidcSuite();
  const { client, code } = await signInUpstream(suite);
  const { access_token: token } = tokenAnswer.parse(await (await exchange(suite, client, code)).json());
  const caller = await callerOf(suite, "/mcp", token);
  if (caller === undefined) throw new Error("The new token is not taken.");
  return { suite, script, userId: caller.userId };
}

test("a sandbox has all that its owner's role has, but for admin", async () => {
  const suite = startSuite({ bindings: env });
  expect(await suite.insideNow(await localUserId())).toEqual({ role: "admin", scopes: ALL_BUT_ADMIN });
  const { suite: deployed, userId } = await startWithMember();
  expect(await deployed.insideNow(userId)).toEqual({ role: "member", scopes: ALL_BUT_ADMIN });
  expect(await deployed.scopesNow(insideCaller(userId))).toEqual(ALL_BUT_ADMIN);
});

test("what the settings withhold no sandbox has, and what goes on for one does not either", async () => {
  const settings = { ...LOCAL_SETTINGS, INSIDE_WITHHOLDS: "files:write, delegate:run" };
  const suite = startSuite({ bindings: env, settings });
  const scopes = ["sandbox:exec", "interpreter:run", "files:read", "browser:read", "browser:act"];
  expect(await suite.insideNow(await localUserId())).toEqual({ role: "admin", scopes });
  expect(await suite.scopesNow(insideCaller(await localUserId()))).toEqual(scopes);
});

test("a sandbox may be without the scope that opens sandboxes", async () => {
  const settings = { ...LOCAL_SETTINGS, INSIDE_WITHHOLDS: "sandbox:exec,interpreter:run" };
  const { scopes } = (await startSuite({ bindings: env, settings }).insideNow(await localUserId())) ?? {};
  expect(scopes).toEqual(ALL_BUT_ADMIN.slice(2));
});

test("settings that withhold what is no scope stop the suite", () => {
  const start = () => startSuite({ bindings: env, settings: { ...LOCAL_SETTINGS, INSIDE_WITHHOLDS: "files:wirte" } });
  expect(start).toThrow(SettingsError);
  expect(start).toThrow("INSIDE_WITHHOLDS names what is no scope; scopes are sandbox:exec, interpreter:run,");
});

test("whom Access lets in no longer has nothing in their sandbox either", async () => {
  const { suite, script, userId } = await startWithMember();
  script.refusal = () => Response.json({ error: "access_denied" }, { status: 403 });
  suite.clock.nowMs += 11 * MINUTE_MS;
  expect(await suite.insideNow(userId)).toBeUndefined();
  expect(await suite.scopesNow(insideCaller(userId))).toBeUndefined();
  expect(await suite.insideNow("nobody")).toBeUndefined();
});

test("who has become a reader, and may have no sandbox, has nothing in the one that is there", async () => {
  const { suite, script, userId } = await startWithMember();
  script.claims = { groups: ["guests"] };
  suite.clock.nowMs += 11 * MINUTE_MS;
  expect(await suite.isLetIn(userId, ["files:read"])).toBe(true);
  expect(await suite.insideNow(userId)).toBeUndefined();
});

test("where Access cannot be asked nobody says what a sandbox may do", async () => {
  const { suite, script, userId } = await startWithMember();
  script.refusal = () => new Response("<h1>Bad gateway</h1>", { status: 502 });
  suite.clock.nowMs += 11 * MINUTE_MS;
  await expect(suite.insideNow(userId)).rejects.toMatchObject({ code: "unavailable" });
  script.refusal = undefined;
  expect(await suite.insideNow(userId)).toBeDefined();
});

test("a service's sandbox has what its tokens have between them, while the settings name it", async () => {
  const startWith = async (tokens: Readonly<Record<string, object>>) => {
    const settings = { ACCESS_SERVICE_AUDIENCE: "tag", SERVICE_TOKENS: JSON.stringify(tokens) };
    return (await startAccess(settings)).suite;
  };
  const userId = await userIdOf(TEAM, "service/CI");
  const exec = { name: "CI", role: "member", scopes: ["sandbox:exec"] };
  const reading = { name: "CI", role: "reader", scopes: ["browser:read"] };
  const other = { name: "Boss", role: "admin" };
  expect(await (await startWith({ a: exec, b: reading, c: other })).insideNow(userId)).toEqual({
    role: "member",
    scopes: ["sandbox:exec", "files:read", "files:write", "browser:read"],
  });
  expect(await (await startWith({ b: reading, c: other })).insideNow(userId)).toBeUndefined();
  expect(await (await startWith({ c: other })).insideNow(userId)).toBeUndefined();
});

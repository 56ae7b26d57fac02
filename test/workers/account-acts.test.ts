import { reset } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterEach, expect, test } from "vitest";
import * as z from "zod";
import { sha256Hex } from "../../auth/secrets.ts";
import { Visit } from "./account-suite.ts";
import { ADMIN_SECRET, signIn, startSuite } from "./auth-suite.ts";
import { assertion, startAccess, withAssertion } from "./access-suite.ts";

afterEach(async () => {
  await reset();
});

/** What the audit of a person says, the oldest first. */
async function auditOf(userId: string) {
  return (await env.ACCOUNT.get(env.ACCOUNT.idFromName(userId)).listAudit(100)).toReversed();
}

const digest = async (what: object): Promise<string> => await sha256Hex(JSON.stringify(what));

test("tokens that are made and what is revoked leave rows in the person's audit, without a secret", async () => {
  const suite = startSuite({ bindings: env });
  const { access_token: granted } = await signIn(suite);
  const [userId = ""] = granted.split(":");
  const visit = new Visit(suite);
  await visit.signIn();
  const { key, ids } = await visit.read();
  suite.clock.nowMs += 1_000;
  const token = await visit.makeToken({ scopes: ["files:read"] });
  const tokenId = (await visit.read()).ids.find((id) => !ids.includes(id)) ?? "";
  suite.clock.nowMs += 1_000;
  const held = [
    { kind: "token", id: tokenId },
    { kind: "grant", id: ids[0] ?? "" },
  ];
  for (const what of held) {
    expect((await visit.post("/account/revoke", { key, ...what })).status).toBe(303);
    suite.clock.nowMs += 1_000;
  }
  const headers = { Authorization: `Bearer ${ADMIN_SECRET}` };
  const launched = await suite.fetch("/local/token", { method: "POST", headers, body: '{"scopes":["files:read"]}' });
  const { token: second } = z.object({ token: z.string() }).parse(await launched.json());

  const rows = await auditOf(userId);
  const row = {
    id: expect.stringMatching(/^act\//),
    atMs: expect.any(Number),
    outcome: "ok",
    durationMs: expect.any(Number),
    outputBytes: 0,
  };
  const made = { name: "ci", scopes: ["files:read"], days: 1 };
  expect(rows).toEqual([
    { ...row, clientId: "page", tool: "account/token", inputDigest: await digest(made) },
    ...(await Promise.all(
      held.map(async (what) => ({
        ...row,
        clientId: "page",
        tool: "account/revoke",
        inputDigest: await digest(what),
      })),
    )),
    { ...row, clientId: "launcher", tool: "account/token", inputDigest: expect.stringMatching(/^[0-9a-f]{64}$/) },
  ]);
  for (const secret of [token, second, granted]) expect(JSON.stringify(rows)).not.toContain(secret);
});

test("what an admin revokes leaves a row in the audit of its person that names the admin; who may not leaves none", async () => {
  const { suite, keys } = await startAccess();
  const headersOf = async (name: string): Promise<Record<string, string>> =>
    withAssertion(
      await assertion({ email: `${name}@example.com` })
        .setSubject(name)
        .sign(keys.privateKey),
    );
  const annsHeaders = await headersOf("ann");
  const [annsId = ""] = (await signIn(suite, {}, annsHeaders)).access_token.split(":");
  const bossHeaders = await headersOf("boss");
  const [bossId = ""] = (await signIn(suite, {}, bossHeaders)).access_token.split(":");
  const ann = new Visit(suite, annsHeaders);
  const boss = new Visit(suite, bossHeaders);
  await ann.signIn();
  await boss.signIn("/admin");
  const [id = ""] = (await ann.read()).ids;
  const { key } = await boss.read("/admin");
  const form = { kind: "grant", id };
  const page = `/admin/people/${annsId}/revoke`;
  expect((await ann.post(page, { key: (await ann.read()).key, ...form })).status).toBe(403);
  expect(await auditOf(annsId)).toEqual([]);
  expect((await boss.post(page, { key, ...form, id: "unknown" })).status).toBe(404);
  expect((await boss.post(page, { key, ...form })).status).toBe(303);
  const inputDigest = await digest(form);
  const row = { clientId: `admin:${bossId}`, tool: "admin/revoke" };
  expect(await auditOf(annsId)).toMatchObject([
    { ...row, outcome: "not_found" },
    { ...row, outcome: "ok", inputDigest },
  ]);
  expect(await auditOf(bossId)).toEqual([]);
  expect(await env.ACCOUNT.get(env.ACCOUNT.idFromName(annsId)).costTotal()).toEqual({ calls: 0, nanoUsd: 0 });
});

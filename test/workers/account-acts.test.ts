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

const accountOf = (userId: string) => env.ACCOUNT.get(env.ACCOUNT.idFromName(userId));

/** What the audit of a person says: acts of the same moment are in no order. */
async function auditOf(userId: string): Promise<string[]> {
  const rows = await accountOf(userId).listAudit(100);
  for (const { id } of rows) expect(id).toMatch(/^act\//);
  return rows
    .map(({ tool, clientId, outcome, inputDigest }) => [tool, clientId, outcome, inputDigest].join(" "))
    .toSorted();
}

const digest = async (what: object): Promise<string> => await sha256Hex(JSON.stringify(what));

test("tokens that are made and what is revoked leave rows in the person's audit, without a secret, and are no calls", async () => {
  const suite = startSuite({ bindings: env });
  const { access_token: granted } = await signIn(suite);
  const [userId = ""] = granted.split(":");
  const visit = new Visit(suite);
  await visit.signIn();
  const { key, ids } = await visit.read();
  const token = await visit.makeToken({ scopes: ["files:read"] });
  const tokenId = (await visit.read()).ids.find((id) => !ids.includes(id)) ?? "";
  const held = [
    { kind: "token", id: tokenId },
    { kind: "grant", id: ids[0] ?? "" },
  ];
  for (const what of held) expect((await visit.post("/account/revoke", { key, ...what })).status).toBe(303);
  const headers = { Authorization: `Bearer ${ADMIN_SECRET}` };
  const launched = await suite.fetch("/local/token", { method: "POST", headers, body: '{"scopes":["files:read"]}' });
  const { token: second } = z.object({ token: z.string() }).parse(await launched.json());

  const rows = await auditOf(userId);
  expect(rows).toEqual([
    ...(await Promise.all(held.map(async (what) => `account/revoke page ok ${await digest(what)}`))).toSorted(),
    expect.stringMatching(/^account\/token launcher ok [0-9a-f]{64}$/),
    `account/token page ok ${await digest({ name: "ci", scopes: ["files:read"], days: 1 })}`,
  ]);
  for (const secret of [token, second, granted]) expect(JSON.stringify(rows)).not.toContain(secret);
  expect(await accountOf(userId).usage({ fromDay: "2000-01-01", toDay: "2999-12-31", by: "day" })).toEqual([]);
});

test("what an admin revokes is in the audit of its person and names the admin; what was not there says so", async () => {
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
  const revoke = `/admin/people/${annsId}/revoke`;
  const form = { kind: "grant", id };
  expect((await ann.post(revoke, { key: (await ann.read()).key, ...form })).status).toBe(403);
  expect(await auditOf(annsId)).toEqual([]);
  expect((await boss.post(revoke, { key, ...form, id: "unknown" })).status).toBe(404);
  expect((await boss.post(revoke, { key, ...form })).status).toBe(303);
  expect(await auditOf(annsId)).toEqual([
    `admin/revoke admin:${bossId} not_found ${await digest({ ...form, id: "unknown" })}`,
    `admin/revoke admin:${bossId} ok ${await digest(form)}`,
  ]);
  expect(await auditOf(bossId)).toEqual([]);
  expect(await accountOf(annsId).costTotal()).toEqual({ calls: 0, nanoUsd: 0 });
});

import { listDurableObjectIds, reset } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterEach, expect, test } from "vitest";
import {
  THING_FORMS,
  accountOf,
  directory,
  scriptedActs,
  signedInOwner,
  signedInReaderAndAdmin,
} from "./admin-suite.ts";

afterEach(async () => {
  await reset();
});

const EVERYBODYS = ["", "/people", "/usage", "/usage.csv", "/cost", "/audit", "/limits", "/health", "/live"];
const PERSONS = ["", "/usage", "/usage.csv", "/audit", "/audit.jsonl", "/apps", "/limits", "/live", "/confirm"];
const PERSONS_ACTS = ["/act", "/revoke", "/audit-export", "/limits", "/pause", "/resume"];
const EVERYBODYS_ACTS = ["/limits", "/pause", "/resume"];

/** What every act of an admin would do something with. */
const ALL_FIELDS = {
  ...{ act: "reset", kind: "sandbox", name: "main", role: "member", callsPerMinute: "1", reason: "stop" },
  user: "somebody",
};

test("who is no admin is shown no page of everybody's or of somebody else's, and does nothing there", async () => {
  const { reader, admin } = await signedInReaderAndAdmin();
  const { visit, key } = reader;
  const before = await directory().policy();
  for (const page of EVERYBODYS) expect([page, (await visit.get(`/admin${page}`)).status]).toEqual([page, 403]);
  for (const userId of [admin.userId, reader.userId, "0".repeat(32)]) {
    for (const page of PERSONS) {
      const answer = await visit.get(`/admin/people/${userId}${page}`);
      expect([page, answer.status]).toEqual([page, 403]);
      expect(await answer.text()).not.toContain("boss@example.com");
    }
    for (const act of [...PERSONS_ACTS, "/tokens"]) {
      const answer = await visit.post(`/admin/people/${userId}${act}`, { key, ...ALL_FIELDS });
      expect([act, answer.status]).toEqual([act, 403]);
    }
  }
  for (const act of EVERYBODYS_ACTS) {
    expect([act, (await visit.post(`/admin${act}`, { key, ...ALL_FIELDS })).status]).toEqual([act, 403]);
  }
  expect(await directory().policy()).toEqual(before);
  expect(await accountOf(admin.userId).standing()).toMatchObject({ own: {} });
  expect(await accountOf(admin.userId).listAudit(10)).toEqual([]);
  expect((await visit.read("/account")).text).not.toContain("/admin");
});

test("an admin finds everybody who is known, and nobody else's id wakes an account", async () => {
  const { reader, admin } = await signedInReaderAndAdmin();
  for (const page of EVERYBODYS.filter((path) => path !== "/live")) {
    expect([page, (await admin.visit.get(`/admin${page}`)).status]).toEqual([page, 200]);
  }
  for (const page of PERSONS.filter((path) => path !== "/live" && path !== "/confirm")) {
    const answer = await admin.visit.get(`/admin/people/${reader.userId}${page}`);
    expect([page, answer.status]).toEqual([page, 200]);
  }
  const before = (await listDurableObjectIds(env.ACCOUNT)).length;
  for (const stranger of ["0".repeat(32), "x", `${reader.userId}x`, reader.userId.toUpperCase()]) {
    expect((await admin.visit.get(`/admin/people/${stranger}/audit`)).status).toBe(404);
    expect((await admin.visit.post(`/admin/people/${stranger}/pause`, { key: admin.key, reason: "x" })).status).toBe(
      404,
    );
  }
  expect((await listDurableObjectIds(env.ACCOUNT)).length).toBe(before);
});

test("a person's own pages show and change nobody else's, whatever id a form or query names", async () => {
  const { reader, admin } = await signedInReaderAndAdmin();
  const { visit, key } = reader;
  await accountOf(admin.userId).setRules({ own: { callsPerMinute: 7 } });
  for (const page of ["", "/usage", "/audit", "/apps", "/limits"]) {
    const { text } = await visit.read(`/account${page}?user=${admin.userId}&userId=${admin.userId}`);
    expect(text).toContain("ann@example.com");
    expect(text).not.toContain("boss@example.com");
  }
  for (const act of ["/limits", "/pause", "/resume"]) {
    const answer = await visit.post(`/account${act}`, { key, ...ALL_FIELDS, user: admin.userId });
    expect([act, answer.status]).toEqual([act, 404]);
  }
  expect((await accountOf(admin.userId).standing()).own).toEqual({ callsPerMinute: 7 });
  expect((await accountOf(reader.userId).standing()).own).toEqual({});
});

test("an admin makes no token on somebody else's page", async () => {
  const { reader, admin } = await signedInReaderAndAdmin();
  const order = { key: admin.key, name: "for them", days: "1", scope: "files:read" };
  expect((await admin.visit.post(`/admin/people/${reader.userId}/tokens`, order)).status).toBe(404);
  expect((await admin.visit.post("/account/tokens", order)).status).toBe(200);
  const held = await Promise.all([reader, admin].map(async ({ userId }) => await accountOf(userId).listTokens()));
  expect(held.map((tokens) => tokens.length)).toEqual([0, 1]);
});

test("no act goes without the session's key, or from another page", async () => {
  const done: string[] = [];
  const { visit, userId, key, suite } = await signedInOwner((desk) => ({ ...desk, actsOn: scriptedActs(done) }));
  const before = await directory().policy();
  const paths = [
    ...["/account/act", "/account/audit-export", "/account/revoke", "/account/tokens", "/account/sign-out"],
    ...EVERYBODYS_ACTS.map((act) => `/admin${act}`),
    ...PERSONS_ACTS.map((act) => `/admin/people/${userId}${act}`),
  ];
  const forged: readonly (readonly [Record<string, string>, Record<string, string>])[] = [
    [{ key: "" }, {}],
    [{ key: "0".repeat(key.length) }, {}],
    [{ key }, { Origin: "https://evil.example" }],
    [{ key }, { Origin: "null" }],
    [{ key }, { "Sec-Fetch-Site": "same-site" }],
    [{ key }, { "Content-Type": "text/plain" }],
  ];
  for (const path of paths) {
    for (const [field, headers] of forged) {
      const answer = await visit.post(path, { ...ALL_FIELDS, ...field }, headers);
      expect([path, headers, answer.status]).toEqual([path, headers, 403]);
    }
    // A link or a picture on another page.
    const asked = await suite.fetch(`${path}?key=${key}&reason=x`, { headers: { Cookie: visit.cookie } });
    expect(asked.status).not.toBe(303);
  }
  expect(done).toEqual([]);
  expect(await directory().policy()).toEqual(before);
  expect((await accountOf(userId).standing()).own).toEqual({});
  expect(await accountOf(userId).listAudit(10)).toEqual([]);
});

test("each act is done once, to whose page it is on, and is in their audit with who did it", async () => {
  const done: string[] = [];
  const { visit, userId, key } = await signedInOwner((desk) => ({ ...desk, actsOn: scriptedActs(done) }));
  const other = "b".repeat(32);
  await directory().notePerson({ userId: other, displayName: "bob@example.com", role: "member" }, Date.now());
  for (const [base, whose] of [
    ["/account", userId],
    [`/admin/people/${other}`, other],
  ] as const) {
    done.length = 0;
    for (const form of THING_FORMS) {
      const answer = await visit.post(`${base}/act`, { key, ...form });
      expect([form.act, answer.status, answer.headers.get("Location")]).toEqual([
        form.act,
        303,
        `${base}?done=${form.act}`,
      ]);
    }
    expect(done).toEqual([
      `snapshot ${whose} main`,
      `restart ${whose} main`,
      `sleep ${whose} main`,
      `reset ${whose} main`,
      `kill ${whose} main 0123abcd`,
      `withdraw ${whose} main 3000`,
      `close ${whose} desk`,
      `cancel ${whose} run-0123456789abcdef`,
    ]);
    const rows = await accountOf(whose).listAudit(10);
    const [area, clientId] = whose === userId ? ["account", "page"] : ["admin", `admin:${userId}`];
    expect(new Set(rows.map((row) => `${row.tool} ${row.clientId} ${row.outcome}`))).toEqual(
      new Set(THING_FORMS.map(({ act }) => `${area}/${act} ${clientId} ok`)),
    );
    expect(rows).toHaveLength(THING_FORMS.length);
  }
});

test.each([
  { act: "explode", kind: "sandbox", name: "main" },
  { act: "reset", kind: "browser", name: "main" },
  { act: "reset", kind: "sandbox", name: "../main" },
  { act: "reset", kind: "sandbox", name: "" },
  { act: "cancel", kind: "run", name: "main" },
  { act: "kill", kind: "sandbox", name: "main" },
  { act: "withdraw", kind: "sandbox", name: "main", port: "0" },
  { act: "withdraw", kind: "sandbox", name: "main" },
])("%j is no act", async (form) => {
  const done: string[] = [];
  const { visit, key, userId } = await signedInOwner((desk) => ({ ...desk, actsOn: scriptedActs(done) }));
  expect((await visit.post("/account/act", { key, ...form })).status).toBe(400);
  expect(done).toEqual([]);
  expect(await accountOf(userId).listAudit(10)).toEqual([]);
});

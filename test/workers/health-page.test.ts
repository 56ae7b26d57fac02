import { reset } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterEach, expect, test } from "vitest";
import type { Desk } from "../../servers/admin/desk.ts";
import type { HealthReport } from "../../servers/admin/health-report.ts";
import { assertion, startAccess, withAssertion } from "./access-suite.ts";
import { Visit } from "./account-suite.ts";
import { ORIGIN, startSuite } from "./auth-suite.ts";

afterEach(async () => {
  await reset();
});

const REPORT: HealthReport = {
  checks: [
    { name: "R2 bucket FILES", state: "ok", says: "It keeps an object.", took_ms: 12 },
    { name: "Model endpoint", state: "off", says: "None is set.", todo: "Set one.", took_ms: 0 },
    { name: "Browser", state: "broken", says: "It does not answer.", todo: "Mend it.", took_ms: 5_000 },
    { name: "Clock", state: "warning", says: "It is off.", todo: "Set it.", took_ms: 0 },
  ],
  versions: [{ name: "Pincer", version: "0.1.0" }],
  errors: [
    {
      reference: "the-reference",
      at: "2026-11-28T01:02:03.000Z",
      tool: "files_read",
      user_id: "a".repeat(32),
      person: "<script>alert(1)</script>",
    },
  ],
};

async function readWith(report: HealthReport): Promise<{ text: string; asked: string[] }> {
  const asked: string[] = [];
  const health: Desk["health"] = async (userId, origin) => {
    asked.push(`${userId} ${origin}`);
    return await Promise.resolve(report);
  };
  const visit = new Visit(startSuite({ bindings: env, desk: (desk) => ({ ...desk, health }) }));
  await visit.signIn("/admin/health");
  return { text: (await visit.read("/admin/health")).text, asked };
}

test("an admin sees what was found, the worst first, the last errors and the versions", async () => {
  const { text, asked } = await readWith(REPORT);
  expect(asked).toEqual([expect.stringMatching(new RegExp(`^[0-9a-z]{32} ${ORIGIN}$`))]);
  expect(text).toContain("Of 4 checks, 1 is broken and 1 needs a look.");
  const order = ["Broken", "Warning", "Off", "OK"].map((word) => text.indexOf(`>${word}</span>`));
  expect(order).toEqual(order.toSorted((a, b) => a - b));
  for (const words of ["Mend it.", "the-reference", "0.1.0", "5000 ms"]) expect(text).toContain(words);
  expect(text).not.toContain("<script>alert");
  expect(text).toContain(`href="/admin/people/${"a".repeat(32)}"`);
});

test("where all is well the page says so", async () => {
  const { text } = await readWith({ ...REPORT, checks: REPORT.checks.slice(0, 2), errors: [] });
  expect(text).toContain("Everything that is set up works.");
  expect(text).toContain("Nothing has broken.");
});

test("a member is shown nothing, and nothing is tried for them", async () => {
  const asked: string[] = [];
  const health: Desk["health"] = async (userId) => {
    asked.push(userId);
    return await Promise.resolve(REPORT);
  };
  const { suite, keys } = await startAccess({}, undefined, (desk) => ({ ...desk, health }));
  const ann = new Visit(suite, withAssertion(await assertion().sign(keys.privateKey)));
  await ann.signIn("/admin/health");
  const { status, text } = await ann.read("/admin/health");
  expect(status).toBe(403);
  expect(text).toContain("This page is for admins");
  expect(asked).toEqual([]);
});

import { readFile } from "node:fs/promises";
import path from "node:path";
import { expect, test } from "vitest";
import * as z from "zod";
import { VERSIONS } from "../../servers/admin/health/versions.ts";

const ROOT = path.resolve(import.meta.dirname, "../..");

test("the versions that are told are those of package.json and wrangler.jsonc", async () => {
  const project = z
    .object({ version: z.string(), dependencies: z.record(z.string(), z.string()) })
    .parse(JSON.parse(await readFile(path.join(ROOT, "package.json"), "utf8")));
  const [, date] =
    /"compatibility_date": "([\d-]+)"/.exec(await readFile(path.join(ROOT, "wrangler.jsonc"), "utf8")) ?? [];
  const told = Object.fromEntries(VERSIONS.map(({ name, version }) => [name, version]));
  expect(told).toEqual({
    Pincer: project.version,
    MCP: expect.stringMatching(/^2026-07-28, 2025-11-25, /),
    "Workers compatibility date": date,
    ...project.dependencies,
  });
});

import { execFile } from "node:child_process";
import { readFile } from "node:fs/promises";
import path from "node:path";
import { promisify } from "node:util";
import { expect, test } from "vitest";
import { startSuite } from "../support/suite.ts";
import { startTestGateway } from "../support/test-gateway.ts";

const DEMO = path.resolve(import.meta.dirname, "../../container/local/demo.ts");
const PNG_SIGNATURE = "89504e470d0a1a0a";
const KEY = "key-that-stays-with-the-worker";

test("the demo stores, analyses, reports, opens, pictures, and has a sub-agent summarise what it made", async () => {
  await using gateway = await startTestGateway({ key: KEY });
  gateway.script(
    { kind: "calls", calls: [{ name: "files_read", input: { path: "demo/report.html", lines: 20 } }] },
    {
      kind: "calls",
      calls: [{ name: "sandbox_exec", input: { command: "grep -o 'rained on.*days' files/demo/report.html" } }],
    },
    ({ body }) => ({
      kind: "text",
      text: `The report says: ${JSON.stringify(body.messages.at(-1)?.content).slice(0, 200)}`,
    }),
  );
  await using suite = await startSuite([], {
    MODEL_BASE_URL: gateway.baseUrl,
    MODEL_API_KEY: KEY,
    MODEL_DEFAULT: "scripted",
  });

  const { stdout } = await promisify(execFile)(process.execPath, [DEMO, "--data", suite.dataDir]);

  expect(stdout.match(/\((\w+)\) \d+ ms$/gm)?.map((step) => step.replace(/ \d+ ms$/, ""))).toEqual([
    "(files_write)",
    "(interpreter_run)",
    "(sandbox_exec)",
    "(files_share)",
    "(browser_open)",
    "(browser_snapshot)",
    "(browser_screenshot)",
    "(delegate_run)",
  ]);
  expect(stdout).toContain("It rained on 623 of 1461 days.");
  expect(stdout).toContain("rained on <strong>623 of 1461 days");
  for (const picture of ["chart.png", "page.png"]) {
    const bytes = await readFile(path.join(suite.dataDir, "demo", picture));
    expect(bytes.subarray(0, 8).toString("hex")).toBe(PNG_SIGNATURE);
    expect(bytes.length).toBeGreaterThan(10_000);
  }
  expect(gateway.requests).toHaveLength(3);
  expect(stdout + suite.output() + JSON.stringify(gateway.requests.map(({ body }) => body))).not.toContain(KEY);
});

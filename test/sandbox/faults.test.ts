import { afterAll, beforeAll, expect, test } from "vitest";
import { describeBadInput } from "../support/sandbox-bad-input.ts";
import { describeHostility } from "../support/sandbox-faults.ts";
import { run } from "./local-sandboxes.ts";
import { type ServedSandboxes, serveSandboxes } from "./served-sandboxes.ts";

/** In the environment of the runtime. */
const CANARY = "canary-7781";

let served: ServedSandboxes;

beforeAll(async () => {
  process.env["PINCER_TEST_CANARY"] = CANARY;
  served = await serveSandboxes();
});

afterAll(async () => {
  await served[Symbol.asyncDispose]();
});

const subject = {
  open: async () => await Promise.resolve(served.open()),
  secrets: () => [served.secret, CANARY],
};

describeBadInput("local driver", subject);
describeHostility("local driver", subject);

test("a file whose name is no UTF-8 keeps no other from being brought out", async () => {
  const { sandbox, files } = served.open();
  const result = await run(sandbox, String.raw`cd files; touch $'caf\xe9'; echo fine > other.txt; ls | wc -l`);
  expect(result).toMatchObject({ exitCode: 0, stdout: { text: "2\n" } });
  expect(result.notes?.join(" ")).toMatch(/1 links, devices or unreadable names/);
  expect(await files.read("other.txt")).toBe("fine\n");
});

test("a command that is too large for the agent is refused in words, and what runs beside it goes on", async () => {
  const { sandbox } = served.open();
  const beside = run(sandbox, "sleep 0.5; echo done");
  const env = Object.fromEntries(Array.from({ length: 45 }, (_, index) => [`V${index}`, "x".repeat(100_000)]));
  const refusal = { code: "too_large", message: expect.stringContaining("4 MiB") };
  await expect(run(sandbox, "true", { env })).rejects.toMatchObject(refusal);
  await expect(run(sandbox, "\u0001".repeat(1_000_000))).rejects.toMatchObject(refusal);
  expect(await beside).toMatchObject({ exitCode: 0, stdout: { text: "done\n" } });
  expect(await sandbox.listProcesses()).toHaveLength(1);
});

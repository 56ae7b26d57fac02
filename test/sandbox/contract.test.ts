import { afterAll, beforeAll, expect, test } from "vitest";
import { describePorts, describeReading } from "../support/port-contract.ts";
import { describeSandbox } from "../support/sandbox-contract.ts";
import { run } from "./local-sandboxes.ts";
import { type ServedSandboxes, serveSandboxes } from "./served-sandboxes.ts";

let served: ServedSandboxes;

beforeAll(async () => {
  served = await serveSandboxes();
});

afterAll(async () => {
  await served[Symbol.asyncDispose]();
});

const subject = { open: async () => await Promise.resolve(served.open()) };

describeSandbox("local driver", subject);
describePorts("local driver", subject);
describeReading("local driver", subject);

test("on R2 too, a file that both sides changed is kept twice", async () => {
  const { sandbox, files } = served.open();
  await files.write("shared.txt", "one\n");
  const running = run(sandbox, "touch begun; until [[ -e go ]]; do sleep 0.02; done; echo sandbox >> files/shared.txt");
  while ((await sandbox.readFile("begun", 0).catch(() => undefined)) === undefined);
  await files.write("shared.txt", "person\n");
  await sandbox.writeFile("go", new Uint8Array());
  await running;
  expect(await files.read("shared.txt")).toBe("person\n");
  const names = await run(sandbox, "cd files; ls; tail -n 1 shared*conflict*");
  expect(names.stdout.text).toMatch(/^shared \(conflict .*\)\.txt\nshared\.txt\nsandbox\n$/);
});

import { afterAll, beforeAll } from "vitest";
import { describeSnapshots } from "../support/snapshot-contract.ts";
import { type ServedSandboxes, serveSandboxes } from "./served-sandboxes.ts";

let served: ServedSandboxes;

beforeAll(async () => {
  served = await serveSandboxes();
});

afterAll(async () => {
  await served[Symbol.asyncDispose]();
});

describeSnapshots("local driver", { open: async () => await Promise.resolve(served.open()) });

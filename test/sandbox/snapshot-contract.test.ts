import { afterAll, beforeAll } from "vitest";
import { describeSnapshots } from "../support/snapshot-contract.ts";
import { type ServedSandboxes, SNAPSHOTS_SOON, serveSandboxes } from "./served-sandboxes.ts";

let served: ServedSandboxes;

beforeAll(async () => {
  served = await serveSandboxes({}, SNAPSHOTS_SOON);
});

afterAll(async () => {
  await served[Symbol.asyncDispose]();
});

describeSnapshots("local driver", { open: async () => await Promise.resolve(served.open()) });

import { afterAll, beforeAll } from "vitest";
import { describeCommands, describeFiles, describeProcesses, describeStore, describeWhole } from "../support/sandbox-contract.ts";
import { type ServedSandboxes, serveSandboxes } from "./served-sandboxes.ts";

let served: ServedSandboxes;

beforeAll(async () => {
  served = await serveSandboxes({ driver: "simulated" });
});

afterAll(async () => {
  await served[Symbol.asyncDispose]();
});

const subject = { timeoutMs: 25_000, open: async () => await Promise.resolve(served.open()) };

describeCommands("simulated shell", subject);
describeProcesses("simulated shell", subject);
describeFiles("simulated shell", subject);
describeStore("simulated shell", subject);
describeWhole("simulated shell", subject);

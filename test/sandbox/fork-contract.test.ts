import { afterAll, beforeAll } from "vitest";
import { describeDiscards, describeForks } from "../support/fork-contract.ts";
import { type ServedSandboxes, SNAPSHOTS_SOON, serveSandboxes } from "./served-sandboxes.ts";

let served: ServedSandboxes;

beforeAll(async () => {
  served = await serveSandboxes({}, SNAPSHOTS_SOON);
});

afterAll(async () => {
  await served[Symbol.asyncDispose]();
});

const subject = {
  open: async () => {
    const source = served.open();
    const beside = (name: string) => served.open({ userId: source.id, id: `${source.id}-${name}` });
    return await Promise.resolve({ files: source.files, source, copy: beside("copy"), other: beside("other") });
  },
};

describeForks("local driver", subject);
describeDiscards("local driver", subject);

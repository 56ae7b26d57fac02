import { afterAll, beforeAll, describe, test } from "vitest";
import { describeDiscards, describeForks, type ForkedSandbox } from "../support/fork-contract.ts";
import { remoteSandbox } from "./remote-sandbox.ts";
import { type StandIn, startStandIn, whyNoMount, whyNoStandIn } from "./stand-in.ts";

const reason = whyNoStandIn();
const noFiles = reason ?? whyNoMount();

if (reason === undefined) {
  let standIn: StandIn;
  beforeAll(async () => (standIn = await startStandIn({ SNAPSHOT_AFTER: "1s" }, { isMounted: noFiles === undefined })));
  afterAll(async () => await standIn.close());

  const open = async () => {
    const userId = `u${crypto.randomUUID().replaceAll("-", "")}`;
    const { files } = remoteSandbox(standIn.url, userId);
    const named = (name: string): ForkedSandbox => {
      const { id, sandbox } = remoteSandbox(standIn.url, userId, `${userId}-${name}`);
      const traces = async (): Promise<readonly string[]> => await standIn.snapshotKeys(`${id}/`);
      return { id, sandbox, traces, lose: async () => await standIn.stopContainers() };
    };
    return await Promise.resolve({ files, source: named("main"), copy: named("copy"), other: named("other") });
  };
  const subject = { open, ...(noFiles !== undefined && { noFiles }) };
  describeForks("container driver", subject);
  describeDiscards("container driver", subject);
} else {
  describe("copies of a container's sandbox", () => {
    test.skip(`are made (skipped: ${reason})`, () => undefined);
  });
}

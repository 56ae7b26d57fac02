import { afterAll, beforeAll, describe, test } from "vitest";
import {
  describeCode,
  describeCommands,
  describeFiles,
  describeProcesses,
  describeWhole,
} from "../support/sandbox-contract.ts";
import { remoteSandbox } from "./remote-sandbox.ts";
import { type StandIn, startStandIn, whyNoStandIn } from "./stand-in.ts";

const reason = whyNoStandIn();

if (reason === undefined) {
  let standIn: StandIn;
  beforeAll(async () => (standIn = await startStandIn()));
  afterAll(async () => await standIn.close());
  const subject = {
    open: async () => await Promise.resolve(remoteSandbox(standIn.url, `u${crypto.randomUUID().replaceAll("-", "")}`)),
  };
  describeCommands("container driver", subject);
  describeProcesses("container driver", subject);
  describeFiles("container driver", subject);
  describeCode("container driver", subject);
  describeWhole("container driver", subject);
} else {
  describe("container driver", () => {
    test.skip(`keeps the sandbox's promises (skipped: ${reason})`, () => undefined);
  });
}

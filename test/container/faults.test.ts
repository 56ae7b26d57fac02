import { afterAll, beforeAll, describe, test } from "vitest";
import { describeFaults } from "../support/sandbox-faults.ts";
import { remoteSandbox } from "./remote-sandbox.ts";
import { type StandIn, TMP_BYTES, startStandIn, whyNoStandIn } from "./stand-in.ts";

const MIB = 1024 ** 2;
const LIMITS = { maxProcesses: 200, memoryBytes: 512 * MIB };

/** What bubblewrap in place of a container cannot show. */
const CANNOT = {
  "folders and files named in emoji, spaces and quotes are found, brought out and brought in":
    "there is no mount: s3fs needs an engine",
};

const reason = whyNoStandIn();

if (reason === undefined) {
  let standIn: StandIn;
  beforeAll(async () => {
    standIn = await startStandIn({}, { limits: LIMITS });
  });
  afterAll(async () => await standIn.close());
  const subject = {
    cannot: CANNOT,
    open: async () => await Promise.resolve(remoteSandbox(standIn.url, `u${crypto.randomUUID().replaceAll("-", "")}`)),
    secrets: () => ["s".repeat(40), "a".repeat(40)],
  };
  // Only root may make control groups. The stand-in's other disk is the machine's.
  const limits = process.getuid?.() === 0 ? LIMITS : {};
  describeFaults("container driver", subject, { ...limits, disk: { folder: "/tmp", bytes: TMP_BYTES } });
} else {
  describe("container driver", () => {
    test.skip(`withstands what goes wrong inside (skipped: ${reason})`, () => undefined);
  });
}

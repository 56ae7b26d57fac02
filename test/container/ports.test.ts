import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { describePorts } from "../support/port-contract.ts";
import { remoteSandbox } from "./remote-sandbox.ts";
import { type StandIn, startStandIn, whyNoStandIn } from "./stand-in.ts";

const reason = whyNoStandIn();

if (reason === undefined) {
  let standIn: StandIn;
  beforeAll(async () => (standIn = await startStandIn()));
  afterAll(async () => await standIn.close());
  const open = async () =>
    await Promise.resolve(remoteSandbox(standIn.url, `u${crypto.randomUUID().replaceAll("-", "")}`));
  describePorts("container driver", { open });

  test.each([3000, 3777])("port %i, where whoever comes may run commands, is refused", async (port) => {
    const { sandbox } = await open();
    await expect(sandbox.port(port).look()).rejects.toMatchObject({ code: "invalid_input" });
    await expect(
      sandbox.port(port).fetch(new Request("http://localhost/api/execute"), Date.now() + 1_000),
    ).rejects.toMatchObject({ code: "invalid_input" });
  });
} else {
  describe("container driver: ports", () => {
    test.skip(`keeps the promises of ports (skipped: ${reason})`, () => undefined);
  });
}

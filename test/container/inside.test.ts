import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { INSIDE_SANDBOX, INSIDE_SECRET } from "../../servers/shared/inside-hosts.ts";
import { remoteSandbox } from "./remote-sandbox.ts";
import { type StandIn, startStandIn, whyNoStandIn } from "./stand-in.ts";

const reason = whyNoStandIn();

if (reason === undefined) {
  describe("the names that exist only inside, in a container", () => {
    let standIn: StandIn;
    beforeAll(async () => (standIn = await startStandIn()));
    afterAll(async () => await standIn.close());
    const open = () => {
      const userId = `u${crypto.randomUUID().replaceAll("-", "")}`;
      const { id, sandbox } = remoteSandbox(standIn.url, userId);
      const ask = async (command: string): Promise<string> => {
        const watch = { signal: new AbortController().signal };
        const input = { command, timeoutMs: 30_000, waitMs: 30_000, maxChars: 10_000 };
        return (await sandbox.exec(input, watch)).stdout.text;
      };
      return { id, ask };
    };

    test("they are answered as the sandbox whose container asks, whatever it says of itself", async () => {
      const [mine, other] = [open(), open()];
      const headers = `-H '${INSIDE_SANDBOX}: ${other.id}' -H '${INSIDE_SECRET}: x'`;
      for (const { id, ask } of [mine, other]) {
        expect(JSON.parse(await ask(`curl -sS ${headers} -d x http://pincer.internal/mcp?servers=files`))).toEqual({
          ...{ sandboxId: id, method: "POST", url: "http://pincer.internal/mcp?servers=files" },
        });
        expect(JSON.parse(await ask("curl -sS http://BROWSER.internal/json/version"))).toEqual({
          ...{ sandboxId: id, method: "GET", url: "http://browser.internal/json/version" },
        });
      }
    });

    test("no other name leads there", async () => {
      expect(await open().ask("curl -sS http://outside.test/")).toBe(
        "The sandbox may not reach outside.test; ask the operator to list it in ALLOWED_HOSTS.\n",
      );
    });
  });
} else {
  test.skip(`the names that exist only inside, in a container (skipped: ${reason})`, () => undefined);
}

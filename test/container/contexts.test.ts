import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Sandbox, Watch } from "../../servers/sandbox/driver.ts";
import { remoteSandbox } from "./remote-sandbox.ts";
import { type StandIn, startStandIn, whyNoStandIn } from "./stand-in.ts";

const reason = whyNoStandIn();

if (reason === undefined) {
  describe("a container's code contexts", () => {
    let standIn: StandIn;
    beforeAll(async () => (standIn = await startStandIn()));
    afterAll(async () => await standIn.close());
    const open = (): Sandbox => remoteSandbox(standIn.url, `u${crypto.randomUUID().replaceAll("-", "")}`).sandbox;

    test("code whose caller has gone is interrupted, and its context keeps its state", async () => {
      const sandbox = open();
      const code = { language: "python", context: "main", timeoutMs: 30_000, maxChars: 100 } as const;
      await sandbox.runCode({ ...code, code: "kept = 7" }, quiet());
      const abort = new AbortController();
      const call = sandbox.runCode({ ...code, code: "while True: pass" }, { signal: abort.signal });
      setTimeout(() => abort.abort(), 500);
      await expect(call).rejects.toMatchObject({ code: "cancelled" });
      const next = await sandbox.runCode({ ...code, code: "kept" }, quiet());
      expect(next.results).toEqual([{ text: "7" }]);
      expect(next.durationMs).toBeLessThan(5_000);
    });

    test.each([
      ["a line", "ran = True"],
      ["more than waits in a socket", `ran = True # ${"x".repeat(2_000_000)}`],
    ])("code of %s whose caller left before its turn never runs, and breaks nothing", async (_, late) => {
      const sandbox = open();
      const code = { language: "python", context: "main", timeoutMs: 30_000, maxChars: 100 } as const;
      await sandbox.runCode({ ...code, code: "ran = False" }, quiet());
      const busy = sandbox.runCode({ ...code, code: "import time; time.sleep(3)" }, quiet());
      await new Promise((resolve) => setTimeout(resolve, 500));
      const abort = new AbortController();
      const call = sandbox.runCode({ ...code, code: late }, { signal: abort.signal });
      setTimeout(() => abort.abort(), 700);
      await expect(call).rejects.toMatchObject({ code: "cancelled" });
      expect((await busy).error).toBeUndefined();
      expect((await sandbox.runCode({ ...code, code: "ran" }, quiet())).results).toEqual([{ text: "False" }]);
    });
  });
} else {
  describe("a container's code contexts", () => {
    test.skip(`keep their state (skipped: ${reason})`, () => undefined);
  });
}

function quiet(): Watch {
  return { signal: new AbortController().signal };
}

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
      await expect.poll(async () => await sandbox.listContexts()).toMatchObject([{ isBusy: true }]);
      abort.abort();
      await expect(call).rejects.toMatchObject({ code: "cancelled" });
      const next = await sandbox.runCode({ ...code, code: "kept" }, quiet());
      expect(next.results).toEqual([{ text: "7" }]);
      expect(next.durationMs).toBeLessThan(20_000);
    });

    test.each([
      ["a line", "ran = True"],
      ["more than waits in a socket", `ran = True # ${"x".repeat(2_000_000)}`],
    ])("code of %s whose caller left before its turn never runs, and breaks nothing", async (_, late) => {
      const sandbox = open();
      const code = { language: "python", context: "main", timeoutMs: 30_000, maxChars: 100 } as const;
      await sandbox.runCode({ ...code, code: "ran = False" }, quiet());
      const busy = sandbox.runCode({ ...code, code: "open('begun', 'w'); import time; time.sleep(4)" }, quiet());
      await expect.poll(async () => await sandbox.readFile("begun", 0).catch(() => undefined)).toBeDefined();
      const abort = new AbortController();
      const call = sandbox.runCode({ ...code, code: late }, { signal: abort.signal });
      setTimeout(() => abort.abort(), 700);
      await expect(call).rejects.toMatchObject({ code: "cancelled" });
      expect((await busy).error).toBeUndefined();
      expect((await sandbox.runCode({ ...code, code: "ran" }, quiet())).results).toEqual([{ text: "False" }]);
    });

    test("a context that the kernel ended for its memory says so, and no other does", async () => {
      const sandbox = open();
      const run = async (code: string): Promise<string | undefined> => {
        const rest = { language: "python", context: "main", timeoutMs: 30_000, maxChars: 100 } as const;
        return (await sandbox.runCode({ code, ...rest }, quiet())).error?.message;
      };
      const die = "import os; os.kill(os.getpid(), 9)";
      const count = "open('/sys/fs/cgroup/memory.events', 'w').write('low 0\\noom_kill 1\\n')";
      expect(await run(die)).toBe("The context's process ended (SIGKILL); it is fresh on the next run.");
      expect(await run(`import os; os.makedirs('/sys/fs/cgroup'); ${count}; ${die}`)).toBe(
        "The sandbox's memory was used up and the kernel ended the context's process; use less memory at a time. " +
          "The context is fresh on the next run.",
      );
      expect(await run(die)).toBe("The context's process ended (SIGKILL); it is fresh on the next run.");
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

import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { CommandResult, Sandbox } from "../../servers/sandbox/driver.ts";
import { remoteSandbox } from "./remote-sandbox.ts";
import { type StandIn, startStandIn, whyNoMount, whyNoStandIn } from "./stand-in.ts";

const reason = whyNoStandIn() ?? whyNoMount();

if (reason === undefined) {
  describe("a container's mount by s3fs", () => {
    let standIn: StandIn;
    beforeAll(async () => (standIn = await startStandIn({}, { isMounted: true })));
    afterAll(async () => await standIn.close());
    const open = () => remoteSandbox(standIn.url, `u${crypto.randomUUID().replaceAll("-", "")}`);

    test("what a command writes is in files when the call returns, and the other way round", async () => {
      const { sandbox, files } = open();
      await files.write("in/from-files.txt", "from files");
      const result = await run(sandbox, "cat files/in/from-files.txt; echo from sandbox > files/in/out.txt");
      expect(result).toMatchObject({ exitCode: 0, stdout: { text: "from files" } });
      expect(result.notes).toBeUndefined();
      expect(await files.read("in/out.txt")).toBe("from sandbox\n");
    });
  });
} else {
  describe("a container's mount by s3fs", () => {
    test.skip(`goes through the person's file store (skipped: ${reason})`, () => undefined);
  });
}

async function run(sandbox: Sandbox, command: string): Promise<CommandResult> {
  const limits = { timeoutMs: 60_000, waitMs: 60_000, maxChars: 10_000 };
  return await sandbox.exec({ command, ...limits }, { signal: new AbortController().signal });
}

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
    const open = () => {
      const userId = `u${crypto.randomUUID().replaceAll("-", "")}`;
      return {
        ...remoteSandbox(standIn.url, userId),
        list: async () => await standIn.listBucket(`users/${userId}/files/`),
        trash: async () =>
          (await standIn.listBucket(`users/${userId}/trash/`)).map(({ size }) => size).toSorted((a, b) => a - b),
        uploads: async () => await standIn.listBucket(`users/${userId}/uploads/`),
      };
    };

    test("what a command writes is in files when the call returns, and the other way round", async () => {
      const { sandbox, files } = open();
      await files.write("in/from-files.txt", "from files");
      const result = await run(sandbox, "cat files/in/from-files.txt; echo from sandbox > files/in/out.txt");
      expect(result).toMatchObject({ exitCode: 0, stdout: { text: "from files" } });
      expect(result.notes).toBeUndefined();
      expect(await files.read("in/out.txt")).toBe("from sandbox\n");
    });

    test("nothing is remembered: the next command sees what was written, replaced or removed meanwhile", async () => {
      const { sandbox, files } = open();
      expect((await run(sandbox, "ls files; cat files/a.txt")).exitCode).toBe(1);
      for (const text of ["first", "and second", ""]) {
        await files.write("a.txt", text);
        expect((await run(sandbox, "stat -c %s files/a.txt; cat files/a.txt")).stdout.text).toBe(
          `${text.length}\n${text}`,
        );
      }
      await files.remove("a.txt");
      expect((await run(sandbox, "test -e files/a.txt")).exitCode).toBe(1);
    });

    test("what is overwritten or removed is in the trash, once, and what was only renamed is not", async () => {
      const { sandbox, files, list, trash } = open();
      await files.write("a.txt", "12345");
      await run(sandbox, "echo 1234567 > files/a.txt");
      expect(await trash()).toEqual([5]);
      await run(sandbox, "echo saved whole > files/a.tmp && mv files/a.tmp files/a.txt && mv files/a.txt files/b.txt");
      expect(await trash()).toEqual([5, 8]);
      expect(await files.read("b.txt")).toBe("saved whole\n");
      await run(sandbox, "rm files/b.txt; touch files/empty; rm files/empty");
      expect(await trash()).toEqual([5, 8, 12]);
      expect(await list()).toEqual([]);
    });

    test("output that comes piece by piece leaves no version for each piece", async () => {
      const { sandbox, files, trash } = open();
      await run(sandbox, "for i in 1 2 3 4 5 6; do /bin/echo $i; done > files/out.txt; /bin/echo 7 >> files/out.txt");
      expect(await files.read("out.txt")).toBe("1\n2\n3\n4\n5\n6\n7\n");
      expect(await trash()).toEqual([]);
    });

    test("modes and times are kept, and a script runs", async () => {
      const { sandbox } = open();
      await run(
        sandbox,
        "printf '#!/bin/sh\\necho ran\\n' > files/run.sh; chmod 750 files/run.sh; touch -d @1000000000 files/run.sh",
      );
      const seen = await run(
        sandbox,
        "stat -c '%a %Y %U' files/run.sh; files/run.sh; cp -p files/run.sh files/copy.sh; stat -c '%a %Y' files/copy.sh",
      );
      expect(seen.stdout.text).toBe("750 1000000000 root\nran\n750 1000000000\n");
    });

    test("folders are there though they are empty, and stay when their last file goes", async () => {
      const { sandbox, files } = open();
      await files.write("made/by/files.txt", "x");
      await run(sandbox, "mkdir -p files/made/here && rm files/made/by/files.txt");
      const seen = await run(sandbox, "cd files && find . | sort; mv made moved && rmdir moved/by && find . | sort");
      expect(seen.stdout.text).toBe(
        "./made\n./made/by\n./made/here\n".replace(/^/, ".\n") + ".\n./moved\n./moved/here\n",
      );
      expect((await run(sandbox, "rm -r files/moved && ls -A files")).stdout.text).toBe("");
    });

    test("large files come and go whole, are renamed and change their mode, and nothing is left beside them", async () => {
      const { sandbox, list, trash, uploads } = open();
      const made = await run(
        sandbox,
        `cd files && head -c 26500000 /dev/urandom | tee >(sha256sum > /workspace/sum) > a.bin && mv a.bin b.bin &&
         chmod 600 b.bin && sha256sum < b.bin | cmp - /workspace/sum && stat -c '%a %s' b.bin`,
      );
      expect(made).toMatchObject({ exitCode: 0, stdout: { text: "600 26500000\n" } });
      expect(await list()).toEqual([{ key: "b.bin", size: 26_500_000 }]);
      expect(await trash()).toEqual([]);
      expect(await uploads()).toEqual([]);
    });

    test("a write over the quota fails, the call says why though the shell does not, and nothing is lost", async () => {
      const small = await startStandIn({ FILES_QUOTA_MB: "1" }, { isMounted: true });
      try {
        const { sandbox, files } = remoteSandbox(small.url, "u1");
        await run(sandbox, "head -c 600000 /dev/zero > files/half.bin; echo before > files/kept.txt");
        const large = await run(sandbox, "cp files/half.bin files/other.bin");
        expect(large).toMatchObject({ exitCode: 1, stderr: { text: expect.stringContaining("Input/output error") } });
        expect(large.notes).toEqual([
          expect.stringMatching(/^\/workspace\/files\/other\.bin is not as you left it: There is no room/),
        ]);
        const silent = await run(sandbox, "printf %0600000d 1 > files/kept.txt");
        expect(silent).toMatchObject({
          exitCode: 0,
          notes: [expect.stringContaining("kept.txt is not as you left it")],
        });
        // What the shell had emptied before is in the trash.
        const kept = (await small.listBucket("users/u1/trash/")).map(({ size }) => size);
        expect(kept).toEqual([7]);
        expect((await run(sandbox, "rm files/half.bin && echo more > files/kept.txt")).exitCode).toBe(0);
        expect(await files.read("kept.txt")).toBe("more\n");
      } finally {
        await small.close();
      }
    });

    test("links and pipes are refused, and said to be", async () => {
      const { sandbox, list } = open();
      const result = await run(sandbox, "ln -s /etc/passwd files/link; mkfifo files/pipe");
      expect(result.stderr.text.match(/Operation not permitted/g)).toHaveLength(2);
      expect(result.notes).toHaveLength(2);
      expect(await list()).toEqual([]);
    });

    test("a container that ended is mounted anew, and what it wrote is there", async () => {
      const { sandbox } = open();
      await run(sandbox, "echo kept > files/a.txt");
      await standIn.stopContainers();
      expect((await run(sandbox, "cat files/a.txt")).stdout.text).toBe("kept\n");
    });

    test("whatever a program in the container asks the mount's host, it reaches its caller's files alone", async () => {
      const [mine, theirs] = [open(), open()];
      await theirs.files.write("secret.txt", "theirs");
      const [{ key: owner } = { key: "" }] = (await standIn.listBucket("users/")).filter(({ key }) =>
        key.endsWith("secret.txt"),
      );
      const paths = ["..%2f..%2f", "..%2F..%2F..%2Fusers%2F", "%2e%2e%2f%2e%2e%2f", "/../../", "../../"].map(
        (up) => up + owner,
      );
      const asked = await run(
        mine.sandbox,
        paths.map((path) => `curl --path-as-is -s -w '%{http_code}\\n' 'http://r2.internal/FILES/${path}'`).join("; "),
      );
      expect(asked.stdout.text).toBe("404\n".repeat(paths.length));
      await mine.files.write("own.txt", "mine");
      expect((await run(mine.sandbox, "curl -s http://r2.internal/FILES/own.txt")).stdout.text).toBe("mine");
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

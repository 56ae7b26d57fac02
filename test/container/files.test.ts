import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { readSkills } from "../../container/pack-skills.ts";
import type { Command, Sandbox, Watch } from "../../servers/sandbox/driver.ts";
import { remoteSandbox } from "./remote-sandbox.ts";
import { type StandIn, startStandIn, whyNoStandIn } from "./stand-in.ts";

const reason = whyNoStandIn();
const MANY_BYTES = 10 * 1024 ** 2;

if (reason === undefined) {
  describe("a container's files", () => {
    let standIn: StandIn;
    beforeAll(async () => (standIn = await startStandIn()));
    afterAll(async () => await standIn.close());
    const open = (): Sandbox => remoteSandbox(standIn.url, `u${crypto.randomUUID().replaceAll("-", "")}`).sandbox;

    test("the skills of the suite are among them, as the image has them", async () => {
      const { stdout } = await open().exec(
        command("cd /opt/skills; cat */SKILL.md | grep ^name:; ls */scripts"),
        quiet(),
      );
      const names = Object.keys(await readSkills()).toSorted();
      expect(stdout.text.match(/^name: .*$/gm)).toEqual(names.map((name) => `name: ${name}`));
      expect(stdout.text).toMatch(/^record\.mjs$[^]*^tool\.mjs$/m);
    });

    test("a file that says it is empty is read to its end, and not beyond the limit", async () => {
      const sandbox = open();
      const bytes = await sandbox.readFile("/proc/meminfo", MANY_BYTES);
      expect(new TextDecoder().decode(bytes)).toMatch(/^MemTotal: [^]+ kB\n$/);
      for (const maxBytes of [0, 10]) {
        await expect(sandbox.readFile("/proc/meminfo", maxBytes)).rejects.toMatchObject({ code: "too_large" });
      }
      await sandbox.writeFile("empty", new Uint8Array());
      expect(await sandbox.readFile("empty", 0)).toEqual(new Uint8Array());
    });

    test.each([1_000, MANY_BYTES])("%i bytes for which there is no room leave nothing behind", async (size) => {
      const sandbox = open();
      await sandbox.exec(command("head -c 1G /dev/zero > /tmp/fill"), quiet());
      await expect(sandbox.writeFile("/tmp/more", new Uint8Array(size))).rejects.toMatchObject({
        code: "limit_reached",
        message: "There is no room for /tmp/more; delete files first.",
      });
      const { stdout } = await sandbox.exec(command("ls -A /tmp /var/lib/pincer/parts"), quiet());
      expect(stdout.text).toMatch(/^\/tmp:\nfill\n(\n\/var\/lib\/pincer\/parts:\n)?$/);
    });

    test("parts that there is no room to keep are told of as the file that they are of, and go", async () => {
      const sandbox = open();
      await sandbox.exec(command("mkdir -p /tmp/parts; ln -s /tmp/parts /var/lib/pincer/parts"), quiet());
      await sandbox.exec(command("head -c 58M /dev/zero > /tmp/fill"), quiet());
      await expect(sandbox.writeFile("large", new Uint8Array(MANY_BYTES))).rejects.toMatchObject({
        code: "limit_reached",
        message: "There is no room for /workspace/large; delete files first.",
      });
      expect((await sandbox.exec(command("ls -A /tmp/parts"), quiet())).stdout.text).toBe("");
    });

    test("a place that cannot be written to is forbidden, and what is no folder is an invalid one", async () => {
      const sandbox = open();
      await expect(sandbox.writeFile("/usr/new", new Uint8Array(1))).rejects.toMatchObject({
        code: "forbidden",
        message: "The sandbox does not allow /usr/new; use a path below /workspace.",
      });
      await sandbox.writeFile("file", new Uint8Array(1));
      await expect(sandbox.writeFile("file/below", new Uint8Array(1))).rejects.toMatchObject({ code: "invalid_input" });
    });
  });
} else {
  describe("a container's files", () => {
    test.skip(`are true to what is said of them (skipped: ${reason})`, () => undefined);
  });
}

function quiet(): Watch {
  return { signal: new AbortController().signal };
}

function command(script: string): Command {
  return { command: script, timeoutMs: 60_000, waitMs: 30_000, maxChars: 10_000 };
}

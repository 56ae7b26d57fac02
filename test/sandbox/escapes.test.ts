import { once } from "node:events";
import { readFile, stat, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import * as z from "zod";
import { startTestProxy } from "../egress/loopback.ts";
import { type LocalSandboxes, run, startLocalSandboxes } from "./local-sandboxes.ts";
import { mapFiles } from "./map-files.ts";

const ROOT_NAMES = [
  "",
  "bin",
  "dev",
  "etc",
  "lib",
  "lib32",
  "lib64",
  "libx32",
  "opt",
  "proc",
  "run",
  "sbin",
  "tmp",
  "usr",
  "var",
  "workspace",
];

type Start = typeof startLocalSandboxes;

/** With a way out, they are in a network that was made around them. */
async function startWithWayOut(options: Parameters<Start>[0] = {}): Promise<LocalSandboxes> {
  const egress = await startTestProxy({ mode: "sandbox" });
  const sandboxes = await startLocalSandboxes({ ...options, egressSocket: egress.proxy.socketPath });
  return {
    ...sandboxes,
    [Symbol.asyncDispose]: async () => {
      for (const each of [sandboxes, egress]) await each[Symbol.asyncDispose]();
    },
  };
}

describe.each<readonly [ways: string, start: Start]>([
  ["without a way out", startLocalSandboxes],
  ["with a way out", startWithWayOut],
])("%s", (_way, start) => {
  test("no file of the machine is in reach: not /etc/shadow, not homes, not Pincer itself or its data", async () => {
    await using sandboxes = await start();
    const sandbox = sandboxes.open();
    await writeFile(join(sandboxes.dataDir, "host-secret"), "secret");
    const paths = [
      "/etc/shadow",
      "/root",
      "/home",
      "/boot",
      "/sys",
      "/mnt",
      "/var/log",
      import.meta.filename,
      join(sandboxes.dataDir, "host-secret"),
    ];
    for (const path of paths) {
      expect(await run(sandbox, `ls -d ${path}`), path).toMatchObject({ exitCode: 2, stdout: { text: "" } });
      expect((await run(sandbox, `cat /proc/1/root${path}`)).exitCode, path).not.toBe(0);
    }
    expect(
      (await run(sandbox, "ls -A /")).stdout.text.split("\n").filter((name) => !ROOT_NAMES.includes(name)),
    ).toEqual([]);
    expect((await run(sandbox, "cat /etc/passwd")).stdout.text.split("\n")).toHaveLength(3);
  });

  test("nothing of the runtime's environment or of the machine's processes shows inside", async () => {
    process.env["PINCER_TEST_CANARY"] = "canary-7781";
    await using sandboxes = await start();
    const sandbox = sandboxes.open();
    const seen = await run(sandbox, "env; cat /proc/*/environ /proc/*/cmdline 2>/dev/null | tr '\\0' '\\n'");
    expect(seen.stdout.text).not.toMatch(/canary-7781|PINCER_TEST/);
    expect(seen.stdout.text).not.toContain(sandboxes.secret);
    // Of bubblewrap, which the machine starts.
    const first = (await run(sandbox, "tr '\\0' '\\n' < /proc/1/environ")).stdout.text.trim().split("\n");
    expect(first.filter((variable) => !/^(PATH=[^:]*\/bin|PWD=\/|SHLVL=\d)$/.test(variable))).toEqual([]);
    // What looks for agents to start again may still be at it.
    const names = async () => (await run(sandbox, "ps -eo comm=")).stdout.text.trim().split("\n");
    await expect.poll(async () => [...new Set(await names())].toSorted()).toEqual(["MainThread", "bwrap", "ps"]);
    expect(Number((await run(sandbox, "ls /proc | grep -c '^[0-9]'")).stdout.text)).toBeLessThan(12);
    expect((await run(sandbox, "hostname; id -u; id -un")).stdout.text).toBe("sandbox\n1000\nuser\n");
  });

  test("there is no network but its own loopback", async () => {
    await using sandboxes = await start();
    const sandbox = sandboxes.open();
    await using server = createServer((_, response) => response.end("host"));
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    const { port } = z.object({ port: z.number() }).parse(server.address());
    expect(await (await fetch(`http://127.0.0.1:${port}`)).text()).toBe("host");
    const tries = [`127.0.0.1 ${port}`, `localhost ${port}`, "1.1.1.1 53", "169.254.169.254 80"];
    for (const [host, to] of tries.map((line) => line.split(" "))) {
      const code = `import socket; socket.create_connection(("${host}", ${to}), 2)`;
      expect((await run(sandbox, `python3 -c '${code}'`)).stderr.text).toMatch(/refused|unreachable/);
    }
    expect((await run(sandbox, "cat /proc/net/dev | tail -n +3 | cut -d: -f1 | tr -d ' '")).stdout.text).toBe("lo\n");
  });

  test("no privilege can be had: no namespaces, mounts, devices, other users or kernel settings", async () => {
    await using sandboxes = await start();
    const sandbox = sandboxes.open();
    const attempts = [
      "unshare --user true",
      "unshare --mount true",
      "mount -t tmpfs none /tmp",
      "umount /workspace/files",
      "mknod /workspace/sda b 8 0",
      "su -c true",
      "chown 0 /workspace",
      "setpriv --reuid 0 true",
      "kill -9 1 && sleep 1 && ! kill -0 1",
      "echo 1 > /proc/sys/kernel/panic",
      "echo 1024 > /proc/sys/net/ipv4/ip_unprivileged_port_start",
      "echo 1 > /proc/sys/net/ipv4/ip_forward",
      "ip link set lo down",
      "echo b > /proc/sysrq-trigger",
      "echo 0 > /proc/sys/user/max_user_namespaces",
      "cat /proc/kcore",
      "dmesg",
      "nsenter --target 1 --mount true",
      "/usr/sbin/chroot / true",
      "ulimit -u unlimited",
      "ulimit -f unlimited",
      "echo 1 > /sys/fs/cgroup/cgroup.procs",
    ];
    for (const attempt of attempts) {
      const { exitCode, stderr } = await run(sandbox, attempt);
      expect(exitCode, attempt).not.toBe(0);
      expect(stderr.text, attempt).not.toContain("command not found");
    }
    const status = await run(sandbox, "grep -E '^(CapEff|CapBnd|NoNewPrivs)' /proc/self/status");
    expect(status.stdout.text).toBe("CapEff:\t0000000000000000\nCapBnd:\t0000000000000000\nNoNewPrivs:\t1\n");
  });

  test("started by root, it runs and writes as an ordinary user of the machine", async ({ skip }) => {
    if (process.getuid?.() !== 0) skip("only root changes its user");
    await using sandboxes = await start({ hasDiskImages: false });
    const sandbox = sandboxes.open({ id: "owner" });
    await run(sandbox, "echo mine > /workspace/mine");
    const { uid, gid } = await stat(join(sandboxes.dataDir, "sandboxes/owner/workspace/mine"));
    expect(uid).toBeGreaterThan(1_000);
    expect(gid).toBe(uid);
  });

  test("links that lead out lead nowhere: neither readFile, writeFile nor the mount follow them to the machine", async () => {
    await using sandboxes = await start();
    const files = mapFiles();
    const sandbox = sandboxes.open({ files });
    const target = join(sandboxes.dataDir, "outside.txt");
    await writeFile(target, "outside");
    await run(
      sandbox,
      `ln -s ${target} /workspace/link; ln -s / /workspace/root; cd files; ln -s ${target} link; ln -s /etc folder; mkfifo pipe`,
    );
    expect(files.paths()).toEqual([]);
    await expect(sandbox.readFile("link", 100)).rejects.toMatchObject({ code: "not_found" });
    await expect(sandbox.readFile(`root${target}`, 100)).rejects.toMatchObject({ code: "not_found" });
    await expect(sandbox.readFile("/etc/shadow", 100)).rejects.toMatchObject({ code: "not_found" });
    await expect(sandbox.readFile("files/pipe", 100)).rejects.toMatchObject({ code: "invalid_input" });
    await expect(sandbox.writeFile("/etc/new", new Uint8Array(1))).rejects.toMatchObject({ code: "forbidden" });
    await sandbox.writeFile("link", new TextEncoder().encode("inside"));
    await files.write("folder/passwd", "x");
    await run(sandbox, "true");
    expect(await readFile(target, "utf8")).toBe("outside");
    expect(new TextDecoder().decode(await sandbox.readFile("/etc/passwd", 1_000))).toContain("user:x:1000");
  });
});

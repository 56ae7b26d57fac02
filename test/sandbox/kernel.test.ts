import { expect, test } from "vitest";
import { seccompFilter } from "../../container/local/sandbox/seccomp.ts";
import { run, startLocalSandboxes } from "./local-sandboxes.ts";

/* What the kernel offers beside files, processes and networks, which no namespace shuts. */

/** Makes system calls without a library in between, and prints the name of each one's error. */
const CALLS = `
import ctypes, errno, os, platform, socket
arm = platform.machine() == "aarch64"
libc = ctypes.CDLL(None, use_errno=True)
def call(x64, arm64, *arguments):
    result = libc.syscall(arm64 if arm else x64, *arguments)
    return errno.errorcode[ctypes.get_errno()] if result == -1 else "done"
def family(number):
    try:
        socket.socket(number, socket.SOCK_STREAM).close()
    except OSError as error:
        return errno.errorcode[error.errno]
    return "done"
`;

async function python(program: string): Promise<string> {
  await using sandboxes = await startLocalSandboxes();
  const { stdout, stderr } = await run(sandboxes.open(), `python3 - <<'END'\n${CALLS}${program}\nEND`);
  expect(stderr.text).toBe("");
  return stdout.text.trim();
}

test("the keyrings of whoever started Pincer are shut", async () => {
  // KEYCTL_GET_KEYRING_ID of the session's keyring, which a process inherits into all namespaces.
  expect(
    await python("print(call(250, 219, 0, -3, 1), call(249, 218, 0, 0, 0, 0), call(248, 217, 0, 0, 0, 0, 0))"),
  ).toBe("EPERM EPERM EPERM");
});

test("a socket that leaves the network namespace is refused, and others are not", async () => {
  const families = "[family(n) for n in (socket.AF_UNIX, socket.AF_INET, socket.AF_INET6, socket.AF_VSOCK, 38)]";
  expect(await python(`print(*${families})`)).toBe("done done done EAFNOSUPPORT EAFNOSUPPORT");
});

test("nothing leads around the filter, or needlessly deep into the kernel", async () => {
  // io_uring makes sockets by itself; bpf, perf_event_open and userfaultfd are for the machine's owner.
  const calls =
    "call(425, 425, 1, None), call(321, 280, 0, None, 0), call(298, 241, None, 0, -1, -1, 0), call(323, 282, 0)";
  expect(await python(`print(${calls})`)).toBe("EPERM EPERM EPERM EPERM");
});

test("the filter is the same shape for each processor that Pincer runs on, and there is none for others", () => {
  expect(seccompFilter("arm64")).toHaveLength(seccompFilter("x64").length);
  expect(() => seccompFilter("ia32")).toThrow("There is no filter for ia32 processors.");
});

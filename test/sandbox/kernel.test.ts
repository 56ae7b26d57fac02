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
    "call(425, 425, 1, None), call(321, 280, 0, None, 0), call(298, 241, None, 0, -1, -1, 0), call(323, 282, 1)";
  expect(await python(`print(${calls})`)).toBe("EPERM EPERM EPERM EPERM");
});

/** What the kernel does with a call by that filter, as it would run it. */
function verdict(processor: string, architecture: number, call: number, argument = 0): string {
  const program = new DataView(seccompFilter(processor).buffer);
  const data = new Map([
    [0, call],
    [4, architecture],
    [16, argument],
  ]);
  let held = 0;
  for (let at = 0; ; at += 8) {
    const [code, value] = [program.getUint16(at, true), program.getUint32(at + 4, true)];
    if (code === 0x06) return value === 0x7fff_0000 ? "allowed" : `error ${value - 0x0005_0000}`;
    if (code === 0x20) held = data.get(value) ?? Number.NaN;
    else at += 8 * program.getUint8(at + ((code === 0x15 ? held === value : held >= value) ? 2 : 3));
  }
}

test.each([
  { processor: "x64", architecture: 0xc000_003e, socket: 41, keyctl: 250, read: 0 },
  { processor: "arm64", architecture: 0xc000_00b7, socket: 198, keyctl: 219, read: 63 },
])("on $processor the filter knows its calls, and refuses those of other processors", (machine) => {
  const { processor, architecture, socket, keyctl, read } = machine;
  const of = (call: number, argument?: number) => verdict(processor, architecture, call, argument);
  expect([of(read), of(socket, 1), of(socket, 40), of(keyctl)]).toEqual(["allowed", "allowed", "error 97", "error 1"]);
  expect(verdict(processor, 0x4000_0003, read)).toBe("error 38");
  expect(of(0x4000_0000 + read)).toBe("error 38");
});

test("there is no filter for a processor that Pincer does not run on", () => {
  expect(() => seccompFilter("ia32")).toThrow("There is no filter for ia32 processors.");
});

/**
 * What namespaces do not shut: the kernel's keyrings are those of whoever started Pincer (passwords, Kerberos
 * tickets), and sockets of some families (vsock, to a virtual machine's host) belong to no network namespace. A filter
 * in the kernel refuses both to everything inside, and the interfaces that would lead around it.
 */

interface Machine {
  /** `AUDIT_ARCH_*` of linux/audit.h. */
  readonly architecture: number;
  readonly socket: number;
  readonly refused: readonly number[];
}

const MACHINES: Readonly<Record<string, Machine>> = {
  x64: {
    architecture: 0xc000_003e,
    socket: 41,
    // add_key, request_key, keyctl; io_uring_setup, _enter, _register; bpf, perf_event_open, userfaultfd.
    refused: [248, 249, 250, 425, 426, 427, 321, 298, 323],
  },
  arm64: {
    architecture: 0xc000_00b7,
    socket: 198,
    refused: [217, 218, 219, 425, 426, 427, 280, 241, 282],
  },
};

/** Unix, IPv4, IPv6 and netlink, which a network namespace holds. */
const FAMILIES = [1, 2, 10, 16];
const [EPERM, ENOSYS, EAFNOSUPPORT] = [1, 38, 97];
/** x86's second set of numbers for the same calls begins here. */
const X32_CALLS = 0x4000_0000;

/** `struct seccomp_data` of linux/seccomp.h. */
const OFFSET = { call: 0, architecture: 4, firstArgument: 16 } as const;

type Instruction = readonly [code: number, whenTrue: number, whenFalse: number, value: number];

const load = (offset: number): Instruction => [0x20, 0, 0, offset];
const skipUnless = (value: number, count: number): Instruction => [0x15, 0, count, value];
const skipIf = (value: number, count: number): Instruction => [0x15, count, 0, value];
const skipBelow = (value: number, count: number): Instruction => [0x35, 0, count, value];
const refuse = (errno: number): Instruction => [0x06, 0, 0, 0x0005_0000 | errno];
const allow: Instruction = [0x06, 0, 0, 0x7fff_0000];

export function hasSeccompFilter(processor: string): boolean {
  return MACHINES[processor] !== undefined;
}

/** The filter for that processor (`process.arch`), as bubblewrap's `--seccomp` reads it. */
export function seccompFilter(processor: string): Uint8Array {
  const machine = MACHINES[processor];
  if (machine === undefined) throw new Error(`There is no filter for ${processor} processors.`);
  const families = [
    load(OFFSET.firstArgument),
    ...FAMILIES.flatMap((family) => [skipUnless(family, 1), allow]),
    refuse(EAFNOSUPPORT),
  ];
  return assemble([
    // Programs for another processor have other numbers for the calls.
    ...[load(OFFSET.architecture), skipIf(machine.architecture, 1), refuse(ENOSYS)],
    ...[load(OFFSET.call), skipBelow(X32_CALLS, 1), refuse(ENOSYS)],
    ...machine.refused.flatMap((call) => [skipUnless(call, 1), refuse(EPERM)]),
    ...[skipUnless(machine.socket, families.length), ...families],
    allow,
  ]);
}

function assemble(program: readonly Instruction[]): Uint8Array {
  const bytes = new DataView(new ArrayBuffer(program.length * 8));
  for (const [index, [code, whenTrue, whenFalse, value]] of program.entries()) {
    bytes.setUint16(index * 8, code, true);
    bytes.setUint8(index * 8 + 2, whenTrue);
    bytes.setUint8(index * 8 + 3, whenFalse);
    bytes.setUint32(index * 8 + 4, value, true);
  }
  return new Uint8Array(bytes.buffer);
}

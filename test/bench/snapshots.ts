import type { Sandbox } from "../../servers/sandbox/driver.ts";
import { serveSandboxes } from "../sandbox/served-sandboxes.ts";
import { type Latencies, measure } from "./load.ts";
import { type Row, of, versus } from "./table.ts";

/** 300 MB: sources, archives that are compressed already, and one large table. */
const FILL = `
import os, random, zlib
random.seed(1)
words = [bytes(random.choices(b"abcdefghijklmnopqrstuvwxyz_", k=random.randint(2, 12))) for _ in range(5000)]
text = b" ".join(random.choices(words, k=400_000))
for folder in range(40):
    os.makedirs(f"src/{folder}")
    for name in range(100):
        size = random.randint(500, 40_000)
        start = random.randrange(len(text) - size)
        open(f"src/{folder}/{name}.txt", "wb").write(text[start:start + size])
os.makedirs("archives")
for name in range(12): open(f"archives/{name}.bin", "wb").write(random.randbytes(10_000_000))
with open("table.csv", "wb") as table:
    for _ in range(40): table.write(text)
`;

/** As snapshot.sh packs, and as nice. */
const TAR = "tar --create --file=- --format=posix --numeric-owner --sparse --exclude=./files --exclude=./.cache .";
const PACK = `${TAR} | zstd -q -T0 -c`;
const UNPACK = "zstd -q -d -c .cache/packed | tar -C .cache/out --extract --file=-";
/** 60 % of the speed. */
const TARGET = Number((1 / 0.6).toFixed(2));
const LOAD = { clients: 1, rounds: 5, perRound: 1 };

/** Snapshots through R2 and back, beside what packs and unpacks them, in the same sandbox. */
export async function measureSnapshots(): Promise<Row[]> {
  await using served = await serveSandboxes();
  const { sandbox, saveSnapshot, lose } = served.open();
  // What is in .cache is in no snapshot.
  await run(sandbox, `python3 -c '${FILL}' && mkdir .cache && ${PACK} > .cache/packed`);
  if (!(await saveSnapshot())) throw new Error("No snapshot was taken.");
  const sizeBytes = (await sandbox.status()).snapshot?.sizeBytes ?? Number.NaN;
  const measured = await measure(
    [
      { name: "pack", run: async () => await run(sandbox, `nice -n 10 bash -c "${PACK} | cat > /dev/null"`) },
      {
        name: "snapshot",
        // Of what has not changed there is none.
        prepare: async () => await run(sandbox, "date +%N > changed"),
        run: async () => {
          if (!(await saveSnapshot())) throw new Error("No snapshot was taken.");
        },
      },
      { name: "put", run: async () => await served.putBytes(sizeBytes) },
      {
        name: "unpack",
        prepare: async () => await run(sandbox, "rm -rf .cache/out && mkdir .cache/out"),
        run: async () => await run(sandbox, UNPACK),
      },
    ],
    LOAD,
  );
  const restored = await measure(
    [
      { name: "call that restores", prepare: lose, run: async () => await run(sandbox, "test -s table.csv") },
      {
        name: "call that wakes",
        prepare: async () => await sandbox.sleep(),
        run: async () => await run(sandbox, "test -s table.csv"),
      },
    ],
    LOAD,
  );
  const [whole, awake] = [of(restored, "call that restores"), of(restored, "call that wakes")];
  return [
    {
      ...versus("snapshot of 300 MB, against tar | zstd", of(measured, "snapshot"), of(measured, "pack")),
      target: TARGET,
    },
    versus("  against R2's local stand-in, given the same bytes", of(measured, "snapshot"), of(measured, "put")),
    versus("call that finds all lost, against one that finds its sandbox asleep", whole, awake),
    {
      ...versus("  restored: the difference, against zstd | tar", difference(whole, awake), of(measured, "unpack")),
      target: TARGET,
    },
  ];
}

function difference(more: Latencies, less: Latencies): Latencies {
  return { p50Ms: more.p50Ms - less.p50Ms, p95Ms: more.p95Ms - less.p50Ms };
}

async function run(sandbox: Sandbox, command: string): Promise<void> {
  const limits = { timeoutMs: 120_000, waitMs: 120_000, maxChars: 1_000 };
  const { exitCode, stderr } = await sandbox.exec({ command, ...limits }, { signal: new AbortController().signal });
  if (exitCode !== 0) throw new Error(`${command.slice(0, 100)} ended with ${exitCode}: ${stderr.text}`);
}

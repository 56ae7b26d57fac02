import path from "node:path";
import { startFilesystemServer } from "./filesystem-server.ts";
import { measure } from "./load.ts";
import { call, send } from "./mcp-requests.ts";
import { startWholeSuite } from "./servers.ts";
import { type Row, describe, of } from "./table.ts";

/** Kept from run to run. */
const CACHE = path.resolve(import.meta.dirname, "../../.pincer/cache/filesystem-server");

const KILOBYTE = "x".repeat(1_024);

/** Files through the whole suite, over HTTP with sign-in, beside the reference server on stdio without one. */
export async function measureFiles(dataDir: string): Promise<Row[]> {
  await using suite = await startWholeSuite(dataDir);
  await using reference = await startFilesystemServer(CACHE, (line) => console.log(line));
  let written = 0;
  const newName = (): string => `bench/${(written += 1)}.txt`;
  const write = async (name: string): Promise<void> =>
    void (await send(
      suite.door,
      "modern",
      call("files_write", { path: name, content: KILOBYTE }, `"size_bytes":1024`),
    ));
  await write("bench/read.txt");
  await reference.write("read.txt", KILOBYTE);
  const readOurs = call("files_read", { path: "bench/read.txt" }, KILOBYTE);
  const measured = await measure(
    [
      { name: "read", run: async () => void (await send(suite.door, "modern", readOurs)) },
      { name: "their read", run: async () => await reference.read("read.txt", KILOBYTE) },
      { name: "write", run: async () => await write(newName()) },
      { name: "their write", run: async () => await reference.write(`${(written += 1)}.txt`, KILOBYTE) },
    ],
    { clients: 1, rounds: 6, perRound: 30 },
  );
  const row = (what: string, own: string, other: string): Row => ({
    what,
    measured: describe(of(measured, own)),
    against: describe(of(measured, other)),
    value: of(measured, own).p50Ms,
    ...{ unit: " ms", target: 5 },
  });
  return [
    row("files_read of 1 KB, beside the filesystem server on stdio", "read", "their read"),
    row("files_write of 1 KB to a new file, beside the same", "write", "their write"),
  ];
}

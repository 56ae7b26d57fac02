import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { Agent, type IncomingMessage, request } from "node:http";
import { spawn } from "node:child_process";
import { tmpdir } from "node:os";
import path from "node:path";
import type { Duplex } from "node:stream";
import * as z from "zod";
import { mostMemory } from "../support/most-memory.ts";
import { portServer } from "../support/port-server.ts";
import { pick, processTree } from "../support/process-tree.ts";
import { measure, summarize } from "./load.ts";
import { type Door, callForText } from "./mcp-requests.ts";
import { startWholeSuite } from "./servers.ts";
import { type Row, describe, of } from "./table.ts";

const PORT = 4101;
/** Pieces of 64 KiB. */
const GIGABYTE = 16_384;
const SOCKETS = 100;

/** Where a server answers, and what a visitor sends along. */
interface Address {
  readonly port: number;
  readonly headers: Readonly<Record<string, string>>;
}

/** A server in the sandbox through its preview, beside the same one on this machine. */
export async function measurePreview(dataDir: string): Promise<Row[]> {
  await using suite = await startWholeSuite(dataDir);
  await using bare = await startBare();
  const preview = await openPreview(suite.door);
  const agent = new Agent({ keepAlive: true });
  try {
    const ask = (address: Address) => async (): Promise<void> => void (await get(address, "/other", agent));
    const measured = await measure(
      [
        { name: "preview", run: ask(preview) },
        { name: "bare", run: ask(bare) },
      ],
      { clients: 1, rounds: 10, perRound: 50 },
    );
    const added = of(measured, "preview").p50Ms - of(measured, "bare").p50Ms;
    const tree = await processTree(suite.launcher ?? 0);
    const parts = [
      ["Worker", await pick(tree, /\/workerd /)],
      ["sandbox runtime", await pick(tree, /\/runtime\.ts/)],
      ["sandbox", await pick(tree, /\/opt\/pincer\/agent\.mjs/)],
    ] as const;
    const startedMs = performance.now();
    const grown = await mostMemory(
      parts.map(([, pids]) => pids),
      async () => {
        const bytes = await get(preview, `/large?pieces=${GIGABYTE}`, agent);
        if (bytes !== GIGABYTE * 65_536) throw new Error("A gigabyte came short.");
      },
    );
    const seconds = (performance.now() - startedMs) / 1_000;
    const echoes = await echoAtOnce(preview);
    return [
      {
        what: "a request through a preview, beside the same server without",
        measured: describe(of(measured, "preview")),
        against: describe(of(measured, "bare")),
        ...{ value: added, unit: " ms", target: 5 },
      },
      ...parts.map(([name], index) => ({
        what: `1 GB through a preview in ${seconds.toFixed(1)} s: more memory in the ${name}`,
        value: grown[index] ?? Number.NaN,
        unit: " MB",
        target: 100,
      })),
      {
        what: `an echo on each of ${SOCKETS} WebSockets at once`,
        measured: describe(summarize(echoes)),
        value: SOCKETS - echoes.length,
        unit: " lost",
        target: 0,
      },
    ];
  } finally {
    agent.destroy();
  }
}

async function openPreview(door: Door): Promise<Address> {
  await callForText(door, "sandbox_write", { path: "/workspace/server.cjs", content: portServer(PORT, PORT + 1) });
  const started = await callForText(door, "sandbox_exec", { command: "node server.cjs", wait_ms: 0 });
  const { process_id } = z.object({ process_id: z.string() }).parse(JSON.parse(started));
  await callForText(door, "sandbox_wait", { process_id, port: PORT + 1, wait_ms: 20_000 });
  const exposed = await callForText(door, "sandbox_expose", { port: PORT, share_for: 3_600 });
  const { share_url } = z.object({ share_url: z.url() }).parse(JSON.parse(exposed));
  const { host, port, pathname } = new URL(share_url);
  const address = { port: Number(port), headers: { Host: host } };
  const answer = await open(address, pathname);
  answer.resume();
  const [cookie = ""] = answer.headers["set-cookie"] ?? [];
  return { ...address, headers: { Host: host, Cookie: cookie.split(";")[0] ?? "" } };
}

async function startBare(): Promise<Address & AsyncDisposable> {
  const folder = await mkdtemp(path.join(tmpdir(), "pincer-bench-"));
  const port = 41_001;
  const file = path.join(folder, "server.cjs");
  await writeFile(file, portServer(port, port + 1));
  const child = spawn(process.execPath, [file], { stdio: "ignore" });
  const address = { port, headers: {} };
  while ((await open(address, "/other").catch(() => undefined))?.resume() === undefined);
  return {
    ...address,
    [Symbol.asyncDispose]: async () => {
      child.kill();
      await once(child, "exit");
      await rm(folder, { recursive: true, force: true });
    },
  };
}

async function open({ port, headers }: Address, target: string, agent?: Agent): Promise<IncomingMessage> {
  return await new Promise((resolve, reject) => {
    const options = { host: "127.0.0.1", port, path: target, headers, ...(agent === undefined ? {} : { agent }) };
    request(options, resolve).on("error", reject).end();
  });
}

/** How many bytes came. */
async function get(address: Address, target: string, agent: Agent): Promise<number> {
  const answer = await open(address, target, agent);
  if (answer.statusCode !== 200 && answer.statusCode !== 302) throw new Error(`${target}: ${answer.statusCode}`);
  let bytes = 0;
  answer.on("data", (chunk: Uint8Array) => (bytes += chunk.length));
  await once(answer, "end");
  return bytes;
}

async function echoAtOnce(address: Address): Promise<number[]> {
  const sockets = await Promise.all(Array.from({ length: SOCKETS }, async () => await upgrade(address)));
  const echoes = await Promise.all(
    sockets.map(async (socket) => {
      const beganMs = performance.now();
      // A text of five bytes, masked with zeros.
      socket.write(Uint8Array.from([0x81, 0x85, 0, 0, 0, 0, ...new TextEncoder().encode("hello")]));
      const [frame] = await once(socket, "data");
      return String(frame).endsWith("hello") ? performance.now() - beganMs : undefined;
    }),
  );
  for (const socket of sockets) socket.destroy();
  return echoes.filter((ms) => ms !== undefined);
}

async function upgrade({ port, headers }: Address): Promise<Duplex> {
  const wanted = { Connection: "Upgrade", Upgrade: "websocket", "Sec-WebSocket-Version": "13" };
  const key = { "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==" };
  const asked = request({ host: "127.0.0.1", port, path: "/", headers: { ...headers, ...wanted, ...key } }).end();
  asked.on("response", ({ statusCode }) => asked.destroy(new Error(`No WebSocket but ${statusCode}.`)));
  const [, socket] = z
    .tuple([z.unknown(), z.custom<Duplex>()])
    .rest(z.unknown())
    .parse(await once(asked, "upgrade"));
  return socket;
}

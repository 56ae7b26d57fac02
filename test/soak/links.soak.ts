import { createHash, randomBytes } from "node:crypto";
import { once } from "node:events";
import { IncomingMessage, request } from "node:http";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { afterAll, beforeAll, expect, test } from "vitest";
import * as z from "zod";
import { type ToolClient, connectOfficial, textOf } from "../support/mcp-clients.ts";
import { mostMemory } from "../support/most-memory.ts";
import { pick, processTree } from "../support/process-tree.ts";
import { startWatchedWorker, type WatchedWorker } from "../support/watched-worker.ts";

/* What goes up and down through links, whose requests know no client and no sandbox. */

let worker: WatchedWorker;
let client: ToolClient;

beforeAll(async () => {
  worker = await startWatchedWorker();
  client = await connectOfficial(new URL("/mcp", worker.url), worker.token, "modern");
});

afterAll(async () => {
  await client[Symbol.asyncDispose]();
  await worker[Symbol.asyncDispose]();
});

const MIB = 1024 ** 2;
const GIGABYTE = 1024 * MIB;
/** What Cloudflare gives a Worker. */
const WORKER_MB = 128;
/** As the upload link asks for them. */
const PART_BYTES = 32 * MIB;
/** Of which everything here is made, turned about so that no two MB are the same. */
const NOISE = randomBytes(MIB);
const listing = z.object({ files: z.array(z.object({ path: z.string(), size_bytes: z.number() })) });

/** That many bytes from there of one endless text. */
function* noise(start: number, length: number): Generator<Uint8Array> {
  for (let at = start; at < start + length; at += MIB) {
    const turn = (at / MIB) % MIB;
    const piece = new Uint8Array(MIB);
    piece.set(NOISE.subarray(turn));
    piece.set(NOISE.subarray(0, turn), MIB - turn);
    yield piece.subarray(0, Math.min(MIB, start + length - at));
  }
}

async function link(input: Record<string, unknown>): Promise<URL> {
  const answer = await client.callTool("files_share", input);
  if (answer.isError) throw new Error(textOf(answer));
  return new URL(z.object({ url: z.string() }).parse(answer.structuredContent).url);
}

async function filesIn(folder: string): Promise<Record<string, number>> {
  const { structuredContent } = await client.callTool("files_list", { folder });
  return Object.fromEntries(listing.parse(structuredContent).files.map((file) => [file.path, file.size_bytes]));
}

interface Sent {
  readonly status: number;
  readonly text: string;
}

/** Sends what `noise` gives, and where it is told goes away in the middle. */
async function send(
  method: string,
  url: URL,
  body?: { start: number; length: number; leaveAfter?: number },
): Promise<Sent> {
  const { start, length, leaveAfter } = body ?? { start: 0, length: 0 };
  const outgoing = request(url.href, { method, headers: { "content-length": length } });
  const answered = new Promise<Sent>((resolve, reject) => {
    outgoing.on("error", reject).on("response", (incoming) => {
      Array.fromAsync(incoming, String).then((pieces) => {
        resolve({ status: incoming.statusCode ?? 0, text: pieces.join("") });
      }, reject);
    });
  });
  answered.catch(() => undefined);
  await pipeline(Readable.from(noise(start, leaveAfter ?? length)), outgoing, { end: leaveAfter === undefined }).catch(
    () => undefined,
  );
  if (leaveAfter !== undefined) outgoing.destroy(new Error("The client has left."));
  return await answered;
}

function withQuery(url: URL, query: string): URL {
  return new URL(`${url.href}?${query}`);
}

async function sendInParts(url: URL, sizeBytes: number): Promise<Sent> {
  const begun = await send("POST", withQuery(url, `uploads&size=${sizeBytes}`));
  expect(begun.status).toBe(201);
  for (let part = 0; part * PART_BYTES < sizeBytes; part += 1) {
    const start = part * PART_BYTES;
    const length = Math.min(PART_BYTES, sizeBytes - start);
    const sent = await send("PUT", withQuery(url, `upload=${begun.text.trim()}&part=${part + 1}`), { start, length });
    expect(sent).toMatchObject({ status: 200 });
  }
  return await send("POST", withQuery(url, `upload=${begun.text.trim()}&complete`));
}

function digestOf(sizeBytes: number): string {
  const hash = createHash("sha256");
  for (const piece of noise(0, sizeBytes)) hash.update(piece);
  return hash.digest("hex");
}

async function digestAt(url: URL): Promise<string> {
  const [response] = z.tuple([z.instanceof(IncomingMessage)]).parse(await once(request(url.href).end(), "response"));
  expect(response.statusCode).toBe(200);
  const hash = createHash("sha256");
  await pipeline(response, hash);
  return hash.digest("hex");
}

test.each([
  { how: "in one request", put: async (url: URL, length: number) => await send("PUT", url, { start: 0, length }) },
  { how: "in parts", put: sendInParts },
])("a gigabyte comes in $how, and goes out again, and takes no more memory than less does", async ({ put }) => {
  const workerd = await pick(await processTree(process.pid), /\/workerd /);
  const watch = async (work: () => Promise<unknown>): Promise<readonly [processMb: number, workerMb: number]> => {
    let workerMb = Number.NaN;
    const [processMb = Number.NaN] = await mostMemory([workerd], async () => {
      workerMb = await worker.mostHeld(work);
    });
    return [processMb, workerMb];
  };
  const pass = async (sizeBytes: number): Promise<readonly number[]> => {
    const path = `soak/${crypto.randomUUID()}.bin`;
    const up = await link({ path, upload: true });
    const [upMb, workerUpMb] = await watch(async () => {
      const said = { status: 201, text: expect.stringContaining(`${sizeBytes} bytes`) };
      expect(await put(up, sizeBytes)).toMatchObject(said);
    });
    const down = await link({ path });
    const [downMb, workerDownMb] = await watch(async () => {
      expect(await digestAt(down)).toBe(digestOf(sizeBytes));
    });
    const [upText, downText] = [upMb, downMb].map((mb) => mb.toFixed(0));
    console.log(
      `${sizeBytes / MIB} MB: the Worker holds ${workerUpMb.toFixed(0)} MB on the way up, ${workerDownMb.toFixed(0)} down; ${upText} and ${downText} MB more in workerd`,
    );
    for (const workerMb of [workerUpMb, workerDownMb]) expect(workerMb).toBeLessThan(WORKER_MB);
    return [upMb, downMb];
  };
  // R2's local stand-in lives in workerd too, with buffers of its own: what counts is that four times as much needs
  // no more of them.
  const less = await pass(GIGABYTE / 4);
  const more = await pass(GIGABYTE);
  for (const [index, grownMb] of more.entries()) expect(grownMb - (less[index] ?? 0)).toBeLessThan(100);
});

test("uploads that stop half-way leave what was there, and nothing else", async () => {
  const [path, sizeBytes] = ["half/kept.bin", 40 * MIB];
  const url = await link({ path, upload: true });
  expect(await send("PUT", url, { start: 0, length: sizeBytes })).toMatchObject({ status: 201 });
  const kept = digestOf(sizeBytes);
  for (let round = 0; round < 40; round += 1) {
    const leaveAfter = Math.floor((round / 40) * sizeBytes);
    await expect(send("PUT", url, { start: MIB, length: sizeBytes, leaveAfter })).rejects.toThrow("left");
    if (round % 10 === 9) {
      const begun = await send("POST", withQuery(url, `uploads&size=${sizeBytes}`));
      const part = withQuery(url, `upload=${begun.text.trim()}&part=1`);
      const cut = send("PUT", part, {
        start: MIB,
        length: PART_BYTES,
        leaveAfter: Math.min(leaveAfter, PART_BYTES - MIB),
      });
      await expect(cut).rejects.toThrow("left");
      expect(await send("POST", withQuery(url, `upload=${begun.text.trim()}&complete`))).toMatchObject({ status: 409 });
    }
    expect(await filesIn("half")).toEqual({ [path]: sizeBytes });
  }
  expect(await digestAt(await link({ path }))).toBe(kept);
  expect(await send("PUT", url, { start: MIB, length: sizeBytes })).toMatchObject({ status: 201 });
  expect(await digestAt(await link({ path }))).not.toBe(kept);
});

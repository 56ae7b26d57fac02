// Records a page of Pincer's browser as an animated PNG, with Node alone:
//   node record.mjs OUT.png SECONDS [URL]
// Without URL it records the first page that is open. BROWSER_URL names another Chrome.
import { Buffer } from "node:buffer";
import { writeFileSync } from "node:fs";
import process from "node:process";
import { crc32 } from "node:zlib";

const BROWSER_URL = process.env.BROWSER_URL ?? "http://browser.internal";
const MAX_SECONDS = 120;
const SHORTEST_FRAME_MS = 66;
/** The format holds no more. */
const MAX_DELAY_MS = 65_535;
const SIGNATURE = Buffer.from("89504e470d0a1a0a", "hex");

async function connect() {
  const response = await fetch(new URL("/json/version", BROWSER_URL));
  if (!response.ok) throw new Error(`${response.status}: ${(await response.text()).slice(0, 1_000)}`);
  const socket = new WebSocket((await response.json()).webSocketDebuggerUrl);
  await new Promise((resolve, reject) => {
    socket.addEventListener("open", resolve, { once: true });
    socket.addEventListener("error", () => reject(new Error("The browser took no connection.")), { once: true });
  });
  let lastId = 0;
  const waiting = new Map();
  const devtools = { onFrame: () => undefined, send, end: () => socket.close() };
  socket.addEventListener("message", ({ data }) => {
    const { id, result, error, method, params } = JSON.parse(data);
    if (method === "Page.screencastFrame") devtools.onFrame(params);
    const answer = waiting.get(id);
    waiting.delete(id);
    if (error === undefined) answer?.resolve(result);
    else answer?.reject(new Error(error.message));
  });
  socket.addEventListener("close", () => {
    for (const { reject } of waiting.values()) reject(new Error("The browser has ended."));
  });
  return devtools;

  async function send(method, params, sessionId) {
    const id = ++lastId;
    socket.send(JSON.stringify({ id, method, params, ...(sessionId && { sessionId }) }));
    return await new Promise((resolve, reject) => waiting.set(id, { resolve, reject }));
  }
}

/** What was to be seen, each with the time from which on: a page that stands still sends nothing. */
async function record(devtools, sessionId, url, seconds) {
  const frames = [];
  devtools.onFrame = ({ data, sessionId: number }) => {
    devtools.send("Page.screencastFrameAck", { sessionId: number }, sessionId).catch(() => undefined);
    const atMs = performance.now();
    const last = frames.at(-1);
    if (last !== undefined && atMs - last.atMs < SHORTEST_FRAME_MS) last.png = data;
    else frames.push({ atMs, png: data });
  };
  await devtools.send("Page.enable", {}, sessionId);
  await devtools.send("Page.startScreencast", { format: "png" }, sessionId);
  if (url !== undefined) {
    const { errorText } = await devtools.send("Page.navigate", { url }, sessionId);
    if (errorText) throw new Error(`${url}: ${errorText}`);
  }
  await new Promise((resolve) => setTimeout(resolve, seconds * 1_000));
  await devtools.send("Page.stopScreencast", {}, sessionId);
  if (frames.length === 0) throw new Error("The page showed nothing.");
  const endMs = performance.now();
  return frames.map(({ atMs, png }, index) => ({
    png: Buffer.from(png, "base64"),
    delayMs: Math.min(Math.round((frames[index + 1]?.atMs ?? endMs) - atMs), MAX_DELAY_MS),
  }));
}

/** The pictures as they came, one after the other in one file (PNG specification, third edition, 11.3.6). */
function animate(frames) {
  const pictures = frames.map(({ png, delayMs }) => ({ chunks: readChunks(png), delayMs }));
  const [header] = pictures[0].chunks;
  // A window that changed its size would need a file of its own.
  const shown = pictures.filter(({ chunks }) => chunks[0].data.equals(header.data));
  let sequence = 0;
  const parts = shown.flatMap(({ chunks, delayMs }, index) => {
    const control = Buffer.alloc(26);
    control.writeUInt32BE(sequence++, 0);
    header.data.copy(control, 4, 0, 8); // Width and height; the place stays 0, 0.
    control.writeUInt16BE(delayMs, 20);
    control.writeUInt16BE(1_000, 22);
    const pixels = chunks.filter(({ type }) => type === "IDAT");
    const data = pixels.map((chunk) =>
      index === 0 ? chunk : { type: "fdAT", data: numbered(sequence++, chunk.data) },
    );
    return [{ type: "fcTL", data: control }, ...data];
  });
  const count = Buffer.alloc(8);
  count.writeUInt32BE(shown.length, 0);
  const end = { type: "IEND", data: Buffer.alloc(0) };
  const file = [header, { type: "acTL", data: count }, ...parts, end].map(writeChunk);
  return { file: Buffer.concat([SIGNATURE, ...file]), frames: shown.length };
}

function readChunks(png) {
  const chunks = [];
  for (let at = SIGNATURE.length; at < png.length;) {
    const end = at + 8 + png.readUInt32BE(at);
    chunks.push({ type: png.toString("latin1", at + 4, at + 8), data: png.subarray(at + 8, end) });
    at = end + 4;
  }
  return chunks;
}

function writeChunk({ type, data }) {
  const length = Buffer.alloc(4);
  length.writeUInt32BE(data.length);
  const body = Buffer.concat([Buffer.from(type, "latin1"), data]);
  const check = Buffer.alloc(4);
  check.writeUInt32BE(crc32(body));
  return Buffer.concat([length, body, check]);
}

function numbered(sequence, data) {
  const number = Buffer.alloc(4);
  number.writeUInt32BE(sequence);
  return Buffer.concat([number, data]);
}

async function main([file, secondsText, url]) {
  const seconds = Number(secondsText);
  if (file === undefined || !(seconds > 0 && seconds <= MAX_SECONDS)) {
    throw new Error(`Usage: node record.mjs OUT.png SECONDS [URL], for at most ${MAX_SECONDS} seconds`);
  }
  const devtools = await connect();
  const targetId = url === undefined ? await firstPage(devtools) : await newPage(devtools);
  try {
    const { sessionId } = await devtools.send("Target.attachToTarget", { targetId, flatten: true });
    const animation = animate(await record(devtools, sessionId, url, seconds));
    writeFileSync(file, animation.file);
    console.log(`${file}: ${seconds} s, frames: ${animation.frames}`);
  } finally {
    if (url !== undefined) await devtools.send("Target.closeTarget", { targetId });
    devtools.end();
  }
}

async function newPage(devtools) {
  const { targetId } = await devtools.send("Target.createTarget", { url: "about:blank" });
  return targetId;
}

async function firstPage(devtools) {
  const { targetInfos } = await devtools.send("Target.getTargets", {});
  const page = targetInfos.find(({ type }) => type === "page");
  if (page === undefined) throw new Error("No page is open; give a URL.");
  return page.targetId;
}

main(process.argv.slice(2)).catch((error) => {
  console.error(error.cause === undefined ? error.message : `${error.message}: ${error.cause.message}`);
  process.exitCode = 1;
});

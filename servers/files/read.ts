import * as z from "zod";
import { MAX_TEXT_CHARS } from "../core/artifacts.ts";
import { type Answer, defineTool } from "../core/tool.ts";
import { ToolError } from "../shared/errors.ts";
import { showLines } from "../shared/lines.ts";
import { decodeText, decodeUtf8, imageTypeOf } from "../shared/text.ts";
import type { FileBody, FileStore } from "./store.ts";

const DEFAULT_LINES = 2_000;
const DEFAULT_BYTES = 10_000;
const MAX_BYTES = 200_000;
const MAX_IMAGE_BYTES = 5 * 1024 * 1024;
/** What is held of a file, to see what it is; the text of a longer one is read in passing. */
const MAX_HELD_BYTES = 6 * 1024 * 1024;
/** How far one call looks for a line. */
const MAX_SCANNED_BYTES = 128 * 1024 * 1024;

const readOutput = z.object({ text: z.string() });
type Shown = Answer<z.input<typeof readOutput>>;

export const filesRead = defineTool({
  name: "files_read",
  title: "Read a file",
  description: "Reads lines or bytes of a file, or shows an image.",
  input: z.strictObject({
    path: z.string().min(1).max(1_000).describe("Path"),
    from: z.int().min(1).optional().describe("First line"),
    lines: z.int().min(1).optional().describe("How many"),
    offset: z.int().min(0).optional().describe("First byte"),
    length: z.int().min(1).optional().describe("How many"),
  }),
  output: readOutput,
  annotations: { readOnlyHint: true, destructiveHint: false, idempotentHint: true, openWorldHint: false },
  scopes: ["files:read"],
  handler: async ({ path, from = 1, lines = DEFAULT_LINES, offset, length }, { files, signal }) => {
    if (offset !== undefined || length !== undefined) {
      return await showBytes(files, path, offset ?? 0, length ?? DEFAULT_BYTES);
    }
    return await showFile(await files.read(path), { from, count: lines, maxChars: MAX_TEXT_CHARS }, signal);
  },
  text: ({ text }) => text,
});

async function showBytes(files: FileStore, path: string, offset: number, length: number): Promise<Shown> {
  const { sizeBytes } = await files.stat(path);
  if (offset >= sizeBytes) return { output: { text: `${path}: ${sizeBytes} bytes; there is no byte ${offset}` } };
  const file = await files.read(path, { offset, length: Math.min(length, MAX_BYTES, sizeBytes - offset) });
  const bytes = await new Response(file.body).bytes();
  const whole = bytes.subarray(0, bytes.length - cutOffBytes(bytes));
  const text = whole.length === 0 || whole.includes(0) ? undefined : decodeUtf8(whole);
  const end = offset + (text === undefined ? bytes : whole).length;
  const rest = end < file.sizeBytes ? `; go on from ${end}` : "";
  const spelled = text === undefined ? ", as base64" : "";
  const head = `${file.path}: bytes ${offset}-${end - 1} of ${file.sizeBytes}${spelled}${rest}; etag ${file.etag}`;
  return { output: { text: `${head}\n${text ?? bytes.toBase64()}` } };
}

async function showFile(
  file: FileBody,
  range: { readonly from: number; readonly count: number; readonly maxChars: number },
  signal: AbortSignal,
): Promise<Shown> {
  const reader = file.body.getReader();
  try {
    const held = await hold(reader, file.sizeBytes);
    const imageType = imageTypeOf(held);
    if (imageType !== undefined && file.sizeBytes <= MAX_IMAGE_BYTES) {
      const image = { type: "image", base64: held.toBase64(), mimeType: imageType } as const;
      return { output: { text: `${file.path}: ${imageType}, ${file.sizeBytes} bytes` }, attachments: [image] };
    }
    const isLong = held.length < file.sizeBytes;
    const decoded = decodeText(isLong ? held.subarray(0, held.length - cutOffBytes(held)) : held);
    if (imageType !== undefined || decoded === undefined) return linkTo(file);
    const pieces = isLong ? textOf(held, decoded.encoding, reader, signal) : [decoded.text];
    const shown = await showLines(pieces, range, isLong);
    const encoding = decoded.encoding === "utf-8" ? "" : `, read as ${decoded.encoding}`;
    return { output: { text: `${file.path}: ${shown.summary}${encoding}; etag ${file.etag}\n${shown.text}` } };
  } finally {
    await reader.cancel();
  }
}

function linkTo({ path, mimeType, sizeBytes }: FileBody): Shown {
  const text = `${path}: ${mimeType}, ${sizeBytes} bytes, linked; open it with interpreter_run under /workspace/files, or share it with files_share.`;
  return { output: { text }, attachments: [{ type: "link", path, mimeType, sizeBytes }] };
}

/** The file's first bytes: all of them, unless it is a long one. */
async function hold(reader: ReadableStreamDefaultReader<Uint8Array>, sizeBytes: number): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  while (size < Math.min(sizeBytes, MAX_HELD_BYTES)) {
    const { done, value } = await reader.read();
    if (done) break;
    chunks.push(value);
    size += value.length;
  }
  const [first = new Uint8Array(), ...more] = chunks;
  return more.length === 0 ? first : await new Blob(chunks).bytes();
}

async function* textOf(
  held: Uint8Array,
  encoding: string,
  reader: ReadableStreamDefaultReader<Uint8Array>,
  signal: AbortSignal,
): AsyncGenerator<string> {
  const decoder = new TextDecoder(encoding);
  yield decoder.decode(held, { stream: true });
  for (let size = held.length; ;) {
    signal.throwIfAborted();
    const { done, value } = await reader.read();
    if (done) break;
    size += value.length;
    if (size > MAX_SCANNED_BYTES) {
      throw new ToolError("too_large", `These lines are beyond the first ${MAX_SCANNED_BYTES} bytes; give an offset.`);
    }
    yield decoder.decode(value, { stream: true });
  }
  yield decoder.decode();
}

/** How many bytes at the end begin a character of UTF-8 that goes on after them. */
function cutOffBytes(bytes: Uint8Array): number {
  for (let back = 1; back <= Math.min(3, bytes.length); back++) {
    const byte = bytes[bytes.length - back] ?? 0;
    if ((byte & 0xc0) === 0x80) continue;
    const needed = byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : byte >= 0xc0 ? 2 : 1;
    return needed > back ? back : 0;
  }
  return 0;
}

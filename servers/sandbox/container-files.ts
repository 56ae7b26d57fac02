import { ToolError } from "../shared/errors.ts";
import { type Guest, STATE } from "./container-guest.ts";
import { fileInfo, fileSlice, parseGuest } from "./guest.ts";

export const WORKSPACE = "/workspace";
/** A value that crosses into a Durable Object may have 32 MiB; an isolate has 128 MB for all copies of it. */
const SLICE_BYTES = 4 * 1024 * 1024;

export async function readFile(guest: Guest, path: string, maxBytes: number): Promise<Uint8Array> {
  const { kind, sizeBytes } = await look(guest, absolute(path));
  if (kind === "none") throw new ToolError("not_found", `There is no ${path} in the sandbox; list its folder first.`);
  if (kind === "other") throw new ToolError("invalid_input", `${path} is not a file; give the path of one.`);
  if (sizeBytes > maxBytes) {
    throw new ToolError("too_large", `${path} has ${sizeBytes} bytes, over the limit of ${maxBytes}; read part of it.`);
  }
  if (sizeBytes === 0) return await readToEnd(guest, path, maxBytes);
  const bytes = new Uint8Array(sizeBytes);
  for (let offset = 0; offset < sizeBytes;) {
    const slice = await readSlice(guest, absolute(path), offset, sizeBytes);
    bytes.set(slice, offset);
    offset += slice.length;
  }
  return bytes;
}

/** A file of /proc says that it is empty, whatever it holds. */
async function readToEnd(guest: Guest, path: string, maxBytes: number): Promise<Uint8Array> {
  const slices: Uint8Array<ArrayBuffer>[] = [];
  let sizeBytes = 0;
  for (;;) {
    const slice = await askSlice(guest, absolute(path), sizeBytes, maxBytes + 1);
    if (slice.length === 0) return await new Blob(slices).bytes();
    sizeBytes += slice.length;
    if (sizeBytes > maxBytes) {
      throw new ToolError("too_large", `${path} has more than the limit of ${maxBytes} bytes; read part of it.`);
    }
    slices.push(slice);
  }
}

/** Parts first; with the last one they are put together beside the file and renamed: all of it or nothing. */
export async function writeFile(guest: Guest, path: string, bytes: Uint8Array, replaces?: string): Promise<void> {
  const id = crypto.randomUUID();
  const parts: string[] = [];
  let offset = 0;
  for (; bytes.length - offset > SLICE_BYTES; offset += SLICE_BYTES) {
    parts.push(`${STATE}/parts/${id}-${parts.length}`);
    await guest.ask("files", {
      do: "keep",
      path: absolute(path),
      parts,
      base64: bytes.subarray(offset, offset + SLICE_BYTES).toBase64(),
    });
  }
  const condition = replaces === undefined ? {} : { replaces };
  await guest.ask("files", {
    do: "join",
    path: absolute(path),
    parts,
    base64: bytes.subarray(offset).toBase64(),
    ...condition,
  });
}

export async function look(
  guest: Guest,
  path: string,
): Promise<{ readonly kind: "file" | "none" | "other"; readonly sizeBytes: number }> {
  return parseGuest(fileInfo, await guest.ask("files", { do: "look", path }));
}

export async function readSlice(guest: Guest, path: string, offset: number, sizeBytes: number): Promise<Uint8Array> {
  const slice = await askSlice(guest, path, offset, sizeBytes);
  if (slice.length === 0) throw changed(path);
  return slice;
}

/** From `offset` to `endsAt` at most, or nothing at the file's end. */
async function askSlice(guest: Guest, path: string, offset: number, endsAt: number): Promise<Uint8Array<ArrayBuffer>> {
  const length = Math.min(SLICE_BYTES, endsAt - offset);
  const answer = await guest.ask("files", { do: "slice", path, offset, length });
  const slice = Uint8Array.fromBase64(parseGuest(fileSlice, answer));
  if (slice.length > length) throw changed(path);
  return slice;
}

function changed(path: string): ToolError {
  return new ToolError("conflict", `${path} changed while it was read; try again.`);
}

export function absolute(path: string): string {
  return path.startsWith("/") ? path : `${WORKSPACE}/${path}`;
}

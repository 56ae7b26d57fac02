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
  const bytes = new Uint8Array(sizeBytes);
  for (let offset = 0; offset < sizeBytes;) {
    const slice = await readSlice(guest, absolute(path), offset, sizeBytes);
    bytes.set(slice, offset);
    offset += slice.length;
  }
  return bytes;
}

/** Parts first; with the last one they are put together beside the file and renamed: all of it or nothing. */
export async function writeFile(guest: Guest, path: string, bytes: Uint8Array, replaces?: string): Promise<void> {
  const id = crypto.randomUUID();
  const parts: string[] = [];
  let offset = 0;
  for (; bytes.length - offset > SLICE_BYTES; offset += SLICE_BYTES) {
    const part = `${STATE}/parts/${id}-${parts.length}`;
    await guest.ask("files", {
      do: "keep",
      path: part,
      base64: bytes.subarray(offset, offset + SLICE_BYTES).toBase64(),
    });
    parts.push(part);
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
  const length = Math.min(SLICE_BYTES, sizeBytes - offset);
  const answer = await guest.ask("files", { do: "slice", path, offset, length });
  const slice = Uint8Array.fromBase64(parseGuest(fileSlice, answer));
  if (slice.length === 0 || slice.length > length) {
    throw new ToolError("conflict", `${path} changed while it was read; try again.`);
  }
  return slice;
}

export function absolute(path: string): string {
  return path.startsWith("/") ? path : `${WORKSPACE}/${path}`;
}

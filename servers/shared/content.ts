import { ToolError } from "./errors.ts";

/** How a tool's `content` argument spells the bytes of a file. */
export type ContentEncoding = "utf8" | "base64";

/** The bytes that `content` stands for. Rejects with `invalid_input` where it is no base64. */
export function contentBytes(content: string, encoding: ContentEncoding): Uint8Array {
  if (encoding === "utf8") return new TextEncoder().encode(content);
  try {
    return Uint8Array.fromBase64(content);
  } catch (cause) {
    throw new ToolError("invalid_input", "content is not base64; send it so, or set encoding to utf8.", { cause });
  }
}

import type { ChatBody } from "./dialect.ts";

/** More than any provider makes of a picture at the size to which it cuts it down. */
const MOST_PICTURE_TOKENS = 16_384;
/** The name of the limit, and its value. */
const LIMIT_BYTES = 64;

/**
 * How many tokens a request has at most. No tokenizer makes more of a text than it has bytes; a picture's are no measure, for
 * its size in pixels counts.
 */
export function mostInputTokens(request: string, { messages }: ChatBody): number {
  const parts = messages.flatMap(({ content }) => (typeof content === "string" || !content ? [] : content));
  const pictures = parts.flatMap((part) => (part.type === "image_url" ? [part.image_url.url.length] : []));
  const pictureBytes = pictures.reduce((sum, bytes) => sum + bytes, 0);
  const bytes = new TextEncoder().encode(request).length;
  return bytes - pictureBytes + pictures.length * MOST_PICTURE_TOKENS + LIMIT_BYTES;
}

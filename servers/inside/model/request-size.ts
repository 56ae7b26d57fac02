/** More than any provider makes of a picture at the size to which it cuts it down. */
const MOST_PICTURE_TOKENS = 16_384;
/** The name of the limit, and its value. */
const LIMIT_BYTES = 64;

/**
 * How many tokens a request has at most. No tokenizer makes more of a text than it has bytes; those of `pictures` are no
 * measure, for their sizes in pixels count.
 */
export function mostInputTokens(request: string, pictures: readonly string[]): number {
  const pictureBytes = pictures.reduce((sum, { length }) => sum + length, 0);
  const bytes = new TextEncoder().encode(request).length;
  return bytes - pictureBytes + pictures.length * MOST_PICTURE_TOKENS + LIMIT_BYTES;
}

const encoder = new TextEncoder();

/** SHA-256 as 64 lowercase hex digits. */
export async function sha256Hex(content: string | Uint8Array): Promise<string> {
  const bytes = typeof content === "string" ? encoder.encode(content) : content;
  return new Uint8Array(await crypto.subtle.digest("SHA-256", bytes)).toHex();
}

/** Whether two secrets are the same, in a time that tells neither where they differ nor how long they are. */
export async function isSameSecret(given: string, expected: string): Promise<boolean> {
  const [a, b] = await Promise.all(
    [given, expected].map((text) => crypto.subtle.digest("SHA-256", encoder.encode(text))),
  );
  return a !== undefined && b !== undefined && crypto.subtle.timingSafeEqual(a, b);
}

/** So many random bytes as lowercase hex. */
export function randomHex(bytes: number): string {
  return crypto.getRandomValues(new Uint8Array(bytes)).toHex();
}

/** Signs texts of one purpose; a MAC made for another purpose with the same secret does not pass. */
export interface Signer {
  /** 128 bits of HMAC-SHA-256 as 32 lowercase hex digits. */
  sign(text: string): Promise<string>;
}

export function createSigner(secret: string, purpose: string): Signer {
  const importing = crypto.subtle.importKey("raw", encoder.encode(secret), { name: "HMAC", hash: "SHA-256" }, false, [
    "sign",
  ]);
  return {
    sign: async (text) => {
      const mac = await crypto.subtle.sign("HMAC", await importing, encoder.encode(`${purpose}:${text}`));
      return new Uint8Array(mac, 0, 16).toHex();
    },
  };
}

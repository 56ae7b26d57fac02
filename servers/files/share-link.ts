import * as z from "zod";
import { createSigner, isSameSecret } from "../../auth/secrets.ts";
import { ToolError } from "../shared/errors.ts";
import { SHARE_PATH } from "../shared/network-policy.ts";
import { createFileReader, type FileBody, type FileInfo, type FileStore } from "./store.ts";

/** A link that anyone who holds it may use until it expires or is revoked. */
export interface ShareLink {
  /** Names it for `revoke`; whoever knows it alone cannot use the link. */
  readonly id: string;
  /** `upload` lets in one file at `path`, or, where that ends in a slash, any files into that folder. */
  readonly purpose: "download" | "upload";
  readonly path: string;
  readonly expiresAt: Date;
}

export interface ShareLinks {
  /** Rejects with `not_found` where a file to download is not there now. The URL is told once and kept nowhere. */
  create(link: {
    readonly path: string;
    readonly purpose: "download" | "upload";
    readonly expiresInSeconds: number;
  }): Promise<ShareLink & { readonly url: string }>;
  /** Those that still work, newest first. */
  list(): Promise<readonly ShareLink[]>;
  /** From now on nobody gets in by it. Rejects with `not_found`. `link` is its id or its URL. */
  revoke(link: string): Promise<ShareLink>;
}

const SIGNING_PURPOSE = "share-link";

const claimsSchema = z.object({ u: z.string(), p: z.string(), e: z.number() });

interface ShareLinkSettings {
  readonly publicUrl: string;
  readonly signingSecret: string;
  readonly now: () => Date;
}

export function createShareLinks(userId: string, files: FileStore, settings: ShareLinkSettings): ShareLinks {
  return {
    list: () => Promise.reject(unbuilt()),
    revoke: () => Promise.reject(unbuilt()),
    create: async ({ path, purpose, expiresInSeconds }) => {
      if (purpose === "upload") throw unbuilt();
      const info = await files.stat(path);
      const expiresAt = new Date(settings.now().getTime() + expiresInSeconds * 1000);
      const claims = encodeBase64Url(
        new TextEncoder().encode(
          JSON.stringify({ u: userId, p: info.path, e: Math.floor(expiresAt.getTime() / 1000) }),
        ),
      );
      const mac = await createSigner(settings.signingSecret, SIGNING_PURPOSE).sign(claims);
      const name = encodeURIComponent(info.path.slice(info.path.lastIndexOf("/") + 1));
      return {
        url: `${settings.publicUrl}${SHARE_PATH}${claims}.${mac}/${name}`,
        ...{ id: mac, purpose, path: info.path, expiresAt },
      };
    },
  };
}

function unbuilt(): ToolError {
  return new ToolError("unavailable", "This is being built.");
}

/**
 * Serves a share link: `/s/<claims>.<mac>/<name>`. What is shared is hostile: the response carries a CSP `sandbox`
 * without `allow-scripts` or `allow-same-origin`, so that a page runs no script and has an opaque origin.
 */
export async function serveShareLink(
  request: Request,
  bucket: R2Bucket,
  settings: ShareLinkSettings,
): Promise<Response> {
  if (request.method !== "GET" && request.method !== "HEAD") {
    return new Response("A share link answers GET and HEAD.\n", { status: 405, headers: { Allow: "GET, HEAD" } });
  }
  const claims = await verify(new URL(request.url).pathname, settings);
  if (claims === undefined) return gone();
  try {
    const files = createFileReader(bucket, claims.u);
    const file = request.method === "HEAD" ? await files.stat(claims.p) : await files.read(claims.p);
    return new Response(bodyOf(file), {
      headers: {
        "Content-Type": withCharset(file.mimeType),
        "Content-Length": String(file.sizeBytes),
        "Content-Disposition": `${isShownInline(file.mimeType) ? "inline" : "attachment"}; filename*=UTF-8''${fileNameOf(claims.p)}`,
        "Content-Security-Policy":
          "sandbox; default-src 'none'; img-src data: 'self'; media-src data: 'self'; style-src 'unsafe-inline'; font-src data:; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": "DENY",
        "Cross-Origin-Resource-Policy": "same-origin",
        "Referrer-Policy": "no-referrer",
        "Cache-Control": "private, no-store",
        "X-Robots-Tag": "noindex",
        ETag: `"${file.etag}"`,
      },
    });
  } catch (failure) {
    if (failure instanceof ToolError && failure.code === "not_found") return gone();
    throw failure;
  }
}

function bodyOf(file: FileInfo | FileBody): ReadableStream<Uint8Array> | null {
  return "body" in file ? file.body : null;
}

/** One answer for a wrong, expired or orphaned link: which of them it is, is nobody's business. */
function gone(): Response {
  return new Response("This link does not work, or no longer. Ask for a new one.\n", {
    status: 404,
    headers: { "Content-Type": "text/plain; charset=utf-8", "Cache-Control": "no-store" },
  });
}

async function verify(
  pathname: string,
  settings: ShareLinkSettings,
): Promise<z.output<typeof claimsSchema> | undefined> {
  const match = /^\/s\/([\w-]+)\.([0-9a-f]{32})(?:\/[^/]*)?$/.exec(pathname);
  const [, encoded, mac] = match ?? [];
  if (encoded === undefined || mac === undefined) return undefined;
  const expected = await createSigner(settings.signingSecret, SIGNING_PURPOSE).sign(encoded);
  if (!(await isSameSecret(mac, expected))) return undefined;
  const claims = claimsSchema.parse(JSON.parse(new TextDecoder().decode(decodeBase64Url(encoded))));
  return claims.e * 1000 > settings.now().getTime() ? claims : undefined;
}

function encodeBase64Url(bytes: Uint8Array): string {
  return bytes.toBase64({ alphabet: "base64url", omitPadding: true });
}

function decodeBase64Url(text: string): Uint8Array {
  return Uint8Array.fromBase64(text, { alphabet: "base64url" });
}

function fileNameOf(path: string): string {
  return encodeURIComponent(path.slice(path.lastIndexOf("/") + 1)).replace(
    /['()*]/g,
    (char) => `%${char.charCodeAt(0).toString(16)}`,
  );
}

function withCharset(mimeType: string): string {
  return mimeType.startsWith("text/") && !mimeType.includes("charset") ? `${mimeType}; charset=utf-8` : mimeType;
}

function isShownInline(mimeType: string): boolean {
  return /^(text\/|image\/|audio\/|video\/|application\/(json|pdf)\b)/.test(mimeType);
}

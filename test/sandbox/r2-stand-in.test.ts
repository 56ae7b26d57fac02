import { createHash, randomBytes } from "node:crypto";
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import path from "node:path";
import { Miniflare, convertV4MiniflareOptions } from "miniflare";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { quickened, quickenR2 } from "../../container/local/worker-host/r2-stand-in.ts";

const PIECE_BYTES = 256 * 1024;
const PART_BYTES = 5 * 1024 * 1024;

/** Keeps what it is sent, in parts where it is long, and gives it back. */
const SCRIPT = `
export default {
  async fetch(request, { FILES }) {
    const { pathname: key, searchParams } = new URL(request.url);
    if (request.method === "GET") return new Response((await FILES.get(key))?.body, { status: (await FILES.head(key)) ? 200 : 404 });
    const bytes = await request.arrayBuffer();
    if (!searchParams.has("parts")) {
      const sha256 = searchParams.get("sha256");
      return new Response((await FILES.put(key, bytes, { sha256 })).etag);
    }
    const upload = await FILES.createMultipartUpload(key);
    const part = async (number, start, end) => await upload.uploadPart(number, bytes.slice(start, end));
    await upload.complete(await Promise.all([part(1, 0, ${PART_BYTES}), part(2, ${PART_BYTES})]));
    return new Response("");
  },
};
`;

let miniflare: Miniflare;
let url: URL;

beforeAll(async () => {
  quickenR2();
  quickenR2();
  miniflare = new Miniflare(
    convertV4MiniflareOptions({
      ...{ modules: true, script: SCRIPT, compatibilityDate: "2026-11-01" },
      ...{ r2Buckets: ["FILES"], cf: false },
    }),
  );
  url = await miniflare.ready;
});

afterAll(async () => await miniflare.dispose());

describe("R2's stand-in, quickened", () => {
  it.each([0, 1, 64 * 1024, 64 * 1024 + 1, PIECE_BYTES, PIECE_BYTES + 1, 3 * PIECE_BYTES, 8_000_003])(
    "keeps %i bytes with their MD5",
    async (bytes) => {
      const content = randomBytes(bytes);
      const answer = await put(`/${bytes}?sha256=${hex("sha256", content)}`, content);
      expect(await answer.text()).toBe(hex("md5", content));
      await expectContent(`/${bytes}`, content);
    },
  );

  it("refuses what is not what its digest says", async () => {
    const answer = await put(`/other?sha256=${hex("sha256", randomBytes(1))}`, randomBytes(2 * PIECE_BYTES));
    expect(await answer.text()).toContain("SHA-256");
    expect((await fetch(new URL("/other", url))).status).toBe(404);
  });

  it("puts parts together", async () => {
    const content = randomBytes(PART_BYTES + PIECE_BYTES + 1);
    await put("/whole?parts", content);
    await expectContent("/whole", content);
  });

  it("finds what it changes in the installed Miniflare, and leaves another one as it is", async () => {
    const folder = path.dirname(createRequire(import.meta.url).resolve("miniflare"));
    const script = await readFile(path.join(folder, "workers/r2/bucket.worker.js"), "utf8");
    expect(quickened(script)).not.toBe(script);
    const other = script.replaceAll("digesting", "digested");
    expect(quickened(other)).toBe(other);
  });
});

async function put(target: string, body: Uint8Array<ArrayBuffer>): Promise<Response> {
  return await fetch(new URL(target, url), { method: "PUT", body });
}

async function expectContent(target: string, content: Uint8Array): Promise<void> {
  const bytes = await (await fetch(new URL(target, url))).bytes();
  expect(hex("sha256", bytes)).toBe(hex("sha256", content));
}

function hex(algorithm: string, bytes: Uint8Array): string {
  return createHash(algorithm).update(bytes).digest("hex");
}

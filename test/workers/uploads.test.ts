import { runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { describe, expect, test, vi } from "vitest";
import { sha256Hex } from "../../auth/secrets.ts";
import { MAX_OPEN_UPLOADS } from "../../servers/account/uploads.ts";
import { PART_BYTES } from "../../servers/files/staging.ts";
import { type LinkSuite, linkSuite } from "../support/link-suite.ts";

/** Bytes that differ from place to place. */
function bytes(length: number): Uint8Array {
  const made = new Uint8Array(length);
  for (let index = 0; index < length; index += 1) made[index] = (index * 7 + (index >> 11)) % 251;
  return made;
}

/** A body without a length, as `curl -T -` sends it: many small writes. */
function stream(content: Uint8Array, failsAt = Infinity): ReadableStream {
  const { readable, writable } = new IdentityTransformStream();
  const writer = writable.getWriter();
  const pump = async (): Promise<void> => {
    for (let start = 0; start < content.length; start += 300_000) {
      if (start >= failsAt) return await writer.abort(new Error("The client has gone."));
      await writer.write(content.subarray(start, start + 300_000));
    }
    await writer.close();
  };
  pump().catch(() => undefined);
  return readable;
}

async function textOf(response: Response): Promise<string> {
  return await response.text();
}

async function begin(suite: LinkSuite, url: string, size: number): Promise<string> {
  const response = await suite.open(`${url}?uploads&size=${size}`, { method: "POST" });
  expect(response.status).toBe(201);
  return (await response.text()).trim();
}

async function sendPart(suite: LinkSuite, url: string, id: string, part: number, body: Uint8Array): Promise<Response> {
  return await suite.open(`${url}?upload=${id}&part=${part}`, { method: "PUT", body });
}

async function complete(suite: LinkSuite, url: string, id: string): Promise<Response> {
  return await suite.open(`${url}?upload=${id}&complete`, { method: "POST" });
}

async function contentOf(suite: LinkSuite, path: string): Promise<Uint8Array> {
  return new Uint8Array(await new Response((await suite.files.read(path)).body).arrayBuffer());
}

/** `toEqual` would look at each of millions of bytes on its own. */
async function isWhole(suite: LinkSuite, path: string, content: Uint8Array): Promise<boolean> {
  return (await sha256Hex(await contentOf(suite, path))) === (await sha256Hex(content));
}

/** Every key that the person has in the bucket, beyond their prefix. */
async function keysOf({ userId }: LinkSuite): Promise<string[]> {
  const { objects } = await env.FILES.list({ prefix: `users/${userId}/` });
  return objects.map(({ key }) => key.slice(`users/${userId}/`.length)).filter((key) => !key.startsWith("trash/"));
}

async function openUploads({ account }: LinkSuite): Promise<number> {
  return await runInDurableObject(account, (_account, { storage }) =>
    Number(storage.sql.exec("SELECT count(*) AS count FROM uploads").one()["count"]),
  );
}

describe("a link for one file", () => {
  test("takes it whole, under the name that the link has, whatever the URL says", async () => {
    const suite = linkSuite("one-file");
    const { url } = await suite.link("reports/data.csv", "upload");
    expect(url).toMatch(/\/data\.csv$/);
    const saved = await suite.open(url, { method: "PUT", body: "a,b\n", headers: { "Content-Type": "text/html" } });
    expect([saved.status, await textOf(saved)]).toEqual([201, "Saved data.csv, 4 bytes.\n"]);
    expect(await suite.files.stat("reports/data.csv")).toMatchObject({ sizeBytes: 4, mimeType: "text/csv" });
    const other = url.replace("data.csv", "other.csv");
    expect((await suite.open(other, { method: "PUT", body: "c\n" })).status).toBe(201);
    expect((await suite.open(url, { method: "PUT" })).status).toBe(201);
    expect(await keysOf(suite)).toEqual(["files/reports/data.csv"]);
    expect(await contentOf(suite, "reports/data.csv")).toEqual(new Uint8Array());
  });

  test("takes a body without a length, short or longer than what is held at a time", async () => {
    const suite = linkSuite("chunked");
    const { url } = await suite.link("stream.bin", "upload");
    for (const length of [0, 5, 8 * 1024 * 1024, 8 * 1024 * 1024 + 1, 20_000_000]) {
      const content = bytes(length);
      const response = await suite.open(url, { method: "PUT", body: stream(content) });
      expect([response.status, await textOf(response)]).toEqual([201, `Saved stream.bin, ${length} bytes.\n`]);
      expect(await isWhole(suite, "stream.bin", content)).toBe(true);
    }
    expect(await keysOf(suite)).toEqual(["files/stream.bin"]);
    expect(await openUploads(suite)).toBe(0);
  });

  test("refuses the rest of a file, as curl -C sends it, which would stand for the whole", async () => {
    const suite = linkSuite("rest");
    await suite.files.write("stream.bin", "old");
    const { url } = await suite.link("stream.bin", "upload");
    const headers = { "Content-Range": "bytes 2-3/4" };
    const response = await suite.open(url, { method: "PUT", body: "cd", headers });
    const answer = "Send the file from its beginning; this link takes no rest of one.\n";
    expect([response.status, await textOf(response)]).toEqual([400, answer]);
    expect(await contentOf(suite, "stream.bin")).toEqual(new TextEncoder().encode("old"));
  });

  test("keeps what was there when a new body stops half-way, and nothing of the body", async () => {
    const suite = linkSuite("half");
    await suite.files.write("stream.bin", "old");
    const { url } = await suite.link("stream.bin", "upload");
    const content = bytes(20_000_000);
    for (const failsAt of [1_000_000, 12_000_000]) {
      const response = await suite.open(url, { method: "PUT", body: stream(content, failsAt) });
      expect(response.status).toBeGreaterThanOrEqual(400);
    }
    expect(await contentOf(suite, "stream.bin")).toEqual(new TextEncoder().encode("old"));
    expect(await keysOf(suite)).toEqual(["files/stream.bin"]);
    expect(await openUploads(suite)).toBe(0);
  });
});

describe("while a body comes in slowly", () => {
  /** A request whose body goes on when `finish` is called. */
  function slowPut(suite: LinkSuite, url: string, content: Uint8Array, headers: Record<string, string>) {
    const hasLength = "Content-Length" in headers;
    const { readable, writable } = hasLength ? new FixedLengthStream(content.length) : new IdentityTransformStream();
    const writer = writable.getWriter();
    const answered = suite.open(url, { method: "PUT", body: readable, headers });
    const begun = writer.write(content.subarray(0, 1));
    const finish = async (): Promise<Response> => {
      await begun;
      // What is refused is not read to its end.
      writer
        .write(content.subarray(1))
        .then(async () => await writer.close())
        .catch(() => undefined);
      return await answered;
    };
    return { begun, finish };
  }

  const short = bytes(1_000);
  const long = bytes(9_000_000);

  test.each([
    ["short", "its length", short, { "Content-Length": String(short.length) }],
    ["long", "its length", long, { "Content-Length": String(long.length) }],
    ["short", "no length", short, {}],
    ["long", "no length", long, {}],
  ])("the link is revoked, or expires: a %s one with %s stays out", async (size, told, content, headers) => {
    const suite = linkSuite(`revoked-${size}-${told.replace(" ", "-")}`);
    await suite.files.write("a.bin", "old");
    for (const end of ["revoke", "expire"]) {
      const link = await suite.link("a.bin", "upload");
      const put = slowPut(suite, link.url, content, headers);
      await put.begun;
      if (end === "revoke") await suite.links.revoke(link.id);
      else suite.clock.now = new Date(suite.clock.now.getTime() + 3_600_001);
      expect((await put.finish()).status).toBe(404);
    }
    await suite.settle();
    expect(await contentOf(suite, "a.bin")).toEqual(new TextEncoder().encode("old"));
    await vi.waitFor(async () => expect(await keysOf(suite)).toEqual(["files/a.bin"]));
    expect(await suite.files.listTrash({ limit: 10 })).toEqual([]);
  });

  test.each([
    ["short", short],
    ["long", long],
  ])("of a %s one, the person can move and delete the file that it is to replace", async (size, content) => {
    const suite = linkSuite(`slow-${size}`);
    await suite.files.write("a.bin", "old");
    const { url } = await suite.link("a.bin", "upload");
    const put = slowPut(suite, url, content, { "Content-Length": String(content.length) });
    await put.begun;
    await suite.files.move("a.bin", "b.bin");
    await suite.files.write("a.bin", "new");
    await suite.files.remove("a.bin");
    expect((await put.finish()).status).toBe(201);
    expect(await isWhole(suite, "a.bin", content)).toBe(true);
    expect(await contentOf(suite, "b.bin")).toEqual(new TextEncoder().encode("old"));
  });
});

describe("an upload in parts", () => {
  const content = bytes(2 * PART_BYTES + 1_000);
  const parts = [0, 1, 2].map((index) => content.subarray(index * PART_BYTES, (index + 1) * PART_BYTES));
  const [first = content, second = content, third = content] = parts;

  test("shows nothing until it is complete, goes on where it stopped, and can be completed once", async () => {
    const suite = linkSuite("parts");
    await suite.files.write("big.bin", "old");
    const { url } = await suite.link("big.bin", "upload");
    const id = await begin(suite, url, content.length);
    expect((await sendPart(suite, url, id, 3, third)).status).toBe(200);
    expect((await sendPart(suite, url, id, 1, third)).status).toBe(400);
    expect((await sendPart(suite, url, id, 1, first)).status).toBe(200);
    expect((await sendPart(suite, url, id, 1, first)).status).toBe(200);
    const early = await complete(suite, url, id);
    expect([early.status, await textOf(early)]).toEqual([409, "Send the parts that are missing first: 2.\n"]);
    expect(await textOf(await suite.open(`${url}?upload=${id}`))).toBe("1\n3\n");
    expect(await contentOf(suite, "big.bin")).toEqual(new TextEncoder().encode("old"));
    expect(await keysOf(suite)).toEqual(["files/big.bin"]);
    expect((await sendPart(suite, url, id, 2, second)).status).toBe(200);
    expect(await suite.files.listTrash({ limit: 10 })).toEqual([]);
    const done = await complete(suite, url, id);
    expect([done.status, await textOf(done)]).toEqual([201, `Saved big.bin, ${content.length} bytes.\n`]);
    expect(await isWhole(suite, "big.bin", content)).toBe(true);
    expect(await suite.files.listTrash({ limit: 10 })).toMatchObject([
      { path: "big.bin", sizeBytes: 3, reason: "replaced" },
    ]);
    expect((await complete(suite, url, id)).status).toBe(404);
    expect(await keysOf(suite)).toEqual(["files/big.bin"]);
    expect(await openUploads(suite)).toBe(0);
  });

  test("that ended after its parts were joined is completed by calling again", async () => {
    const suite = linkSuite("joined");
    const { url, id: linkId } = await suite.link("big.bin", "upload");
    const id = await begin(suite, url, 5);
    await sendPart(suite, url, id, 1, bytes(5));
    const found = await suite.account.findUpload(id, linkId);
    if (found === undefined) throw new Error("The upload is not there.");
    const { key, bucketUploadId } = found.upload;
    const joined = found.parts.map(({ number, etag }) => ({ partNumber: number, etag }));
    await env.FILES.resumeMultipartUpload(key, bucketUploadId).complete(joined);
    expect((await complete(suite, url, id)).status).toBe(201);
    expect(await contentOf(suite, "big.bin")).toEqual(bytes(5));
    expect(await keysOf(suite)).toEqual(["files/big.bin"]);
  });

  test("belongs to its link, and ends with it", async () => {
    const suite = linkSuite("owner");
    const { url, id: linkId } = await suite.link("big.bin", "upload");
    const other = await suite.link("other.bin", "upload");
    const id = await begin(suite, url, 5);
    for (const answer of [
      await sendPart(suite, other.url, id, 1, bytes(5)),
      await complete(suite, other.url, id),
      await suite.open(`${other.url}?upload=${id}`),
      await suite.open(`${other.url}?upload=${id}`, { method: "DELETE" }),
    ]) {
      expect(answer.status).toBe(404);
    }
    expect((await sendPart(suite, url, id, 1, bytes(5))).status).toBe(200);
    await suite.links.revoke(linkId);
    const dead = await Promise.all([sendPart(suite, url, id, 1, bytes(5)), complete(suite, url, id), suite.open(url)]);
    expect(dead.map(({ status }) => status)).toEqual([404, 404, 404]);
    // The alarm may be ringing already.
    await runDurableObjectAlarm(suite.account);
    await vi.waitFor(async () => expect(await openUploads(suite)).toBe(0));
    expect(await keysOf(suite)).toEqual([]);
  });

  test("is given up by its client, or a day later", async () => {
    const suite = linkSuite("quitter");
    suite.clock.now = new Date();
    const { url, id: linkId } = await suite.link("big.bin", "upload");
    const given = await begin(suite, url, 5);
    expect((await suite.open(`${url}?upload=${given}`, { method: "DELETE" })).status).toBe(200);
    expect((await sendPart(suite, url, given, 1, bytes(5))).status).toBe(404);
    const fresh = await begin(suite, url, 5);
    suite.clock.now = new Date(suite.clock.now.getTime() - 25 * 60 * 60 * 1_000);
    const forgotten = await begin(suite, url, 5);
    const found = await suite.account.findUpload(forgotten, linkId);
    await sendPart(suite, url, forgotten, 1, bytes(5));
    await runDurableObjectAlarm(suite.account);
    expect(await suite.account.findUpload(forgotten, linkId)).toBeUndefined();
    expect(await suite.account.findUpload(fresh, linkId)).toBeDefined();
    const { key = "", bucketUploadId = "" } = found?.upload ?? {};
    await expect(env.FILES.resumeMultipartUpload(key, bucketUploadId).uploadPart(1, "late")).rejects.toThrow("10024");
  });

  test("of what does not fit beside all that is there and under way is refused before it is sent", async () => {
    const usage = { filesBytes: 100, trashBytes: 50, quotaBytes: 1_000 };
    const suite = linkSuite("full", () => usage);
    const { url } = await suite.link("inbox/", "upload");
    await begin(suite, `${url}a`, 500);
    const refused = await suite.open(`${url}b?uploads&size=351`, { method: "POST" });
    expect([refused.status, await textOf(refused)]).toEqual([
      507,
      "There is no room for a file of that size; ask for some to be made.\n",
    ]);
    await begin(suite, `${url}b`, 350);
    const many = linkSuite("many");
    const link = await many.link("inbox/", "upload");
    for (let count = 0; count < MAX_OPEN_UPLOADS; count += 1) await begin(many, `${link.url}a`, 1);
    expect((await many.open(`${link.url}a?uploads&size=1`, { method: "POST" })).status).toBe(507);
  });

  test.each([
    ["?uploads", "POST"],
    ["?uploads&size=0", "POST"],
    ["?uploads&size=-1", "POST"],
    ["?uploads&size=4294967297", "POST"],
    ["?uploads&size=1e99", "POST"],
    ["?uploads&size=x", "POST"],
    ["", "POST"],
    ["", "DELETE"],
  ])("asked for by %s with %s is told what is wrong", async (query, method) => {
    const suite = linkSuite("asker");
    const { url } = await suite.link("a.bin", "upload");
    const response = await suite.open(url + query, { method });
    expect([response.status, await textOf(response)]).toEqual([400, expect.stringMatching(/^[A-Zs].*\.\n$/)]);
  });
});

describe("a link for a folder", () => {
  test("takes files under their own names, which are names and nothing else", async () => {
    const suite = linkSuite("folder");
    const { url } = await suite.link("inbox/", "upload");
    for (const name of ["plain.txt", "caf\u00e9.txt", "cafe\u0301.txt", "100%.txt", "a b?.txt"]) {
      const saved = await suite.open(url + encodeURIComponent(name), { method: "PUT", body: name });
      expect(saved.status).toBe(201);
    }
    expect((await keysOf(suite)).toSorted()).toEqual(
      ["100%.txt", "a b?.txt", "caf\u00e9.txt", "plain.txt"].map((name) => `files/inbox/${name}`),
    );
    for (const [name, status] of [
      ["", 400],
      // By these a URL goes up, away from the link.
      ["..", 404],
      ["%2E%2E", 404],
      ["%2e%2e%2fup.txt", 400],
      ["a%2fb.txt", 400],
      ["%5Cup.txt", 400],
      ["a%00.txt", 400],
      ["x".repeat(2_000), 400],
    ] as const) {
      expect([name, (await suite.open(url + name, { method: "PUT", body: "x" })).status]).toEqual([name, status]);
    }
    expect(await keysOf(suite)).toHaveLength(4);
  });

  test("tells nobody how full the workspace is that has no room for a file", async () => {
    const suite = linkSuite("no-room");
    await suite.files.write("a.txt", "a");
    const { url } = await suite.link("inbox/", "upload");
    await runInDurableObject(suite.account, (_account, { storage }) => {
      storage.sql.exec("UPDATE storage SET files_bytes = 10240 * 1024 * 1024, recount_at_ms = NULL");
    });
    const refused = await suite.open(`${url}b.txt`, { method: "PUT", body: "b" });
    expect([refused.status, await textOf(refused)]).toEqual([
      507,
      "There is no room for a file of that size; ask for some to be made.\n",
    ]);
  });

  test("lets in so many and no more", async () => {
    const suite = linkSuite("crowd");
    const { url, id } = await suite.link("inbox/", "upload");
    expect((await suite.open(`${url}a`, { method: "PUT", body: "a" })).status).toBe(201);
    expect(await suite.account.findLink(id)).toMatchObject({ filesIn: 1 });
    await runInDurableObject(suite.account, (_account, { storage }) => {
      storage.sql.exec("UPDATE share_links SET files_in = 1000 WHERE id = ?", id);
    });
    expect((await suite.open(`${url}b`, { method: "PUT", body: "b" })).status).toBe(507);
    expect((await suite.open(`${url}b?uploads&size=1`, { method: "POST" })).status).toBe(507);
    expect(await keysOf(suite)).toEqual(["files/inbox/a"]);
  });
});

describe("the page of an upload link", () => {
  test("names what the link lets in, as text, and runs its own script alone", async () => {
    const suite = linkSuite("page");
    const { url } = await suite.link("inbox/<img src=x onerror=alert(1)>/", "upload");
    const page = await suite.open(url);
    const markup = await textOf(page);
    expect(page.status).toBe(200);
    expect(markup).toContain("inbox/&lt;img src=x onerror=alert(1)&gt;/");
    expect(markup).not.toContain("<img");
    expect(markup).toContain(`curl -T FILE '${url}'`);
    const policy = page.headers.get("Content-Security-Policy") ?? "";
    const [, nonce = ""] = /script-src 'nonce-([0-9a-f]{32})'/.exec(policy) ?? [];
    expect(markup.match(/<script[^>]*>/g)).toEqual([`<script nonce="${nonce}" src="/u/upload.js" defer>`]);
    expect(policy.split("; ").toSorted()).toEqual([
      "base-uri 'none'",
      "connect-src 'self'",
      "default-src 'none'",
      "form-action 'none'",
      "frame-ancestors 'none'",
      `script-src 'nonce-${nonce}'`,
      `style-src 'nonce-${nonce}'`,
    ]);
    expect(page.headers.get("Referrer-Policy")).toBe("no-referrer");
    expect(page.headers.get("Cache-Control")).toBe("no-store");
    const script = await suite.open("http://localhost:8717/u/upload.js");
    expect(script.headers.get("Content-Type")).toBe("text/javascript; charset=utf-8");
  });

  test("alone may send by it: no page of another origin, and none that hides its own", async () => {
    const suite = linkSuite("origin");
    const { url } = await suite.link("a.txt", "upload");
    const put = async (origin: string) =>
      (await suite.open(url, { method: "PUT", body: "a", headers: { Origin: origin } })).status;
    expect(await put("http://localhost:3000")).toBe(403);
    expect(await put("https://evil.example")).toBe(403);
    expect(await put("null")).toBe(403);
    expect(await keysOf(suite)).toEqual([]);
    expect(await put("http://localhost:8717")).toBe(201);
    expect((await suite.open(url, { method: "OPTIONS" })).status).toBe(405);
  });

  test("sends what leaves an entry in the books of the link's person", async () => {
    const suite = linkSuite("books");
    const { url, id } = await suite.link("a.txt", "upload");
    await suite.open(url, { method: "PUT", body: "a" });
    await suite.settle();
    expect(await suite.account.listAudit(10)).toMatchObject([
      { tool: "files_share/upload", outcome: "ok", clientId: `link:${id}` },
    ]);
  });
});

import { runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { describe, expect, test } from "vitest";
import { answerMount } from "../../container/mount/mount.ts";
import { trashPrefix } from "../../servers/shared/paths.ts";
import { accountOf, openFiles, textOf } from "./open-files.ts";

/** The requests that s3fs 1.90 sends, recorded from it: test/container/mount.test.ts runs it itself where it is. */
function openMount(userId: string, bucket: R2Bucket = env.FILES) {
  const files = openFiles(userId, { bucket });
  const told: string[] = [];
  const ask = async (method: string, target: string, init: Omit<RequestInit, "method"> = {}): Promise<Response> =>
    await answerMount(
      new Request(`http://r2.internal/FILES/${target}`, { ...init, method }),
      { bucket, files, account: accountOf(userId) },
      async (path, { code }) => {
        await Promise.resolve(told.push(`${path}: ${code}`));
      },
    );
  const put = async (path: string, text: string, headers: Readonly<Record<string, string>> = {}): Promise<Response> => {
    const body = text === "" ? {} : { body: text };
    const length = String(new TextEncoder().encode(text).length);
    return await ask("PUT", path, { ...body, headers: { "Content-Length": length, ...headers } });
  };
  const rename = async (from: string, to: string): Promise<void> => {
    const headers = { "x-amz-copy-source": `/FILES/${from}`, "x-amz-metadata-directive": "REPLACE" };
    expect((await put(to, "", headers)).status).toBe(200);
    expect((await ask("DELETE", from)).status).toBe(204);
  };
  const trash = async () =>
    (await files.listTrash({ limit: 100 })).map(({ path, sizeBytes }) => `${path} ${sizeBytes}`);
  return { files, ask, put, rename, told, trash };
}

async function read(files: ReturnType<typeof openFiles>, path: string): Promise<string> {
  return await textOf((await files.read(path)).body);
}

describe("what s3fs asks for", () => {
  test("a file is created without its bytes, then with them; only what was there before goes to the trash", async () => {
    const { files, put, trash } = openMount("mount-writer");
    await files.write("a.txt", "before");
    for (const text of ["", "after"]) expect((await put("a.txt", text)).status).toBe(200);
    expect(await read(files, "a.txt")).toBe("after");
    expect(await trash()).toEqual(["a.txt 6"]);
    expect(await files.usage()).toMatchObject({ filesBytes: 5, trashBytes: 6 });
  });

  test("steps of one save are no versions; what does not go on with them is one", async () => {
    const { files, put, trash } = openMount("mount-steps");
    const long = "x".repeat(1_100_000);
    for (const text of ["1", "12", `12${long}`, `12${long}${long}`]) await put("out.txt", text);
    expect(await trash()).toEqual([]);
    await put("out.txt", `1_${long}${long}${long}`);
    expect(await trash()).toEqual([`out.txt ${2 + 2 * long.length}`]);
    await put("out.txt", "1");
    expect(await trash()).toHaveLength(2);
    const [{ id } = { id: "" }] = await files.listTrash({ limit: 1 });
    const kept = await textOf((await env.FILES.get(trashPrefix("mount-steps") + id))?.body ?? null);
    expect(kept).toBe(`1_${long}${long}${long}`);
  });

  test("what somebody else wrote is a version, even where the new content begins with it", async () => {
    const { files, put, trash } = openMount("mount-appender");
    await files.write("notes.md", "a note");
    await put("notes.md", "a note, and more");
    await put("notes.md", "a note, and more, and more");
    expect(await trash()).toEqual(["notes.md 6"]);
  });

  test("a file says what it is, and its bytes come in ranges", async () => {
    const { files, ask, put } = openMount("mount-reader");
    await files.write("plain.txt", "0123456789");
    await put("run.sh", "#!", { "x-amz-meta-mode": "33261", "x-amz-meta-mtime": "1000000000", "x-amz-meta-uid": "7" });
    const [plain, script] = [await ask("HEAD", "plain.txt"), await ask("HEAD", "run.sh")];
    expect([plain.headers.get("content-length"), plain.headers.get("x-amz-meta-mode")]).toEqual(["10", "33188"]);
    expect(["mode", "mtime", "uid"].map((name) => script.headers.get(`x-amz-meta-${name}`))).toEqual([
      "33261",
      "1000000000",
      "0",
    ]);
    const range = await ask("GET", "plain.txt", { headers: { Range: "bytes=8-99" } });
    expect([range.status, range.headers.get("content-range"), await range.text()]).toEqual([206, "bytes 8-9/10", "89"]);
    expect((await ask("HEAD", "nothing.txt")).status).toBe(404);
  });

  test("a rename moves: what is replaced goes to the trash, what is renamed does not", async () => {
    const { files, put, rename, trash } = openMount("mount-renamer");
    await files.write("doc.md", "old");
    await put("doc.md.tmp", "new text", { "x-amz-meta-mode": "33279" });
    await rename("doc.md.tmp", "doc.md");
    expect(await read(files, "doc.md")).toBe("new text");
    expect((await env.FILES.head(`${files.prefix}doc.md`))?.customMetadata).toMatchObject({ mode: "777" });
    await expect(files.stat("doc.md.tmp")).rejects.toMatchObject({ code: "not_found" });
    expect(await trash()).toEqual(["doc.md 3"]);
    expect(await files.usage()).toMatchObject({ filesBytes: 8, trashBytes: 3 });
  });

  test("a new mode is a copy of a file onto itself, and no new version", async () => {
    const { files, ask, put, trash } = openMount("mount-toucher");
    const { etag } = await files.write("a.txt", "same", { madeBy: { tool: "files_write" } });
    await put("a.txt", "", { "x-amz-copy-source": "/FILES/a.txt", "x-amz-meta-mode": "33152" });
    expect((await ask("HEAD", "a.txt")).headers.get("x-amz-meta-mode")).toBe("33152");
    expect(await files.stat("a.txt")).toMatchObject({ etag });
    expect((await env.FILES.head(`${files.prefix}a.txt`))?.customMetadata).toEqual({
      tool: "files_write",
      mode: "600",
    });
    expect(await trash()).toEqual([]);
  });

  test("a large file in parts is seen when it is whole, and what it replaces is kept", async () => {
    const { files, ask, trash } = openMount("mount-uploader");
    await files.write("big.bin", "small");
    const begun = await (await ask("POST", "big.bin?uploads", { headers: { "x-amz-meta-mode": "33261" } })).text();
    const id = /<UploadId>([^<]+)/.exec(begun)?.[1] ?? "";
    const pieces = [new Uint8Array(5 * 1024 * 1024).fill(1), new Uint8Array([2, 3])];
    const etags = [];
    for (const [index, body] of pieces.entries()) {
      const headers = { "Content-Length": String(body.length) };
      const answer = await ask("PUT", `big.bin?partNumber=${index + 1}&uploadId=${id}`, { body, headers });
      etags.push(answer.headers.get("etag"));
    }
    expect(await read(files, "big.bin")).toBe("small");
    const parts = etags.map((etag, index) => `<Part><PartNumber>${index + 1}</PartNumber><ETag>${etag}</ETag></Part>`);
    const body = `<CompleteMultipartUpload>${parts.join("\n")}</CompleteMultipartUpload>`;
    const headers = { "Content-Length": String(body.length) };
    expect((await ask("POST", `big.bin?uploadId=${id}`, { body, headers })).status).toBe(200);
    const { body: stored, sizeBytes } = await files.read("big.bin");
    expect(sizeBytes).toBe(5 * 1024 * 1024 + 2);
    expect((await new Response(stored).bytes()).slice(-3)).toEqual(new Uint8Array([1, 2, 3]));
    expect((await ask("HEAD", "big.bin")).headers.get("x-amz-meta-mode")).toBe("33261");
    expect(await trash()).toEqual(["big.bin 5"]);
    expect((await env.FILES.list({ prefix: "users/mount-uploader/uploads/" })).objects).toEqual([]);
  });

  test("parts of a file that nobody finishes, or that was joined and not put in place, are removed a day later", async () => {
    const { ask } = openMount("mount-quitter");
    const begin = async (name: string): Promise<string> =>
      /<UploadId>([^<]+)/.exec(await (await ask("POST", `${name}?uploads`)).text())?.[1] ?? "";
    const [half, finished] = [await begin("half.bin"), await begin("finished.bin")];
    const headers = { "Content-Length": "3" };
    await ask("PUT", `half.bin?partNumber=1&uploadId=${half}`, { body: "abc", headers });
    expect((await ask("DELETE", `finished.bin?uploadId=${finished}`)).status).toBe(204);
    const account = accountOf("mount-quitter");
    const rows = async () =>
      await runInDurableObject(account, (_, { storage }) => storage.sql.exec("SELECT path FROM uploads").toArray());
    expect(await rows()).toEqual([{ path: "half.bin" }]);
    await runInDurableObject(account, (_, { storage }) => storage.sql.exec("UPDATE uploads SET due_at_ms = 0"));
    await runDurableObjectAlarm(account);
    expect(await rows()).toEqual([]);
    expect((await ask("PUT", `half.bin?partNumber=2&uploadId=${half}`, { body: "abc", headers })).ok).toBe(false);
  });

  test("a large file is renamed by parts that are copies: all of them, or it is refused", async () => {
    const { files, ask, trash } = openMount("mount-large-renamer");
    await files.write("a.bin", "0123456789");
    const copy = async (...ranges: readonly string[]): Promise<number> => {
      const begun = await (await ask("POST", "b.bin?uploads")).text();
      const id = /<UploadId>([^<]+)/.exec(begun)?.[1] ?? "";
      const parts = await Promise.all(
        ranges.map(async (range, index) => {
          const headers = { "x-amz-copy-source": "/FILES/a.bin", "x-amz-copy-source-range": `bytes=${range}` };
          const answer = await ask("PUT", `b.bin?partNumber=${index + 1}&uploadId=${id}`, { headers });
          const etag = /<ETag>&quot;([^&]+)/.exec(await answer.text())?.[1];
          return `<Part><PartNumber>${index + 1}</PartNumber><ETag>${etag}</ETag></Part>`;
        }),
      );
      const body = parts.join("");
      const headers = { "Content-Length": String(body.length) };
      return (await ask("POST", `b.bin?uploadId=${id}`, { body, headers })).status;
    };
    expect([await copy("0-4"), await copy("5-9", "0-4"), await copy("0-4", "6-9")]).toEqual([400, 400, 400]);
    expect(await read(files, "a.bin")).toBe("0123456789");
    expect(await copy("0-4", "5-9")).toBe(200);
    expect(await read(files, "b.bin")).toBe("0123456789");
    expect((await ask("DELETE", "a.bin")).status).toBe(204);
    expect(await trash()).toEqual([]);
  });

  test("folders are objects that are no files, or are there by what they hold, and stay when that goes", async () => {
    const { files, ask, put } = openMount("mount-folders");
    await put("empty/", "", { "x-amz-meta-mode": "16877" });
    await files.write("held/by/file.txt", "x");
    const folder = await ask("HEAD", "held/by/");
    expect([folder.status, folder.headers.get("x-amz-meta-mode")]).toEqual([200, "16877"]);
    const listed = await (await ask("GET", "?delimiter=/&list-type=2&max-keys=1000&prefix=")).text();
    expect([...listed.matchAll(/<(Key|Prefix)>([^<]+)</g)].map(([, , name]) => name)).toEqual(["empty/", "held/"]);
    expect((await ask("DELETE", "held/by/file.txt")).status).toBe(204);
    expect((await ask("HEAD", "held/by/")).status).toBe(200);
    await ask("DELETE", "held/by/");
    expect((await ask("HEAD", "held/by/")).status).toBe(404);
    expect((await ask("HEAD", "held/")).status).toBe(200);
    expect((await files.list({ folder: "", recursive: true, limit: 10 })).files).toEqual([]);
  });

  test("a folder is listed page by page, whatever characters its names hold", async () => {
    const { files, ask } = openMount("mount-lister");
    const names = [`a & b <"'>.txt`, "ä+%20.txt", "z.txt"];
    for (const name of names) await files.write(`in/${name}`, name);
    // No name that files may have, and none that XML can say.
    await env.FILES.put(`${files.prefix}in/odd\uffff.txt`, "odd");
    const seen: string[] = [];
    let token: string | undefined = "";
    while (token !== undefined) {
      const more: string = token === "" ? "" : `continuation-token=${encodeURIComponent(token)}&`;
      const page: string = await (await ask("GET", `?${more}delimiter=/&list-type=2&max-keys=1&prefix=in/`)).text();
      seen.push(...[...page.matchAll(/<Key>([^<]+)</g)].map(([, key]) => unescape(key ?? "")));
      token = /<NextContinuationToken>([^<]+)/.exec(page)?.[1];
      expect(page).toContain(`<IsTruncated>${token !== undefined}<`);
    }
    expect(seen.toSorted()).toEqual(names.map((name) => `in/${name}`).toSorted());
    const answer = await ask("GET", `in/${encodeURIComponent(names[0] ?? "")}`);
    expect(await answer.text()).toBe(names[0]);
  });
});

describe("what is refused", () => {
  test("links, names that cannot be and what is too much for the quota, and each is told", async () => {
    const { put, ask, told, files } = openMount("mount-refused");
    expect((await put("link", "/etc", { "x-amz-meta-mode": "41471" })).status).toBe(403);
    expect((await put("a%5Cb", "x")).status).toBe(400);
    expect((await put("..%2f..%2fu10%2ffiles%2fa", "x")).status).toBe(400);
    expect((await ask("PUT", "no-length", { body: new Blob(["x"]).stream() })).status).toBe(400);
    const headers = { "Content-Length": String(20 * 1024 ** 3) };
    expect((await ask("PUT", "huge", { body: "x", headers })).status).toBe(507);
    expect((await ask("HEAD", "a%5Cb")).status).toBe(404);
    expect((await ask("GET", "%ff")).status).toBe(400);
    expect(told.map((line) => line.split(": ")[1])).toEqual([
      ...["forbidden", "invalid_input", "invalid_input", "invalid_input", "limit_reached"],
    ]);
    expect((await files.list({ folder: "", recursive: true, limit: 10 })).files).toEqual([]);
  });

  test("one person's mount shows nothing of another's whose name begins the same", async () => {
    const [mine, theirs] = [openMount("mu1"), openMount("mu10")];
    await theirs.files.write("secret.txt", "theirs");
    for (const path of ["0/files/secret.txt", "../mu10/files/secret.txt", "..%2f..%2fmu10%2ffiles%2fsecret.txt"]) {
      expect((await mine.ask("GET", path)).status).toBe(404);
      expect((await mine.put("copy.txt", "", { "x-amz-copy-source": `/FILES/${path}` })).ok).toBe(false);
    }
    const listed = await (await mine.ask("GET", "?list-type=2&prefix=../mu10/")).text();
    expect(listed).not.toContain("secret");
  });

  test("a bucket that does not answer is one to ask again, and the call is told", async () => {
    const fail = async (): Promise<never> => await Promise.reject(new Error("R2 is away"));
    const away = new Proxy(env.FILES, { get: () => fail });
    const { ask, put, told } = openMount("mount-away", away);
    expect((await ask("HEAD", "a.txt")).status).toBe(503);
    expect((await put("a.txt", "x")).status).toBe(503);
    expect(told).toEqual(["a.txt: unavailable", "a.txt: unavailable"]);
  });
});

function unescape(text: string): string {
  return text.replaceAll("&lt;", "<").replaceAll("&gt;", ">").replaceAll("&quot;", '"').replaceAll("&amp;", "&");
}

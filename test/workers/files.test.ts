import { env } from "cloudflare:workers";
import { describe, expect, test } from "vitest";
import { createShareLinks, serveShareLink } from "../../servers/files/share-link.ts";
import { ToolError } from "../../servers/shared/errors.ts";
import { openFiles, textOf } from "./open-files.ts";

const SETTINGS = {
  publicUrl: "http://localhost:8717",
  signingSecret: "share-links-are-signed-with-this",
  now: () => new Date("2026-11-22T12:00:00Z"),
};

function storeOf(userId: string) {
  return openFiles(userId);
}

describe("a caller's files", () => {
  test("what was written is read back, with its type by its name", async () => {
    const files = storeOf("reader");
    const written = await files.write("notes/today.md", "# Today");
    expect(written).toMatchObject({ path: "notes/today.md", sizeBytes: 7, mimeType: "text/markdown" });
    const { body, ...info } = await files.read("notes/today.md");
    expect(await textOf(body)).toBe("# Today");
    expect(info).toEqual(written);
  });

  test("one caller's prefix is not the beginning of another's", async () => {
    await storeOf("u10").write("secret.txt", "theirs");
    const page = await storeOf("u1").list({ folder: "", recursive: true, limit: 100 });
    expect(page.files).toEqual([]);
    await expect(storeOf("u1").read("0/files/secret.txt")).rejects.toMatchObject({ code: "not_found" });
  });

  test("a folder lists its own files and folders, page by page", async () => {
    const files = storeOf("lister");
    for (const path of ["a/1.txt", "a/2.txt", "a/b/3.txt", "c.txt"]) await files.write(path, path);
    const top = await files.list({ folder: "", recursive: false, limit: 100 });
    expect([top.folders, top.files.map(({ path }) => path)]).toEqual([["a/"], ["c.txt"]]);
    const first = await files.list({ folder: "a", recursive: true, limit: 2 });
    const second = await files.list({
      folder: "a",
      recursive: true,
      limit: 2,
      ...(first.cursor === undefined ? {} : { cursor: first.cursor }),
    });
    expect([...first.files, ...second.files].map(({ path }) => path)).toEqual(["a/1.txt", "a/2.txt", "a/b/3.txt"]);
  });

  test("a write that expects another version is refused and changes nothing", async () => {
    const files = storeOf("careful");
    const { etag } = await files.write("plan.txt", "one");
    await expect(files.write("plan.txt", "two", { createOnly: true })).rejects.toMatchObject({ code: "conflict" });
    await files.write("plan.txt", "two", { ifMatch: etag });
    await expect(files.write("plan.txt", "three", { ifMatch: etag })).rejects.toMatchObject({ code: "conflict" });
    expect(await textOf((await files.read("plan.txt")).body)).toBe("two");
  });

  test("a stream whose write is refused leaves the old file", async () => {
    const files = storeOf("refused");
    await files.write("data.bin", "old");
    const { body } = new Response("new".repeat(100_000));
    if (body === null) throw new Error("A response with a text has a body.");
    const write = files.write("data.bin", { body, sizeBytes: 300_000 }, { createOnly: true });
    await expect(write).rejects.toMatchObject({ code: "conflict" });
    expect(await textOf((await files.read("data.bin")).body)).toBe("old");
  });

  test("a stream shorter than it claims is an error and leaves the old file", async () => {
    const files = storeOf("streamer");
    await files.write("data.bin", "old");
    const short = new Response("abc").body;
    if (short === null) throw new Error("A response with a text has a body.");
    await expect(files.write("data.bin", { body: short, sizeBytes: 10 })).rejects.toBeInstanceOf(ToolError);
    expect(await textOf((await files.read("data.bin")).body)).toBe("old");
  });
});

describe("share links", () => {
  async function share(userId: string, path: string, content: string) {
    const files = storeOf(userId);
    await files.write(path, content);
    return await createShareLinks(userId, files, SETTINGS).create({ path, purpose: "download", expiresInSeconds: 60 });
  }

  const open = async (url: string, now = SETTINGS.now) =>
    await serveShareLink(new Request(url), env.FILES, { ...SETTINGS, now });

  test("an HTML page is served without scripts and without our origin", async () => {
    const { url } = await share("sharer", "page.html", "<script>alert(1)</script>");
    const response = await open(url);
    expect(response.status).toBe(200);
    expect(await response.text()).toBe("<script>alert(1)</script>");
    const policy = response.headers.get("Content-Security-Policy") ?? "";
    expect(policy.split("; ")).toContain("sandbox");
    expect(policy.split("; ")).toContain("default-src 'none'");
    expect(policy).not.toMatch(/allow-|script-src/);
    expect(response.headers.get("X-Content-Type-Options")).toBe("nosniff");
  });

  test("a link that is changed, expired or without its file says no more than that it does not work", async () => {
    const { url, expiresAt } = await share("sharer2", "a.txt", "text");
    const answers = [
      await open(url.replace("/s/e", "/s/f")),
      await open(url.replace(/\.(.)/g, (_, first: string) => `.${first === "A" ? "B" : "A"}`)),
      await open(`${SETTINGS.publicUrl}/s/nonsense`),
      await open(url, () => expiresAt),
    ];
    await storeOf("sharer2").remove("a.txt");
    answers.push(await open(url));
    expect(answers.map(({ status }) => status)).toEqual([404, 404, 404, 404, 404]);
    expect(new Set(await Promise.all(answers.map(async (answer) => await answer.text()))).size).toBe(1);
  });

  test("what a browser could run as a program is downloaded instead of shown", async () => {
    const { url } = await share("sharer3", "tool.exe", "MZ");
    expect((await open(url)).headers.get("Content-Disposition")).toBe("attachment; filename*=UTF-8''tool.exe");
  });
});

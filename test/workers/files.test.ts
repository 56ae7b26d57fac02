import { describe, expect, test } from "vitest";
import { ToolError } from "../../servers/shared/errors.ts";
import { openFiles, textOf } from "./open-files.ts";

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

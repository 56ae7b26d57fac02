import { env } from "cloudflare:workers";
import { expect, test } from "vitest";
import type { FilePage, FileStore, ListOptions } from "../../servers/files/store.ts";
import { openFiles, watchBucket } from "./open-files.ts";

type Query = Omit<ListOptions, "cursor">;

/** Every page of a listing, as the names that it shows. */
async function pagesOf(files: FileStore, query: Query): Promise<string[][]> {
  const pages: string[][] = [];
  let cursor: string | undefined;
  do {
    const page: FilePage = await files.list({ ...query, ...(cursor === undefined ? {} : { cursor }) });
    pages.push([...page.folders, ...page.files.map(({ path }) => path)]);
    cursor = page.cursor;
  } while (cursor !== undefined);
  return pages;
}

async function fill(files: FileStore, paths: readonly string[]): Promise<void> {
  for (const path of paths) await env.FILES.put(files.prefix + path, path);
}

test("a folder of files and folders is whole, whatever the pages, each folder once", async () => {
  const files = openFiles("l-mixed");
  await fill(files, ["a.txt", "b/1", "b/2", "b/c/3", "b-.txt", "b0.txt", "c/4", "d.txt", "é/5", "😀/6", "ﬀ.txt"]);
  const top = ["a.txt", "b-.txt", "b/", "b0.txt", "c/", "d.txt", "é/", "ﬀ.txt", "😀/"];
  for (const limit of [1, 2, 3, 4, 100]) {
    const pages = await pagesOf(files, { folder: "", recursive: false, limit });
    expect(pages.every((page) => page.length <= limit)).toBe(true);
    expect(pages.flat().toSorted()).toEqual(top.toSorted());
  }
  expect(await pagesOf(files, { folder: "/b/", recursive: false, limit: 2 })).toEqual([["b/1", "b/2"], ["b/c/"]]);
  const all = (await pagesOf(files, { folder: "", recursive: true, limit: 3 })).flat();
  expect(all).toHaveLength(11);
  expect(new Set(all).size).toBe(11);
});

test("a folder of files alone is listed without asking R2 for folders, page by page", async () => {
  const userId = "l-flat";
  const asked: unknown[] = [];
  const bucket = watchBucket((_, options) => void asked.push(options));
  const files = openFiles(userId, { bucket });
  const names = Array.from({ length: 25 }, (_, index) => `f/${String(index).padStart(2, "0")}.txt`);
  await fill(files, names);
  expect((await pagesOf(files, { folder: "f", recursive: false, limit: 10 })).flat()).toEqual(names);
  expect(asked).toHaveLength(3);
  for (const options of asked) expect(options).not.toHaveProperty("delimiter");
});

test("an object that only marks a folder is a folder and no file", async () => {
  const files = openFiles("l-marker");
  await fill(files, ["empty/", "full/", "full/a.txt"]);
  expect(await pagesOf(files, { folder: "", recursive: false, limit: 10 })).toEqual([["empty/", "full/"]]);
  expect(await pagesOf(files, { folder: "", recursive: true, limit: 10 })).toEqual([["full/a.txt"]]);
  expect(await pagesOf(files, { folder: "empty", recursive: false, limit: 10 })).toEqual([[]]);
});

test("another person's cursor leads to nothing of theirs", async () => {
  const [mine, theirs] = [openFiles("u1"), openFiles("u10")];
  await fill(mine, ["a.txt", "z.txt"]);
  await fill(theirs, ["m.txt", "n.txt", "secret.txt"]);
  const { cursor } = await theirs.list({ folder: "", recursive: true, limit: 1 });
  if (cursor === undefined) throw new Error("There is a second page.");
  const page = await mine.list({ folder: "", recursive: true, limit: 10, cursor });
  expect(page.files.map(({ path }) => path)).toEqual(["z.txt"]);
});

test("a cursor that is none, or of another folder, is refused", async () => {
  const files = openFiles("l-cursors");
  await fill(files, ["a/1", "a/2", "b/1"]);
  const { cursor } = await files.list({ folder: "a", recursive: false, limit: 1 });
  const encode = (value: unknown) => btoa(JSON.stringify(value)).replaceAll("+", "-").replaceAll("/", "_");
  const wrong: [string, string][] = [
    ["b", cursor ?? ""],
    ["a", ""],
    ["a", "nonsense"],
    ["a", "%%%"],
    ["a", encode("a/")],
    ["a", encode(["a/", ""])],
    ["a", encode(["a/", 1])],
    ["a", encode(["a/", "1", "2"])],
    ["a", encode(["a/", "x".repeat(2_000)])],
    ["a", encode({ folder: "a/", after: "1" })],
  ];
  for (const [folder, given] of wrong) {
    const listed = files.list({ folder, recursive: false, limit: 10, cursor: given });
    await expect(listed, given).rejects.toMatchObject({ code: "invalid_input" });
  }
});

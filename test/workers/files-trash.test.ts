import { runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { describe, expect, test } from "vitest";
import { StorageKeeper } from "../../servers/account/storage-keeper.ts";
import type { FileStore } from "../../servers/files/store.ts";
import { filesPrefix, trashPrefix } from "../../servers/shared/paths.ts";
import { accountOf, openFiles, textOf, watchBucket } from "./open-files.ts";

async function read(files: FileStore, path: string): Promise<string> {
  return await textOf((await files.read(path)).body);
}

/** What the trash holds, by its bytes. */
async function trashed(files: FileStore, userId: string): Promise<string[]> {
  const versions = await files.listTrash({ limit: 1_000 });
  const objects = await Promise.all(versions.map(async ({ id }) => await env.FILES.get(trashPrefix(userId) + id)));
  return await Promise.all(objects.map(async (object) => await textOf(object?.body ?? null)));
}

/** A stream that is too long to be held in memory. */
function largeStream(letter: string): { body: ReadableStream<Uint8Array>; sizeBytes: number } {
  const bytes = new TextEncoder().encode(letter.repeat(1024 * 1024 + 1));
  return { body: new Blob([bytes]).stream(), sizeBytes: bytes.length };
}

describe("overwriting", () => {
  test("what is replaced is in the trash, and comes back with its type and what made it", async () => {
    const files = openFiles("replacer");
    const first = await files.write("a.dat", "one", { mimeType: "text/x-first", madeBy: { tool: "test" } });
    await files.write("a.dat", "two two");
    const [version, ...others] = await files.listTrash({ limit: 10 });
    expect(others).toEqual([]);
    expect(version).toMatchObject({ path: "a.dat", sizeBytes: 3, reason: "replaced" });
    expect(await files.usage()).toMatchObject({ filesBytes: 7, trashBytes: 3 });

    await expect(files.restore({ path: "a.dat" })).rejects.toMatchObject({ code: "conflict" });
    const restored = await files.restore({ path: "a.dat" }, { replace: true });
    expect(restored).toMatchObject({ etag: first.etag, mimeType: "text/x-first" });
    expect((await env.FILES.head(`${files.prefix}a.dat`))?.customMetadata).toEqual({ tool: "test" });
    expect(await trashed(files, "replacer")).toEqual(["two two"]);
    expect(await files.usage()).toMatchObject({ filesBytes: 3, trashBytes: 7 });
  });

  test("the same bytes again are no new version, but may be told another type", async () => {
    const files = openFiles("repeater");
    await files.write("a.txt", "same");
    expect(await files.write("a.txt", "same", { mimeType: "text/x-same" })).toMatchObject({ mimeType: "text/x-same" });
    expect(await files.listTrash({ limit: 10 })).toEqual([]);
    expect(await files.usage()).toMatchObject({ filesBytes: 4, trashBytes: 0 });
  });

  test("whoever write at once lose nothing: every version but the last is in the trash", async () => {
    const stores = Array.from({ length: 6 }, () => openFiles("racers"));
    const [files] = stores;
    if (files === undefined) throw new Error("There are stores.");
    const contents = Array.from({ length: 12 }, (_, index) => `version ${index}`);
    await Promise.all(contents.map(async (content, index) => await stores[index % 6]?.write("race.txt", content)));
    const kept = [await read(files, "race.txt"), ...(await trashed(files, "racers"))];
    expect(kept.toSorted()).toEqual(contents.toSorted());
  });

  test("large streams that cross lose nothing: one is refused, and what was there is in the trash", async () => {
    const files = openFiles("large-racers");
    await files.write("big.bin", largeStream("o"));
    const ends = await Promise.allSettled([
      files.write("big.bin", largeStream("a")),
      files.write("big.bin", largeStream("b")),
      files.write("big.bin", largeStream("c")),
    ]);
    for (const end of ends.filter(({ status }) => status === "rejected")) {
      expect(end).toMatchObject({ reason: { code: "conflict" } });
    }
    const written = ["a", "b", "c"].filter((_, index) => ends[index]?.status === "fulfilled");
    const kept = [await read(files, "big.bin"), ...(await trashed(files, "large-racers"))];
    expect(kept.map((text) => text.slice(0, 1)).toSorted()).toEqual(["o", ...written].toSorted());
    expect(new Set(kept.map((text) => text.length))).toEqual(new Set([1024 * 1024 + 1]));
  });
});

describe("deleting", () => {
  test("a deleted file comes back from the trash by its path, newest version first", async () => {
    const files = openFiles("deleter");
    await files.write("notes/a.txt", "one");
    await files.remove("notes/a.txt");
    await files.write("notes/a.txt", "two");
    await files.remove("notes/a.txt");
    await expect(files.stat("notes/a.txt")).rejects.toMatchObject({ code: "not_found" });
    expect(await files.usage()).toMatchObject({ filesBytes: 0, trashBytes: 6 });
    expect(await files.restore({ path: "/notes/a.txt" })).toMatchObject({ path: "notes/a.txt", sizeBytes: 3 });
    expect(await read(files, "notes/a.txt")).toBe("two");
    expect(await trashed(files, "deleter")).toEqual(["one"]);
    expect(await files.usage()).toMatchObject({ filesBytes: 3, trashBytes: 3 });
  });

  test("only a file that is still what it was is deleted, where that is asked for", async () => {
    const files = openFiles("careful-deleter");
    const { etag } = await files.write("a.txt", "one");
    await files.write("a.txt", "two");
    await files.remove("a.txt", { ifMatch: etag });
    expect(await read(files, "a.txt")).toBe("two");
    await files.remove("nothing.txt");
    expect(await trashed(files, "careful-deleter")).toEqual(["one"]);
  });

  test("deleting and writing at once lose nothing", async () => {
    const files = openFiles("crossers");
    const contents = Array.from({ length: 10 }, (_, index) => `version ${index}`);
    await files.write("a.txt", "first");
    const [writes, removals] = await Promise.all([
      Promise.allSettled(contents.map(async (content) => await files.write("a.txt", content))),
      Promise.allSettled(contents.map(async () => await openFiles("crossers").remove("a.txt"))),
    ]);
    // Whoever never gets in between is told so.
    for (const end of [...writes, ...removals].filter(({ status }) => status === "rejected")) {
      expect(end).toMatchObject({ reason: { code: "conflict" } });
    }
    const written = contents.filter((_, index) => writes[index]?.status === "fulfilled");
    expect(written).not.toEqual([]);
    await files.remove("a.txt");
    expect((await trashed(files, "crossers")).toSorted()).toEqual(["first", ...written].toSorted());
    expect(await files.usage()).toMatchObject({ filesBytes: 0 });
  });

  test("nobody begins to write between the look at a file and its end", async () => {
    const userId = "late-writer";
    const etag = (await env.FILES.put(`${filesPrefix(userId)}a.txt`, "one"))?.etag ?? "";
    const order = await runInDurableObject(accountOf(userId), async (_account, { storage }) => {
      const order: string[] = [];
      let writing: Promise<unknown> = Promise.resolve();
      const bucket = watchBucket(async (method) => {
        if (method !== "delete") return;
        const change = { id: "writing", userId, path: "a.txt", growsBytes: 3, writes: true };
        writing = keeper.begin(change).then(() => order.push("begun"));
        await scheduler.wait(20);
        order.push("ended");
      });
      const keeper = new StorageKeeper(storage.sql, bucket, () => ({ FILES_QUOTA_MB: 1 }));
      keeper.state(userId);
      order.push(await keeper.delete("deleting", { path: "a.txt", etag }, { filesBytes: -3 }));
      await writing;
      return order;
    });
    expect(order[0]).toBe("ended");
    expect(order.toSorted()).toEqual(["begun", "deleted", "ended"]);
  });

  test("the trash is told for a folder, a file or all, newest first", async () => {
    const files = openFiles("lister-of-trash");
    for (const path of ["a.txt", "b/1.txt", "b/c/2.txt", "b0.txt", "bb/3.txt"]) {
      await files.write(path, path);
      await files.remove(path);
    }
    const below = async (folder: string) =>
      (await files.listTrash({ below: folder, limit: 10 })).map(({ path }) => path).toSorted();
    expect(await below("b/")).toEqual(["b/1.txt", "b/c/2.txt"]);
    expect(await below("/b")).toEqual(["b/1.txt", "b/c/2.txt"]);
    expect(await below("b/1.txt")).toEqual(["b/1.txt"]);
    expect(await below("")).toHaveLength(5);
    expect((await files.listTrash({ limit: 1 })).map(({ path }) => path)).toEqual(["bb/3.txt"]);
  });

  test("what is emptied from the trash is gone for good, and frees its bytes", async () => {
    const files = openFiles("emptier");
    for (const content of ["1", "22", "333", "4444"]) await files.write("a.txt", content);
    const [newest] = await files.listTrash({ limit: 1 });
    expect(await files.emptyTrash(newest?.id)).toEqual({ freedBytes: 3 });
    await expect(files.emptyTrash(newest?.id)).rejects.toMatchObject({ code: "not_found" });
    expect(await files.emptyTrash()).toEqual({ freedBytes: 3 });
    expect((await env.FILES.list({ prefix: trashPrefix("emptier") })).objects).toEqual([]);
    expect(await files.usage()).toMatchObject({ filesBytes: 4, trashBytes: 0 });
    await expect(files.restore({ path: "a.txt" })).rejects.toMatchObject({ code: "not_found" });
  });

  test("one person's trash is not another's, whatever id is given", async () => {
    const files = openFiles("u1");
    await files.write("a.txt", "theirs");
    await files.remove("a.txt");
    const [version] = await files.listTrash({ limit: 1 });
    const others = openFiles("u10");
    expect(await others.listTrash({ limit: 10 })).toEqual([]);
    await expect(others.restore({ id: version?.id ?? "" })).rejects.toMatchObject({ code: "not_found" });
    await expect(others.emptyTrash(version?.id)).rejects.toMatchObject({ code: "not_found" });
    expect(await trashed(files, "u1")).toEqual(["theirs"]);
  });
});

describe("copying and moving", () => {
  test("a copy keeps type and maker; what it replaces goes to the trash", async () => {
    const files = openFiles("copier");
    await files.write("a.dat", "source", { mimeType: "text/x-source", madeBy: { tool: "test" } });
    await files.write("b/c.dat", "old");
    await expect(files.copy("a.dat", "b/c.dat")).rejects.toMatchObject({ code: "conflict" });
    expect(await files.copy("a.dat", "b/c.dat", { replace: true })).toMatchObject({
      path: "b/c.dat",
      mimeType: "text/x-source",
    });
    expect((await env.FILES.head(`${files.prefix}b/c.dat`))?.customMetadata).toEqual({ tool: "test" });
    expect([await read(files, "a.dat"), await read(files, "b/c.dat")]).toEqual(["source", "source"]);
    expect(await trashed(files, "copier")).toEqual(["old"]);
    expect(await files.usage()).toMatchObject({ filesBytes: 12, trashBytes: 3 });
  });

  test("a moved file is at its new place alone, however large it is", async () => {
    const files = openFiles("mover");
    await files.write("a.bin", largeStream("a"));
    await files.move("a.bin", "far/away.bin");
    await expect(files.stat("a.bin")).rejects.toMatchObject({ code: "not_found" });
    expect(await read(files, "far/away.bin")).toBe("a".repeat(1024 * 1024 + 1));
    expect(await files.listTrash({ limit: 10 })).toEqual([]);
    expect(await files.usage()).toMatchObject({ filesBytes: 1024 * 1024 + 1, trashBytes: 0 });
  });

  test("of two moves of a file at once, the one that comes second says that it is gone and where it is now", async () => {
    const files = openFiles("two-movers");
    await files.write("a.txt", "a");
    const bucket = watchBucket(async (method, key) => {
      if (method === "put" && key === `${files.prefix}second.txt`) await files.move("a.txt", "first.txt");
    });
    const second = openFiles("two-movers", { bucket }).move("a.txt", "second.txt");
    await expect(second).rejects.toMatchObject({
      code: "conflict",
      message: expect.stringMatching(/^Somebody else changed, moved or deleted a\.txt meanwhile.* at second\.txt/),
    });
    const { files: all } = await files.list({ folder: "", recursive: true, limit: 100 });
    expect(all.map(({ path }) => path)).toEqual(["first.txt", "second.txt"]);
    expect(await files.usage()).toMatchObject({ filesBytes: 2, trashBytes: 0 });
  });

  test("places that cannot be are refused by what is wrong with them, and nothing changes", async () => {
    const files = openFiles("misplacer");
    await files.write("a.txt", "a");
    await files.write("folder/b.txt", "b");
    await expect(files.move("a.txt", "./a.txt")).rejects.toMatchObject({ code: "invalid_input" });
    await expect(files.move("a.txt", "/a.txt")).rejects.toThrow(/at that place already/);
    await expect(files.move("a.txt", "folder")).rejects.toThrow(/folder is a folder; name the file in it/);
    await expect(files.move("a.txt", "folder/b.txt/c.txt")).rejects.toThrow(/folder\/b\.txt is a file/);
    await expect(files.copy("nothing.txt", "c.txt")).rejects.toMatchObject({ code: "not_found" });
    const { files: all } = await files.list({ folder: "", recursive: true, limit: 100 });
    expect(all.map(({ path }) => path)).toEqual(["a.txt", "folder/b.txt"]);
    expect(await files.listTrash({ limit: 10 })).toEqual([]);
  });
});

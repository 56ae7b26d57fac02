import { env } from "cloudflare:workers";
import { evictDurableObject, runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { describe, expect, test } from "vitest";
import { armAlarm } from "../../servers/account/chores.ts";
import { StorageLedger } from "../../servers/account/storage-ledger.ts";
import { storageChores } from "../../servers/account/storage-upkeep.ts";
import { filesPrefix, trashPrefix } from "../../servers/shared/paths.ts";
import { accountOf, accountThat, openFiles, textOf, watchBucket } from "./open-files.ts";

const DAY_MS = 24 * 60 * 60_000;

async function sql(userId: string, query: string, ...bindings: readonly (string | number)[]): Promise<unknown[]> {
  return await runInDurableObject(accountOf(userId), (_, { storage }) =>
    storage.sql.exec(query, ...bindings).toArray(),
  );
}

/** Lets the alarm go off until it has nothing to do now; a count that had to wait is due. */
async function ring(userId: string): Promise<void> {
  const account = accountOf(userId);
  // Whatever has ended is told by then.
  await openFiles(userId).usage();
  await sql(userId, "UPDATE storage SET recount_at_ms = 0 WHERE recount_at_ms IS NOT NULL");
  for (let isDue = true; isDue;) {
    await runDurableObjectAlarm(account);
    const atMs = await runInDurableObject(account, async (_, { storage }) => await storage.getAlarm());
    isDue = atMs !== null && atMs <= Date.now();
  }
}

/** What R2 holds of a person, counted. */
async function counted(userId: string): Promise<{ filesBytes: number; trashBytes: number }> {
  const bytes = async (prefix: string) =>
    (await env.FILES.list({ prefix })).objects.reduce((sum, { size }) => sum + size, 0);
  return { filesBytes: await bytes(filesPrefix(userId)), trashBytes: await bytes(trashPrefix(userId)) };
}

/** As if so much else were in files: the quota is too large to be filled here. */
async function leaveRoom(userId: string, bytes: number): Promise<void> {
  const { filesBytes, trashBytes, quotaBytes } = await openFiles(userId).usage();
  const more = quotaBytes - trashBytes - filesBytes - bytes;
  await sql(userId, "UPDATE storage SET files_bytes = files_bytes + ?, recount_at_ms = NULL", more);
}

describe("the quota", () => {
  test("a write that does not fit is refused with what takes how much, and changes nothing", async () => {
    const files = openFiles("full");
    await files.write("a.txt", "one");
    await leaveRoom("full", 10);
    const refused = files.write("b.txt", "eleven byte");
    await expect(refused).rejects.toMatchObject({ code: "limit_reached" });
    await expect(refused).rejects.toThrow(
      /files take 10240\.0 MB and the trash 0\.0 MB of 10240\.0 MB; empty the trash/,
    );
    await expect(files.write("a.txt", "eleven byte")).rejects.toMatchObject({ code: "limit_reached" });
    await expect(files.copy("a.txt", "b.txt")).resolves.toMatchObject({ sizeBytes: 3 });
    const { files: all } = await files.list({ folder: "", recursive: true, limit: 10 });
    expect(all.map(({ path, sizeBytes }) => [path, sizeBytes])).toEqual([
      ["a.txt", 3],
      ["b.txt", 3],
    ]);
    expect(await files.listTrash({ limit: 10 })).toEqual([]);
  });

  test("whoever is over it can still delete, move, restore and empty the trash, and then write again", async () => {
    const files = openFiles("overfull");
    await files.write("a.txt", "one");
    await files.write("b.txt", "two");
    await leaveRoom("overfull", -100);
    await files.move("a.txt", "moved.txt");
    await files.remove("moved.txt");
    await files.restore({ path: "moved.txt" });
    await files.remove("moved.txt");
    await expect(files.write("c.txt", "x")).rejects.toMatchObject({ code: "limit_reached" });
    await leaveRoom("overfull", 0);
    await expect(files.write("c.txt", "x")).rejects.toMatchObject({ code: "limit_reached" });
    await files.emptyTrash();
    await expect(files.write("c.txt", "12345")).rejects.toMatchObject({ code: "limit_reached" });
    await files.write("c.txt", "123");
  });

  test("writes that are under way count, so that several at once do not pass it together", async () => {
    const files = openFiles("crowd");
    await files.write("a.txt", "a");
    await leaveRoom("crowd", 25);
    const ends = await Promise.allSettled(
      Array.from({ length: 5 }, async (_, index) => await openFiles("crowd").write(`${index}.txt`, "0123456789")),
    );
    expect(ends.map(({ status }) => status).toSorted()).toEqual([
      ...["fulfilled", "fulfilled"],
      ...["rejected", "rejected", "rejected"],
    ]);
  });

  test("usage is what R2 holds, after whatever was done", async () => {
    const files = openFiles("counter");
    await files.write("a.txt", "one");
    await files.write("a.txt", "three");
    await files.copy("a.txt", "b.txt");
    await files.move("b.txt", "c.txt");
    await files.write("c.txt", "c");
    await files.remove("a.txt");
    await files.restore({ path: "a.txt" });
    await expect(files.write("a.txt", "x", { createOnly: true })).rejects.toMatchObject({ code: "conflict" });
    await expect(files.write("a.txt", "x", { ifMatch: "other" })).rejects.toMatchObject({ code: "conflict" });
    expect(await counted("counter")).toEqual({ filesBytes: 6, trashBytes: 8 });
    expect(await files.usage()).toEqual({ filesBytes: 6, trashBytes: 8, quotaBytes: 10_240 * 1024 * 1024 });
    await ring("counter");
    expect(await files.usage()).toMatchObject(await counted("counter"));
    expect(await sql("counter", "SELECT id FROM changes")).toEqual([]);
  });
});

describe("what a write came to", () => {
  test("is told to the account with the person's next write, and a moment after the last", async () => {
    const [userId, real] = ["teller", accountOf("teller")];
    const ids: string[] = [];
    const told: string[] = [];
    const account = accountThat(async () => await Promise.reject(new Error("not asked for")), {
      beginChange: async (change, ended = []) => {
        told.push(...ended.map(({ id }) => `with ${change.path}: ${id}`));
        ids.push(change.id);
        return await real.beginChange(change, ended);
      },
      finishChange: async (id, outcome) => {
        told.push(`alone: ${id}`);
        await real.finishChange(id, outcome);
      },
    });
    const files = openFiles(userId, { account });
    await files.write("a.txt", "one");
    await files.write("b.txt", "three");
    expect(told).toEqual([`with b.txt: ${ids[0]}`]);
    await expect.poll(() => told).toEqual([`with b.txt: ${ids[0]}`, `alone: ${ids[1]}`]);
    expect(await openFiles(userId).usage()).toMatchObject({ filesBytes: 8 });
  });
});

describe("the account's alarm", () => {
  test("is set for what has always been due", async () => {
    await runInDurableObject(accountOf("late"), async (_, { storage }) => {
      const always = { name: "always due", dueAtMs: () => 0, run: async () => await Promise.resolve() };
      await armAlarm(storage, [always]);
      expect(await storage.getAlarm()).not.toBeNull();
    });
  });

  test("files and trash from before the ledger are counted, and their versions can be restored", async () => {
    const files = openFiles("veteran");
    await files.write("kept.txt", "kept");
    await files.write("a.txt", "one");
    await files.remove("a.txt");
    for (const table of ["storage", "trash", "changes"]) await sql("veteran", `DELETE FROM ${table}`);
    await evictDurableObject(accountOf("veteran"));
    expect(await files.usage()).toMatchObject({ filesBytes: 0, trashBytes: 0 });
    await files.write("new.txt", "new");
    await ring("veteran");
    expect(await files.usage()).toMatchObject({ filesBytes: 7, trashBytes: 3 });
    expect(await files.listTrash({ limit: 10 })).toMatchObject([{ path: "a.txt", reason: "deleted", sizeBytes: 3 }]);
    await files.restore({ path: "a.txt" });
    expect(await textOf((await files.read("a.txt")).body)).toBe("one");
  });

  test.each(["before the trash", "after the trash", "after the file"])(
    "a write whose Worker dies %s is counted right in the end, and loses nothing",
    async (when) => {
      const userId = `mortal ${when}`.replaceAll(" ", "-");
      await openFiles(userId).write("a.txt", "old");
      // Nothing comes back any more from the step at which the Worker dies.
      const dead = async (): Promise<never> => await new Promise<never>(() => undefined);
      let puts = 0;
      const bucket = watchBucket(async (method) => {
        if (method === "put") puts += 1;
        // The first finds the old version there, the second brings it to the trash, the third replaces it.
        if (method === "put" && puts === { "before the trash": 2, "after the trash": 3 }[when]) await dead();
      });
      const account = accountThat(dead, {
        beginChange: async (...given) => await accountOf(userId).beginChange(...given),
      });
      void openFiles(userId, { bucket, account }).write("a.txt", "newer");
      const isReached = async (): Promise<boolean> => {
        if (when === "before the trash") return puts === 2;
        if (when === "after the trash") return puts === 3;
        return (await env.FILES.head(`${filesPrefix(userId)}a.txt`))?.size === 5;
      };
      while (!(await isReached())) await scheduler.wait(5);

      await ring(userId);
      expect(await sql(userId, "SELECT path FROM changes")).toEqual([{ path: "a.txt" }]);
      await sql(userId, "UPDATE changes SET began_at_ms = 0");
      await ring(userId);
      expect(await sql(userId, "SELECT path FROM changes")).toEqual([]);
      const files = openFiles(userId);
      expect(await files.usage()).toMatchObject(await counted(userId));
      const versions = await files.listTrash({ limit: 10 });
      expect(versions.map(({ path, sizeBytes }) => [path, sizeBytes])).toEqual(
        when === "before the trash" ? [] : [["a.txt", 3]],
      );
      expect(await textOf((await files.read("a.txt")).body)).toBe(when === "after the file" ? "newer" : "old");
    },
  );

  test("a file is not deleted under a large write that takes minutes; a small one that old has died", async () => {
    const [userId, account] = ["slow-writer", accountOf("slow-writer")];
    const files = openFiles(userId);
    const deletion = { path: "a.bin", etag: (await files.write("a.bin", "old")).etag };
    const begin = async (id: string, growsBytes: number): Promise<void> => {
      await account.beginChange({ id, userId, path: "a.bin", growsBytes, writes: true });
      await ring(userId);
      await sql(userId, "UPDATE changes SET began_at_ms = began_at_ms - 120000");
    };
    await begin("large", 90_000_000);
    expect(await account.deleteFile("deleting", deletion, { filesBytes: -3 })).toBe("busy");
    expect(await textOf((await files.read("a.bin")).body)).toBe("old");
    await account.finishChange("large", { filesBytes: 0 });
    await begin("small", 1_000);
    expect(await account.deleteFile("deleting", deletion, { filesBytes: -3 })).toBe("deleted");
  });

  test("an account that dies before it has written the end of a change finds it again", async () => {
    const [userId, account] = ["forgetful", accountOf("forgetful")];
    await openFiles(userId).usage();
    await ring(userId);
    await account.beginChange({ id: "lost", userId, path: "a.txt", growsBytes: 3, writes: true });
    await env.FILES.put(`${filesPrefix(userId)}a.txt`, "one");
    await account.finishChange("lost", { filesBytes: 3 });
    await evictDurableObject(account);
    await sql(userId, "UPDATE changes SET began_at_ms = 0");
    await ring(userId);
    expect(await openFiles(userId).usage()).toMatchObject({ filesBytes: 3, trashBytes: 0 });
    expect(await sql(userId, "SELECT id FROM changes")).toEqual([]);
  });

  test("what an account that died has forgotten counts as all that it may be, until it is known what it was", async () => {
    const [userId, account] = ["amnesiac", accountOf("amnesiac")];
    const files = openFiles(userId);
    const deletion = { path: "a.txt", etag: (await files.write("a.txt", "one")).etag };
    await ring(userId);
    const lost = { id: "lost", userId, path: "b.txt", growsBytes: 3, writes: true };
    await account.beginChange(lost);
    await evictDurableObject(account);
    await leaveRoom(userId, 1_000_000);
    await expect(files.write("c.txt", "c")).rejects.toMatchObject({ code: "limit_reached" });
    expect(await account.deleteFile("deleting", deletion, { filesBytes: -3 })).toBe("busy");
    expect(await textOf((await files.read("a.txt")).body)).toBe("one");
    await sql(userId, "UPDATE changes SET began_at_ms = began_at_ms - 120000");
    expect(await account.deleteFile("deleting", deletion, { filesBytes: -3 })).toBe("deleted");
    await env.FILES.put(`${files.prefix}b.txt`, "two");
    await account.finishChange("lost", { filesBytes: 3 });
    await sql(userId, "UPDATE changes SET began_at_ms = 0");
    await ring(userId);
    expect(await files.usage()).toMatchObject({ filesBytes: 3, trashBytes: 0 });
    await files.write("c.txt", "c");
  });

  test("however many writes are under way when the account dies, they do not pass the quota together", async () => {
    const [userId, account] = ["crowded", accountOf("crowded")];
    const files = openFiles(userId);
    const mebibyte = 1024 * 1024;
    for (let index = 0; index < 6; index += 1) {
      const change = { id: `lost-${index}`, userId, path: `${index}.bin`, growsBytes: mebibyte, writes: true };
      expect(await account.beginChange(change)).toMatchObject({ isAdmitted: true });
    }
    await evictDurableObject(account);
    await leaveRoom(userId, 6 * mebibyte);
    await expect(files.write("a.txt", "a")).rejects.toMatchObject({ code: "limit_reached" });
    await leaveRoom(userId, 6 * mebibyte + 1);
    await files.write("a.txt", "a");
  });

  test("a file that may be being written is not moved, and the answer says what there is", async () => {
    const [userId, account] = ["mover", accountOf("mover")];
    const files = openFiles(userId);
    await files.write("a.txt", "one");
    await account.beginChange({ id: "writing", userId, path: "a.txt", growsBytes: 3, writes: true });
    await expect(files.move("a.txt", "b.txt")).rejects.toMatchObject({
      code: "conflict",
      message: "a.txt may be being written, so it stays, and b.txt is a copy of it: in a minute delete one of them.",
    });
    for (const path of ["a.txt", "b.txt"]) expect(await textOf((await files.read(path)).body)).toBe("one");
    await account.finishChange("writing", { filesBytes: 0 });
    await files.remove("b.txt");
    await files.move("a.txt", "b.txt");
  });

  test("a large write is remembered by an account that dies", async () => {
    const [userId, account] = ["elephant", accountOf("elephant")];
    const deletion = { path: "a.bin", etag: (await openFiles(userId).write("a.bin", "old")).etag };
    await account.beginChange({ id: "large", userId, path: "a.bin", growsBytes: 90_000_000, writes: true });
    await evictDurableObject(account);
    await sql(userId, "UPDATE changes SET began_at_ms = began_at_ms - 120000");
    expect(await account.deleteFile("deleting", deletion, { filesBytes: -3 })).toBe("busy");
  });

  test("what is in the trash for thirty days is removed for good, and what is younger stays", async () => {
    const files = openFiles("ager");
    for (const path of ["old.txt", "young.txt"]) {
      await files.write(path, path);
      await files.remove(path);
    }
    await ring("ager");
    expect(await files.listTrash({ limit: 10 })).toHaveLength(2);
    const thirtyDaysAgo = Date.now() - 30 * DAY_MS;
    await sql("ager", "UPDATE trash SET at_ms = ? WHERE path = 'old.txt'", thirtyDaysAgo);
    await sql("ager", "UPDATE trash SET at_ms = ? WHERE path = 'young.txt'", thirtyDaysAgo + DAY_MS);
    await ring("ager");
    expect((await files.listTrash({ limit: 10 })).map(({ path }) => path)).toEqual(["young.txt"]);
    expect(await files.usage()).toMatchObject({ filesBytes: 0, trashBytes: 9 });
    expect(await counted("ager")).toEqual({ filesBytes: 0, trashBytes: 9 });
    const armed = await runInDurableObject(accountOf("ager"), async (_, { storage }) => await storage.getAlarm());
    expect(armed).toBe(thirtyDaysAgo + 31 * DAY_MS);
  });

  test("days of artifacts that are older than the setting go, and nothing beside them", async () => {
    const userId = "archivist";
    const files = openFiles(userId);
    const kept = ["artifacts/2026-10-24/b.txt", "artifacts/2026-1-1/c.txt", "artifacts/notes.txt", "artifacts.txt"];
    for (const path of ["artifacts/2025-12-31/x/a.txt", "artifacts/2026-10-23/a.txt", ...kept]) {
      await files.write(path, path);
    }
    const expire = async (days?: number): Promise<number | undefined> =>
      await runInDurableObject(accountOf(userId), async (_, { storage }) => {
        const ledger = new StorageLedger(storage.sql);
        const chores = storageChores({ ledger, bucket: env.FILES }, () => ({ ARTIFACTS_KEEP_DAYS: days }));
        const chore = chores.find(({ name }) => name === "end old artifacts");
        if (days !== undefined) await chore?.run(Date.parse("2026-11-23T12:00:00Z"));
        return chore?.dueAtMs();
      });
    expect(await expire(undefined)).toBeUndefined();
    expect(await expire(30)).toBe(Date.parse("2026-11-24T12:00:00Z"));
    const { files: all } = await files.list({ folder: "", recursive: true, limit: 100 });
    expect(all.map(({ path }) => path).toSorted()).toEqual(kept.toSorted());
    expect(await files.usage()).toMatchObject({ ...(await counted(userId)), trashBytes: 0 });
  });

  test("a count that a change crosses is begun again when the change has ended", async () => {
    const files = openFiles("restless");
    await files.write("a.txt", "a");
    // Somebody is changing something all the time.
    const [account, path] = [accountOf("restless"), "b.txt"];
    await account.beginChange({ id: "open", userId: "restless", path, growsBytes: 5, writes: true });
    await env.FILES.put(`${files.prefix}b.txt`, "12345");
    await ring("restless");
    expect(await files.usage()).toMatchObject({ filesBytes: 1 });
    await account.finishChange("open", { filesBytes: 5 });
    await ring("restless");
    expect(await files.usage()).toMatchObject({ filesBytes: 6 });
  });
});

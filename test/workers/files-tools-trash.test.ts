import { runInDurableObject } from "cloudflare:test";
import { describe, expect, test } from "vitest";
import * as z from "zod";
import { take } from "../../servers/files/walk.ts";
import { type Person, personOf } from "./files-suite.ts";
import { accountOf } from "./open-files.ts";

const trashSchema = z.object({
  trash: z.array(z.object({ id: z.string(), path: z.string(), reason: z.string(), size_bytes: z.number() })),
});
const transferSchema = z.object({
  done: z.number(),
  left_at_least: z.number().optional(),
  cursor: z.string().optional(),
  failed: z.number().optional(),
  failures: z.array(z.object({ path: z.string(), error: z.string() })).optional(),
});

async function read({ files }: Person, path: string): Promise<string> {
  return await new Response((await files.read(path)).body).text();
}

async function trashOf({ call }: Person, folder = "") {
  return trashSchema.parse(await call("files_list", { folder, trash: true })).trash;
}

async function namesOf({ files }: Person): Promise<string[]> {
  return (await take(files, { folder: "", isDeep: true }, 1_000)).entries.map(({ path }) => path);
}

describe("files_move and files_copy", () => {
  test("give a file a new name, or the same name in a folder, never over another unless told", async () => {
    const person = personOf("move-1");
    const { call, files } = person;
    await files.write("a.txt", "a");
    await files.write("b.txt", "b");
    expect(await call("files_move", { from: "a.txt", to: "b.txt" })).toMatch(/^conflict: /);
    expect(await call("files_copy", { from: "a.txt", to: "sub/" })).toEqual({ done: 1 });
    expect(await call("files_move", { from: "a.txt", to: "b.txt", replace: true })).toEqual({ done: 1 });
    expect(await namesOf(person)).toEqual(["b.txt", "sub/a.txt"]);
    expect([await read(person, "b.txt"), await read(person, "sub/a.txt")]).toEqual(["a", "a"]);
    expect(await trashOf(person)).toMatchObject([{ path: "b.txt", reason: "replaced" }]);
  });

  test("take a folder with all below it, and tell of each file that could not go", async () => {
    const person = personOf("move-2");
    const { call, files } = person;
    for (const path of ["a/1", "a/b/2", "a/3", "ab/4", "c/3"]) await files.write(path, path);
    expect(await call("files_copy", { from: "a/", to: "d" })).toEqual({ done: 3 });
    expect(await call("files_move", { from: "a/", to: "c/" })).toEqual({
      done: 2,
      failed: 1,
      failures: [{ path: "a/3", error: expect.stringMatching(/^conflict: /) }],
    });
    expect(await namesOf(person)).toEqual(["a/3", "ab/4", "c/1", "c/3", "c/b/2", "d/1", "d/3", "d/b/2"]);
  });

  test("go on where the last call ended, past what it could not move", async () => {
    const person = personOf("move-3");
    const { call, files } = person;
    const paths = Array.from({ length: 105 }, (_, index) => `many/${String(index).padStart(3, "0")}`);
    await Promise.all([...paths, "moved/000"].map(async (path) => await files.write(path, path)));
    const first = transferSchema.parse(await call("files_move", { from: "many/", to: "moved/" }));
    expect(first).toMatchObject({ done: 99, failed: 1, left_at_least: 5 });
    const second = await call("files_move", { from: "many/", to: "moved/", cursor: first.cursor });
    expect(second).toEqual({ done: 5 });
    expect(await namesOf(person)).toEqual(["many/000", ...paths.map((path) => path.replace("many", "moved"))]);
  });

  test.each([
    [{ from: "a/", to: "a/b/" }, /^invalid_input: A folder cannot go into itself/],
    [{ from: "a/", to: "a" }, /^invalid_input: A folder cannot go into itself/],
    [{ from: "/", to: "b/" }, /^invalid_input: A folder cannot go into itself/],
    [{ from: "a/1", to: "a/1" }, /^invalid_input: from and to are the same/],
    [{ from: "a/1", to: "../u10/1" }, /^invalid_input: The path has a \. or \.\./],
    [{ from: "nothing/", to: "b/" }, /^not_found: There is no folder nothing\//],
    [{ from: "nothing", to: "b" }, /^not_found: /],
  ])("refuse %j", async (input, words) => {
    const person = personOf("move-4");
    await person.files.write("a/1", "1");
    expect(await person.call("files_move", input)).toMatch(words);
    expect(await person.call("files_copy", input)).toMatch(words);
    expect(await namesOf(person)).toEqual(["a/1"]);
  });
});

describe("files_delete", () => {
  test("puts a file into the trash, and takes it back", async () => {
    const person = personOf("delete-1");
    const { call, files } = person;
    await files.write("a.txt", "old");
    expect(await call("files_delete", { path: "a.txt" })).toEqual({ deleted: 1 });
    expect(await call("files_delete", { path: "a.txt" })).toMatch(/^not_found: /);
    expect(await trashOf(person)).toMatchObject([{ path: "a.txt", reason: "deleted", size_bytes: 3 }]);
    expect(await call("files_delete", { path: "a.txt", restore: true })).toEqual({ restored: ["a.txt"] });
    expect([await read(person, "a.txt"), await trashOf(person)]).toEqual(["old", []]);
  });

  test("takes back what was replaced, and what that replaces can be taken back again", async () => {
    const person = personOf("delete-2");
    const { call, files } = person;
    await files.write("a.txt", "one");
    await files.write("a.txt", "two");
    await call("files_delete", { path: "a.txt", restore: true });
    expect(await read(person, "a.txt")).toBe("one");
    const [{ id } = { id: "" }] = await trashOf(person);
    await call("files_delete", { trash_id: id, restore: true });
    expect(await read(person, "a.txt")).toBe("two");
  });

  test("puts a folder into the trash and takes it back, leaving alone what is there again", async () => {
    const person = personOf("delete-3");
    const { call, files } = person;
    for (const path of ["a/1", "a/b/2", "ab/3"]) await files.write(path, "old");
    expect(await call("files_delete", { path: "a/" })).toEqual({ deleted: 2 });
    expect(await namesOf(person)).toEqual(["ab/3"]);
    await files.write("a/1", "new");
    expect(await call("files_delete", { path: "a/", restore: true })).toEqual({
      restored: ["a/b/2"],
      failed: 1,
      failures: [{ path: "a/1", error: expect.stringMatching(/^conflict: /) }],
    });
    expect([await read(person, "a/1"), await read(person, "a/b/2")]).toEqual(["new", "old"]);
    expect(await call("files_delete", { path: "nothing/" })).toMatch(/^not_found: /);
    expect(await call("files_delete", { path: "nothing/", restore: true })).toMatch(/^not_found: /);
    expect(await call("files_delete", { path: "/" })).toMatch(/^invalid_input: That is the whole workspace/);
  });

  test("takes back a folder in which much has been replaced since", async () => {
    const { call, files } = personOf("delete-7");
    for (const path of ["a/1", "a/log"]) await files.write(path, "old");
    await call("files_delete", { path: "a/" });
    await files.write("a/log", "new");
    const replace = `
      INSERT INTO trash
      WITH RECURSIVE version (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM version WHERE n < 1200)
      SELECT 'v' || n, 'a/log', 1, 'replaced', (SELECT max(at_ms) FROM trash) + n FROM version`;
    await runInDurableObject(accountOf("delete-7"), (_, { storage }) => void storage.sql.exec(replace));
    expect(await call("files_delete", { path: "a/", restore: true })).toEqual({ restored: ["a/1"] });
  });

  test("empties the trash for good, one version or all, and never somebody else's", async () => {
    const [person, other] = [personOf("delete-4"), personOf("delete-5")];
    const { call, files } = person;
    await files.write("a", "12345");
    await files.write("b", "123");
    await files.write("c", "1");
    for (const path of ["a", "b", "c"]) await call("files_delete", { path });
    const ids = new Map((await trashOf(person)).map(({ path, id }) => [path, id]));
    const theirs = { trash_id: ids.get("a") };
    expect(await other.call("files_delete", { ...theirs, restore: true })).toMatch(/^not_found: /);
    expect(await other.call("files_delete", { ...theirs, forever: true })).toMatch(/^not_found: /);
    expect(await other.call("files_delete", { forever: true })).toEqual({ freed_bytes: 0 });
    expect(await call("files_delete", { ...theirs, forever: true })).toEqual({ freed_bytes: 5 });
    expect((await trashOf(person)).map(({ path }) => path).toSorted()).toEqual(["b", "c"]);
    expect(await call("files_delete", { forever: true })).toEqual({ freed_bytes: 4 });
    expect(await trashOf(person)).toEqual([]);
  });

  test("the trash of a folder is listed alone", async () => {
    const person = personOf("delete-6");
    for (const path of ["a/1", "ab/2"]) {
      await person.files.write(path, path);
      await person.call("files_delete", { path });
    }
    expect((await trashOf(person, "a")).map(({ path }) => path)).toEqual(["a/1"]);
  });
});

import { env } from "cloudflare:workers";
import { expect, test } from "vitest";
import { filesPrefix, trashPrefix } from "../../servers/shared/paths.ts";
import { accountThat, openFiles, textOf, watchBucket } from "./open-files.ts";

/** R2 of which the calls that `fails` names are not answered. */
function failingBucket(fails: (method: string, key: string) => boolean): R2Bucket {
  return watchBucket((method, key) => {
    if (fails(method, typeof key === "string" ? key : "")) throw new Error("internal error (10001)");
  });
}

async function contentOf(userId: string): Promise<Record<string, string>> {
  const { objects } = await env.FILES.list({ prefix: filesPrefix(userId) });
  const entries = await Promise.all(
    objects.map(async ({ key }): Promise<[string, string]> => {
      const object = await env.FILES.get(key);
      return [key.slice(filesPrefix(userId).length), await textOf(object?.body ?? null)];
    }),
  );
  return Object.fromEntries(entries);
}

test("while R2 does not answer, everything says so and nothing is lost or half done; afterwards all works", async () => {
  const userId = "outage";
  const files = openFiles(userId);
  await files.write("a.txt", "a");
  await files.write("b.txt", "b");
  const away = openFiles(userId, { bucket: failingBucket(() => true) });
  const stream = () => ({ body: new Blob(["x".repeat(2_000_000)]).stream(), sizeBytes: 2_000_000 });
  for (const attempt of [
    async () => await away.list({ folder: "", recursive: false, limit: 10 }),
    async () => await away.stat("a.txt"),
    async () => await away.read("a.txt"),
    async () => await away.write("a.txt", "changed"),
    async () => await away.write("a.txt", stream()),
    async () => await away.write("new.txt", "new"),
    async () => await away.copy("a.txt", "c.txt"),
    async () => await away.move("a.txt", "c.txt"),
    async () => await away.remove("a.txt"),
  ]) {
    await expect(attempt()).rejects.toMatchObject({ code: "unavailable" });
  }
  expect(await contentOf(userId)).toEqual({ "a.txt": "a", "b.txt": "b" });
  await files.write("a.txt", "changed");
  await files.move("a.txt", "c.txt");
  expect(await contentOf(userId)).toEqual({ "b.txt": "b", "c.txt": "changed" });
});

test("where the trash cannot be written, nothing is replaced or deleted", async () => {
  const userId = "no-trash";
  const bucket = failingBucket((method, key) => method === "put" && key.startsWith(trashPrefix(userId)));
  const files = openFiles(userId, { bucket });
  await files.write("a.txt", "a");
  await expect(files.write("a.txt", "changed")).rejects.toMatchObject({ code: "unavailable" });
  await expect(files.remove("a.txt")).rejects.toMatchObject({ code: "unavailable" });
  expect(await contentOf(userId)).toEqual({ "a.txt": "a" });
});

test("a body that ends early, goes on too long or breaks is an error, and leaves the old file", async () => {
  const userId = "bad-bodies";
  const files = openFiles(userId);
  await files.write("a.bin", "old");
  for (const sizeBytes of [100, 2_000_000]) {
    const body = (length: number) => new Blob(["x".repeat(length)]).stream();
    const broken = new ReadableStream<Uint8Array>({
      pull: (controller) => controller.error(new Error("The client went away.")),
    });
    for (const given of [body(sizeBytes - 1), body(sizeBytes + 1), broken]) {
      const write = files.write("a.bin", { body: given, sizeBytes });
      await expect(write).rejects.toMatchObject({ code: "unavailable" });
    }
  }
  expect(await contentOf(userId)).toEqual({ "a.bin": "old" });
});

test("a body that R2 does not take is let go of", async () => {
  const letGo = Promise.withResolvers<void>();
  const body = new ReadableStream<Uint8Array>({
    pull: (controller) => controller.enqueue(new Uint8Array(1_000)),
    cancel: () => letGo.resolve(),
  });
  const files = openFiles("refuser", { bucket: failingBucket((method) => method === "put") });
  await expect(files.write("a.bin", { body, sizeBytes: 2_000_000 })).rejects.toMatchObject({ code: "unavailable" });
  await letGo.promise;
});

test("without an answer of the account nothing is written", async () => {
  const userId = "no-account";
  const account = accountThat(async () => await Promise.reject(new Error("Network connection lost.")));
  const files = openFiles(userId, { account });
  await expect(files.write("a.txt", "a")).rejects.toMatchObject({ code: "unavailable" });
  await expect(files.usage()).rejects.toMatchObject({ code: "unavailable" });
  expect(await contentOf(userId)).toEqual({});
});

test("a part of a file that it does not have is the caller's mistake", async () => {
  const files = openFiles("ranger");
  await files.write("a.txt", "0123456789");
  expect(await textOf((await files.read("a.txt", { offset: 8, length: 100 })).body)).toBe("89");
  await files.write("empty.txt", "");
  expect(await textOf((await files.read("empty.txt", { offset: 0, length: 5 })).body)).toBe("");
  await expect(files.read("a.txt", { offset: 10, length: 1 })).rejects.toMatchObject({ code: "invalid_input" });
});

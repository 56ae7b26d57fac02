import { env, waitUntil } from "cloudflare:workers";
import type { Account } from "../../servers/account/account.ts";
import type { FilesAccount } from "../../servers/files/changes.ts";
import { type FileStore, createFileStore } from "../../servers/files/store.ts";

export function accountOf(userId: string): DurableObjectStub<Account> {
  return env.ACCOUNT.get(env.ACCOUNT.idFromName(userId));
}

/** A person's files on local R2 with the person's own account, or with what a test puts in their place. */
export function openFiles(
  userId: string,
  { bucket = env.FILES, account = accountOf(userId) }: { bucket?: R2Bucket; account?: FilesAccount } = {},
): FileStore {
  return createFileStore(bucket, userId, { account, waitUntil });
}

export async function textOf(body: ReadableStream | null): Promise<string> {
  return await new Response(body).text();
}

type Method = "get" | "head" | "put" | "delete" | "list";

/** Local R2 where `before` comes before each call, with the key or the options that the call is made with. */
export function watchBucket(before: (method: Method, given: unknown) => void | Promise<void>): R2Bucket {
  const methods: readonly Method[] = ["get", "head", "put", "delete", "list"];
  return new Proxy(env.FILES, {
    get: (target, name): unknown => {
      const method = methods.find((known) => known === name);
      const value: unknown = Reflect.get(target, name);
      if (method === undefined || typeof value !== "function") return value;
      return async (...given: readonly unknown[]): Promise<unknown> => {
        await before(method, given[0]);
        const answer: unknown = await Reflect.apply(value, target, given);
        return answer;
      };
    },
  });
}

/** An account of which every call ends as `end` does, but for those that are given. */
export function accountThat(end: () => Promise<never>, but: Partial<FilesAccount> = {}): FilesAccount {
  const account = { beginChange: end, finishChange: end, giveUpChange: end, deleteFile: end, storageState: end };
  return { ...account, listTrash: end, findTrash: end, emptyTrash: end, ...but };
}

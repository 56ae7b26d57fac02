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
